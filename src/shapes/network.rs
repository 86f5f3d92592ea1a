//! The walk through the model.

use super::cell::step;
use super::dim::{Dim, Symbol, Values};
use super::{Part, Row, symbols};
use crate::batch::Batch;
use crate::config::Config;
use crate::error::Result;
use crate::models::classifier::BiRnn;
use crate::models::classifier::OutputKind;
use crate::ops::binary_cross_entropy::binary_cross_entropy;
use crate::ops::cross_entropy::cross_entropy;
use crate::ops::dropout::Phase;
use crate::optim::Gradient;
use crate::parameters::Parameters;
use crate::rnn::{Recurrent, RecurrentConfig, State, views};
use crate::train::classifier::{LabelledBatch, Learner, initial_model};
use candle_core::{DType, Device, Tensor};
use candle_nn::ops::softmax;

/// Every tensor of a model in a run on some texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The values of the symbols.
    pub values: Values,
    /// The tensors, in order of computation.
    pub rows: Vec<Row>,
}

impl Walk {
    /// Builds the model of a config for a vocabulary and a number of classes, and runs it on the token lists of some
    /// texts, none of them empty; with `steps` also one step inside a cell.
    ///
    /// # Errors
    /// A config that cannot be used, no texts, or a token id outside the vocabulary.
    pub fn new(
        config: &Config,
        vocabulary: usize,
        classes: usize,
        texts: &[Vec<u32>],
        steps: bool,
    ) -> Result<Self> {
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let batch = Batch::new(&texts)?;
        let (model, parameters) = initial_model(config, vocabulary, classes, None, &Device::Cpu)?;
        let mut walk = Self {
            values: values(config, vocabulary, classes, &batch),
            rows: Vec::new(),
        };
        walk.parameters(config, &parameters);
        walk.prediction(config, &parameters, classes, &batch)?;
        walk.views(config, &parameters, &batch)?;
        if steps {
            let zeros = || {
                let shape = (batch.len(), config.model.num_hiddens);
                Tensor::zeros(shape, DType::F32, &Device::Cpu)
            };
            let state = State {
                h: zeros()?,
                c: match config.model.cell.has_cell() {
                    true => Some(zeros()?),
                    false => None,
                },
            };
            let ids = &batch.packed_ids()[..batch.len()];
            walk.rows
                .extend(step(&config.model, &parameters, ids, &state)?.0);
        }
        walk.training(config, (model, parameters), &texts)?;
        walk.rows.sort_by_key(|row| row.part);
        Ok(walk)
    }

    /// The rows of a part, in order.
    pub fn part(&self, part: Part) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.part == part)
    }

    /// Number of elements of all rows of a part.
    pub fn elements(&self, part: Part) -> usize {
        self.part(part).map(Row::elements).sum()
    }

    fn add(
        &mut self,
        part: Part,
        name: impl Into<String>,
        tensor: &Tensor,
        described: symbols::Described,
    ) {
        let (symbolic, why) = described;
        self.rows.push(Row::new(part, name, tensor, symbolic, why));
    }

    fn parameters(&mut self, config: &Config, parameters: &Parameters) {
        let mut all: Vec<_> = parameters.iter().collect();
        all.sort_by_key(|(name, _)| symbols::sort_key(name));
        for (name, var) in all {
            let described = symbols::parameter(&config.model, name);
            self.add(Part::Parameters, name, var, described);
        }
    }

    fn prediction(
        &mut self,
        config: &Config,
        parameters: &Parameters,
        classes: usize,
        batch: &Batch,
    ) -> Result<()> {
        let vocabulary = self
            .values
            .get(&Symbol::Vocabulary)
            .copied()
            .unwrap_or_default();
        // Without gradients, as in prediction.
        let model = BiRnn::new(&config.model, vocabulary, classes, parameters.detached())?;
        let ids = batch.ids(&Device::Cpu)?;
        let why = "the id of each token, step by step, the longest text first";
        self.add(
            Part::Prediction,
            "ids",
            &ids,
            (vec![Symbol::Tokens.into()], why.to_owned()),
        );
        let logits = model.forward_with_hook(batch, Phase::Inference, &mut |stage, tensor| {
            let (name, described) = symbols::stage(&config.model, stage);
            self.add(Part::Prediction, name, tensor, described);
        })?;
        let probabilities = softmax(&logits, 1)?;
        let shape = vec![Symbol::Batch.into(), Symbol::Classes.into()];
        let why = "softmax of logits divided by the temperature";
        self.add(
            Part::Prediction,
            "probabilities",
            &probabilities,
            (shape, why.to_owned()),
        );
        Ok(())
    }

    /// The outputs in PyTorch's layout.
    fn views(&mut self, config: &Config, parameters: &Parameters, batch: &Batch) -> Result<()> {
        use Symbol::{
            Batch as B, Directions as D, EmbeddingSize, NumHiddens as H, NumLayers as L, Steps,
        };
        let model = &config.model;
        let settings = RecurrentConfig {
            num_layers: model.num_layers,
            bias: model.bias,
            bidirectional: model.bidirectional,
            batch_first: true,
            ..RecurrentConfig::new(model.cell, model.embedding_size, model.num_hiddens)
        };
        let encoder = Recurrent::new(&settings, parameters.detached().pp("encoder"))?;
        let packing = batch.packing();
        let shape = (batch.len(), packing.steps(), model.embedding_size);
        let input = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        let (output, state) =
            encoder.forward(&input, Some(packing.lengths()), None, Phase::Inference)?;
        let directions = model.directions();
        let mut add = |name: &str, tensor: &Tensor, shape: Vec<Dim>, why: &str| {
            self.add(Part::Views, name, tensor, (shape, why.to_owned()));
        };
        add(
            "input",
            &input,
            vec![B.into(), Steps.into(), EmbeddingSize.into()],
            "embedded tokens of texts padded to the longest, as in PyTorch (batch_first)",
        );
        add(
            "output",
            &output,
            vec![B.into(), Steps.into(), Dim::new(1, &[D, H])],
            "the last layer's h of every step; 0 after the end of a text",
        );
        add(
            "output by direction",
            &views::split_output(&output, directions)?,
            vec![B.into(), Steps.into(), D.into(), H.into()],
            "the same memory: index 0 is forward, index 1 reverse",
        );
        let stacked = || vec![Dim::new(1, &[L, D]), B.into(), H.into()];
        let split = || vec![L.into(), D.into(), B.into(), H.into()];
        add(
            "h_n",
            &state.h,
            stacked(),
            "the final h: layer 0 forward, layer 0 reverse, layer 1 forward, ...",
        );
        add(
            "h_n by layer and direction",
            &views::split_state(&state.h, directions)?,
            split(),
            "the same memory: h_n[-1, 0] is the last layer's, forward",
        );
        if let Some(c) = &state.c {
            add(
                "c_n",
                c,
                stacked(),
                "the final cell states, in the same order",
            );
            add(
                "c_n by layer and direction",
                &views::split_state(c, directions)?,
                split(),
                "the same memory",
            );
        }
        Ok(())
    }

    /// A training step as performed by the trainer.
    fn training(
        &mut self,
        config: &Config,
        (model, parameters): (BiRnn, Parameters),
        texts: &[&[u32]],
    ) -> Result<()> {
        let phase = Phase::Training { seed: 0, step: 0 };
        let batch = Batch::new(texts)?;
        let logits = model.forward_with_hook(&batch, phase, &mut |stage, tensor| {
            let (name, described) = symbols::stage(&config.model, stage);
            self.add(Part::Training, name, tensor, described);
        })?;
        let step = self.loss(config, &logits, texts)?;
        let mut learner = Learner::new(&config.train, 0, (model, parameters))?;
        let (gradients, _) = learner.gradients(&[step])?;
        let mut all: Vec<_> = gradients.iter().collect();
        all.sort_by_key(|(name, _)| symbols::sort_key(name));
        for (name, gradient) in all {
            let (tensor, by_rows) = match gradient {
                Gradient::Dense(tensor) => (tensor, false),
                Gradient::Rows { values, .. } => (values, true),
            };
            let described = symbols::gradient(&config.model, name, by_rows);
            self.add(
                Part::Training,
                format!("gradient of {name}"),
                tensor,
                described,
            );
        }
        learner.update(gradients, config.train.learning_rate)?;
        let tensors = learner.weights().tensors();
        let mut all: Vec<_> = tensors
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix("moments/")?, tensor)))
            .collect();
        all.sort_by_key(|(name, _)| symbols::sort_key(name));
        for (name, tensor) in all {
            let mut shape: Vec<Dim> = vec![2.into()];
            shape.extend(symbols::parameter(&config.model, name).0);
            let why = "AdamW's moving averages of the gradient and of its square".to_owned();
            let name = format!("moments of {name}");
            self.add(Part::Training, name, tensor, (shape, why));
        }
        Ok(())
    }

    /// The labels and the loss of a step, whose batch is returned.
    fn loss(
        &mut self,
        config: &Config,
        logits: &Tensor,
        texts: &[&[u32]],
    ) -> Result<LabelledBatch> {
        let smoothing = config.train.label_smoothing;
        let (shape, classes) = (vec![Symbol::Batch.into()], logits.dim(1)?);
        let (labels, loss, step) = match config.model.output {
            OutputKind::Softmax => {
                let labels = vec![0u32; texts.len()];
                let tensor = Tensor::new(labels.as_slice(), &Device::Cpu)?;
                let loss = cross_entropy(logits, &labels, smoothing)?;
                let step = LabelledBatch::new(texts, &labels, 0)?;
                let labels = (tensor, (shape, "the class of each text".to_owned()));
                (
                    labels,
                    (loss, "mean cross-entropy over the texts: one number"),
                    step,
                )
            }
            OutputKind::Sigmoid => {
                let targets = vec![0f32; texts.len() * classes];
                let tensor = Tensor::from_slice(&targets, (texts.len(), classes), &Device::Cpu)?;
                let loss = binary_cross_entropy(logits, &targets, smoothing, None)?;
                let step = LabelledBatch::with_targets(texts, &targets, 0)?;
                let shape = [shape, vec![Symbol::Classes.into()]].concat();
                let labels = (
                    tensor,
                    (shape, "1 for the classes of each text, else 0".to_owned()),
                );
                let why = "mean binary cross-entropy over texts and classes: one number";
                (labels, (loss, why), step)
            }
        };
        self.add(Part::Training, "labels", &labels.0, labels.1);
        let (loss, why) = loss;
        self.add(Part::Training, "loss", &loss, (Vec::new(), why.to_owned()));
        Ok(step)
    }
}

fn values(config: &Config, vocabulary: usize, classes: usize, batch: &Batch) -> Values {
    let mut used = batch.packed_ids().to_vec();
    used.sort_unstable();
    used.dedup();
    let model = &config.model;
    let mut values: Values = [
        (Symbol::Batch, batch.len()),
        (Symbol::Tokens, batch.tokens()),
        (Symbol::Steps, batch.packing().steps()),
        (Symbol::Vocabulary, vocabulary),
        (Symbol::UsedRows, used.len()),
        (Symbol::EmbeddingSize, model.embedding_size),
        (Symbol::NumHiddens, model.num_hiddens),
        (Symbol::NumLayers, model.num_layers),
        (Symbol::Directions, model.directions()),
        (Symbol::Classes, classes),
    ]
    .into();
    if model.ngrams.is_on() {
        values.insert(Symbol::Features, model.ngrams.features);
    }
    values
}
