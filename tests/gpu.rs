//! The GPU kernels, and models trained with them, compared with the CPU.
//!
//!     cargo test --release --features cudnn --test gpu
//!
//! Without a GPU each test is skipped with a message; `tests/cuda/pretend.sh` emulates one.

use birnn::batch::Batch;
use birnn::batch::packing::Packing;
use birnn::checkpoint::{ModelFile, Resumed, RunDirectory, RunKind};
use birnn::config::{Config, TrainerConfig};
use birnn::data::Labels;
use birnn::dataset::{Encoded, Fingerprints};
use birnn::device::{Precision, set_precision};
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::models::language::{Input, LanguageConfig, RnnModel};
use birnn::ops::dropout::{Dropout, Phase};
use birnn::ops::pooling::Pooling;
use birnn::optim::{AdamW, AdamWConfig, Gradient, Gradients};
use birnn::parameters::Parameters;
use birnn::rnn::kernels::{self, CellType, Kernel};
use birnn::rnn::{Recurrent, RecurrentConfig, Wanted};
use birnn::text::{TextConfig, TextEncoder};
use birnn::train::classifier::{ClassifierTask, initial_model};
use birnn::train::language::{LanguageLearner, LanguageTraining, Softmax, Unigrams};
use birnn::train::{EpochReport, Observer, Outcome, StepReport, Trainer};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Init, VarBuilder, VarMap};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first GPU, if this build supports GPUs and one is available, for one test at a time: the precision is a setting
/// of the whole process.
fn gpu() -> Option<(Device, MutexGuard<'static, ()>)> {
    static ONE: Mutex<()> = Mutex::new(());
    match birnn::device::device("cuda") {
        Ok(device) => {
            let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
            set_precision(Precision::F32);
            Some((device, alone))
        }
        Err(problem) => {
            eprintln!("skipped: {problem}");
            None
        }
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let host = tensor.to_device(&Device::Cpu).unwrap();
    host.flatten_all().unwrap().to_vec1().unwrap()
}

/// With a tolerance relative to the largest expected number.
#[track_caller]
fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (numbers(found), numbers(expected));
    let scale = expected
        .iter()
        .fold(1e-3f32, |most, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = (found - expected).abs() / scale;
        assert!(
            error < tolerance,
            "{what}, number {at}: {found} for {expected}"
        );
    }
}

/// Normal numbers, the same on every device.
fn normal(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = birnn::rng::Rng::new(seed, birnn::rng::Stream::Initialisation, 0, 0);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A stack of layers with these weights, its variables and an input for it.
struct Stack {
    stack: Recurrent,
    variables: HashMap<String, Var>,
    input: Var,
    packing: Arc<Packing>,
}

impl Stack {
    fn new(
        kernel: &'static dyn Kernel,
        config: &RecurrentConfig,
        weights: &HashMap<String, Tensor>,
        lengths: &[usize],
        device: &Device,
    ) -> Self {
        let there = |tensor: &Tensor| Var::from_tensor(&tensor.to_device(device).unwrap()).unwrap();
        let variables: HashMap<String, Var> = weights
            .iter()
            .map(|(name, values)| (name.clone(), there(values)))
            .collect();
        let tensors = variables
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let vb = VarBuilder::from_tensors(tensors.collect(), DType::F32, device);
        let packing = Arc::new(Packing::new(lengths).unwrap());
        Self {
            stack: Recurrent::new(config, vb).unwrap().with_kernel(kernel),
            input: there(&rounded(
                &normal(1, &[packing.rows(), config.input_size]),
                4.0,
            )),
            variables,
            packing,
        }
    }

    /// Output, final state and all gradients, by name, through a graph.
    fn run(&self) -> HashMap<String, Tensor> {
        let (output, state) = self
            .stack
            .forward_packed(&self.input, &self.packing, None, Phase::Inference)
            .unwrap();
        let loss = |tensor: &Tensor, seed| {
            let weights = normal(seed, tensor.dims());
            let weights = weights.to_device(tensor.device()).unwrap();
            (tensor * weights).unwrap().sum_all().unwrap()
        };
        let mut total = (loss(&output, 2) + loss(&state.h, 3)).unwrap();
        if let Some(c) = &state.c {
            total = (total + loss(c, 4)).unwrap();
        }
        let store = total.backward().unwrap();
        let d_input = store.get(&self.input).unwrap().clone();
        let mut found = HashMap::from([
            ("output".to_owned(), output),
            ("h".to_owned(), state.h),
            ("d_input".to_owned(), d_input),
        ]);
        found.extend(state.c.map(|c| ("c".to_owned(), c)));
        for (name, var) in &self.variables {
            found.insert(format!("d_{name}"), store.get(var).unwrap().clone());
        }
        found
    }

    /// The same for a loss of the output alone, without a graph.
    fn train(&self) -> HashMap<String, Tensor> {
        let pass = self
            .stack
            .forward_train(&self.input, &self.packing, None, Phase::Inference);
        let pass = pass.unwrap();
        let output = pass.output().clone();
        let state = pass.state().unwrap();
        let upstream = normal(5, output.dims()).to_device(output.device()).unwrap();
        let (d_input, gradients) = pass.backward(upstream, Wanted::parameters(true)).unwrap();
        let mut found = HashMap::from([
            ("output".to_owned(), output),
            ("h".to_owned(), state.h),
            ("d_input".to_owned(), d_input.unwrap()),
        ]);
        found.extend(state.c.map(|c| ("c".to_owned(), c)));
        let gradients: HashMap<_, _> = gradients.into_iter().collect();
        for (name, var) in &self.variables {
            found.insert(format!("d_{name}"), gradients[&var.id()].clone());
        }
        found
    }
}

/// Outputs, final states and all gradients are within 1e-4 of the CPU kernel: every cell type, ragged, one direction
/// and two, one to three layers, with and without biases.
#[test]
fn layers_agree_with_the_cpu() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    assert_layers_agree(&device, 1e-4, |_, _| true);
}

/// With factors of 10 and of 7 mantissa bits, the same to about as many bits; except for gradients through a ReLU,
/// which jump where a pre-activation is rounded across zero.
#[test]
fn layers_agree_with_the_cpu_in_lower_precision() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    for (precision, tolerance) in [(Precision::Tf32, 1e-2), (Precision::Bf16, 6e-2)] {
        set_precision(precision);
        assert_layers_agree(&device, tolerance, |cell_type, name| {
            cell_type != CellType::RnnRelu || !name.starts_with("d_")
        });
    }
}

/// Weights of a stack. Those of ReLUs are multiples of 1/8, so that few steps are rounded: gradients jump where a
/// pre-activation is rounded across zero.
fn weights_of(config: &RecurrentConfig) -> HashMap<String, Tensor> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Recurrent::new(config, vb).unwrap();
    let variables = map.data().lock().unwrap();
    let variables: BTreeMap<&String, &Var> = variables.iter().collect();
    let values = |(seed, (name, var)): (usize, (&String, &Var))| {
        let values = (normal(10 + seed as u64, var.dims()) * 0.2).unwrap();
        let values = match config.cell_type {
            CellType::RnnRelu => rounded(&values, 8.0),
            _ => values,
        };
        (name.clone(), values)
    };
    variables.into_iter().enumerate().map(values).collect()
}

/// Rounds to multiples of a fraction.
fn rounded(tensor: &Tensor, of_one: f64) -> Tensor {
    ((tensor * of_one).unwrap().round().unwrap() / of_one).unwrap()
}

#[track_caller]
fn assert_layers_agree(device: &Device, tolerance: f32, compared: impl Fn(CellType, &str) -> bool) {
    let on_cpu = kernels::select(&Device::Cpu, DType::F32);
    let mut cases = 0;
    for kernel in kernels::all(device, DType::F32) {
        if kernel.name() == "reference" {
            continue;
        }
        for cell_type in CellType::ALL {
            for (num_layers, bidirectional, bias) in [
                (1, false, true),
                (1, true, false),
                (2, true, true),
                (3, true, true),
            ] {
                let config = RecurrentConfig {
                    num_layers,
                    bidirectional,
                    bias,
                    ..RecurrentConfig::new(cell_type, 20, 33)
                };
                let weights = weights_of(&config);
                // Ragged, and with equal lengths.
                let lengths = match cell_type {
                    CellType::RnnRelu => [[3, 1, 2, 3, 1, 2, 2], [3; 7]],
                    _ => [[17, 3, 29, 29, 1, 8, 12], [6; 7]],
                };
                for lengths in lengths {
                    let on_cpu = Stack::new(on_cpu, &config, &weights, &lengths, &Device::Cpu);
                    let on_gpu = Stack::new(kernel, &config, &weights, &lengths, device);
                    let pairs = [
                        ("graph", on_cpu.run(), on_gpu.run()),
                        ("training", on_cpu.train(), on_gpu.train()),
                    ];
                    for (how, expected, found) in pairs {
                        assert_eq!(found.len(), expected.len());
                        for (name, expected) in &expected {
                            if compared(cell_type, name) {
                                let kernel = kernel.name();
                                let what = format!(
                                    "{kernel} {cell_type} {num_layers} layers, {how}: {name}"
                                );
                                assert_close(&what, &found[name], expected, tolerance);
                                cases += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    eprintln!("{cases} tensors compared");
    // Both implementations and both batches for each cell type and each of the four stacks, with at least six tensors
    // each.
    assert!(cases >= 2 * 2 * 4 * 4 * 6);
}

/// The textbook's classifier with all poolings and dropouts: logits and gradients.
#[test]
fn a_classifier_agrees_with_the_cpu() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    let config = ModelConfig {
        embedding_size: 12,
        num_hiddens: 16,
        num_layers: 2,
        pooling: vec![Pooling::Ends, Pooling::Max, Pooling::Mean],
        embedding_dropout: 0.3,
        encoder_dropout: 0.2,
        dropout: 0.5,
        ..ModelConfig::default()
    };
    let texts: [&[u32]; 4] = [&[1, 2, 3, 9, 4], &[4, 1, 1], &[7], &[3, 3, 8, 1, 2, 6, 5]];
    let batch = Batch::new(&texts).unwrap();
    let phase = Phase::Training { seed: 3, step: 5 };
    let run = |device: &Device| {
        let build = |vb: VarBuilder| BiRnn::new(&config, 10, 3, vb);
        let (model, parameters) = Parameters::create(4, device, build).unwrap();
        let logits = model.forward(&batch, phase).unwrap();
        let weights = normal(8, logits.dims()).to_device(device).unwrap();
        let store = (&logits * weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let mut found = HashMap::from([("logits".to_owned(), logits)]);
        for (name, var) in parameters.iter() {
            found.insert(name.to_owned(), store.get(var).unwrap().clone());
        }
        found
    };
    let (expected, found) = (run(&Device::Cpu), run(&device));
    for (name, expected) in &expected {
        assert_close(name, &found[name], expected, 1e-4);
    }
}

#[test]
fn dropout_has_the_mask_of_the_cpu() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    let x = normal(1, &[37, 41]);
    let dropout = Dropout::new(0.4, 2).unwrap();
    // The same mask for both.
    let phase = Phase::Training { seed: 7, step: 9 }.replay();
    let expected = dropout.forward(&x, phase).unwrap();
    let found = dropout
        .forward(&x.to_device(&device).unwrap(), phase)
        .unwrap();
    assert_eq!(numbers(&found), numbers(&expected));
}

/// Three steps, some of them by rows.
#[test]
fn the_optimizer_takes_the_steps_of_the_cpu() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    let run = |device: &Device| {
        let init = Init::Uniform { lo: -1., up: 1. };
        let build = |vb: VarBuilder| -> birnn::Result<()> {
            vb.get_with_hints((9, 5), "table", init)?;
            vb.get_with_hints(7, "bias", init)?;
            Ok(())
        };
        let (_, parameters) = Parameters::create(5, device, build).unwrap();
        let mut optimizer = AdamW::new(AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        });
        for step in 0..3 {
            let there = |seed, shape: &[usize]| normal(seed, shape).to_device(device).unwrap();
            let mut gradients = Gradients::default();
            gradients.insert("bias", Gradient::Dense(there(step, &[7])));
            let rows = vec![step as u32, 4, 8];
            let values = there(10 + step, &[3, 5]);
            gradients.insert(
                "table",
                Gradient::Rows {
                    rows: rows.into(),
                    values,
                },
            );
            optimizer.step(&parameters, &gradients, 0.1, 0.5).unwrap();
        }
        parameters.tensors()
    };
    let (expected, found) = (run(&Device::Cpu), run(&device));
    for (name, expected) in &expected {
        assert_close(name, &found[name], expected, 1e-6);
    }
}

/// Stops a run after a step.
struct Until(u64, bool);

impl Observer for Until {
    fn step(&mut self, report: &StepReport) {
        self.1 |= self.0 == report.step;
    }

    fn evaluating(&mut self, _done: usize, _total: usize) {}

    fn epoch(&mut self, _report: &EpochReport) {}

    fn stop(&mut self) -> bool {
        self.1
    }
}

/// The best weights of a run that begins on one device and is resumed on another.
fn trained(first: &Device, then: &Device) -> BTreeMap<String, Tensor> {
    let mut config = Config::default();
    (config.model.embedding_size, config.model.num_hiddens) = (8, 6);
    config.model.pooling = vec![Pooling::Ends, Pooling::Max];
    config.model.embedding_dropout = 0.2;
    (config.train.epochs, config.train.batch_size) = (2, 8);
    config.train.word_dropout = 0.1;
    config.train.ema_decay = 0.9;
    let words = ["bad", "good", "film", "cast", "plot"];
    let texts: Vec<String> = (0..40)
        .map(|row| {
            let words = (0..3 + row % 7).map(|word| words[(row + word * word) % 5]);
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let text_config = TextConfig {
        min_frequency: 1,
        ..TextConfig::default()
    };
    let encoder = TextEncoder::train(&texts, &text_config, &mut |_, _| ()).unwrap();
    let encoded = Encoded {
        ids: texts
            .iter()
            .map(|text| encoder.encode(text).unwrap())
            .collect(),
        labels: (0..40).map(|row| row % 2).collect(),
        ..Encoded::default()
    };
    let model = |device: &Device| {
        initial_model(&config, encoder.vocabulary_size(), 2, None, device).unwrap()
    };
    let labels = Labels::new(vec!["bad".into(), "good".into()]).unwrap();
    let file = ModelFile::new(config.model.clone(), &text_config, labels);
    let folder = tempfile::tempdir().unwrap();
    let data = Fingerprints::default();
    let mut run =
        RunDirectory::create(folder.path(), &config, &file, &encoder, data, false).unwrap();
    let (train, validation) = (&encoded, &encoded);
    let trainer = |device: &Device| {
        let task = ClassifierTask::new(&config, model(device), train, validation, 2, 1);
        Trainer::new(task.unwrap(), TrainerConfig::classifier(&config))
    };
    let outcome = trainer(first).run(&mut run, &mut Until(4, false)).unwrap();
    drop(run);
    assert_eq!(outcome, Outcome::Interrupted { step: 4 });
    let Resumed {
        mut run, snapshot, ..
    } = RunDirectory::resume(
        folder.path(),
        RunKind::Classifier,
        Fingerprints::default(),
        then,
    )
    .unwrap();
    let mut resumed = trainer(then).resume(snapshot).unwrap();
    let outcome = resumed.run(&mut run, &mut Until(0, false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished { .. }));
    let weights = folder.path().join("model.safetensors");
    let weights = candle_core::safetensors::load(weights, &Device::Cpu).unwrap();
    weights.into_iter().collect()
}

/// Uploaded batches, steps, averages and evaluations: the same weights wherever a run begins and ends.
#[test]
fn a_run_is_resumed_on_another_device() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    let expected = trained(&Device::Cpu, &Device::Cpu);
    for (first, then) in [
        (&device, &device),
        (&device, &Device::Cpu),
        (&Device::Cpu, &device),
    ] {
        let found = trained(first, then);
        for (name, expected) in &expected {
            assert_close(name, &found[name], expected, 1e-3);
        }
    }
}

/// Three steps of a bidirectional language model on whole texts, with sampled candidates.
#[test]
fn a_language_model_learns_as_on_the_cpu() {
    let Some((device, _alone)) = gpu() else {
        return;
    };
    let texts: Vec<Vec<u32>> = (0..9u32)
        .map(|text| {
            (0..3 + text)
                .map(|word| (text + word * word) % 20)
                .collect()
        })
        .collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let unigrams = Unigrams::new(texts.iter().copied(), 20).unwrap();
    let softmax = Softmax::Sampled {
        unigrams: &unigrams,
        num_samples: 6,
    };
    let config = LanguageConfig {
        input: Input::Embedding,
        embedding_size: 8,
        num_hiddens: 8,
        bidirectional: true,
        tied: true,
        dropout: 0.2,
        ..LanguageConfig::default()
    };
    let run = |device: &Device| {
        let build = |vb: VarBuilder| RnnModel::new(&config, 20, vb);
        let model = Parameters::create(6, device, build).unwrap();
        let mut learner = LanguageLearner::new(model, LanguageTraining::default());
        let mut losses = Vec::new();
        for pass in 0..3 {
            let batch = learner.prepare(&texts, softmax, pass).unwrap();
            let (gradients, loss) = learner.gradients(&[batch]).unwrap();
            learner.update(&gradients, 0.01).unwrap();
            losses.push(loss.mean() as f32);
        }
        let mut found = learner.weights().parameters().tensors();
        found.insert(
            "losses".to_owned(),
            Tensor::new(losses, &Device::Cpu).unwrap(),
        );
        found
    };
    let (expected, found) = (run(&Device::Cpu), run(&device));
    for (name, expected) in &expected {
        assert_close(name, &found[name], expected, 1e-4);
    }
}
