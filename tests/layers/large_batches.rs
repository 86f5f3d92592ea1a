//! Batches large enough for the CPU kernel to divide them: several shards of rows, chunks of steps
//! and threads, compared with the reference kernel; the kernel's other entry points; and whole
//! training steps whose tables are divided.

use crate::support::{assert_close, values};
use birnn::batch::packing::Packing;
use birnn::config::TrainConfig;
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::ops::dropout::Phase;
use birnn::ops::pooling::Pooling;
use birnn::parameters::Parameters;
use birnn::rng::{Rng, Stream};
use birnn::rnn::kernels::{self, CellType, Kernel};
use birnn::rnn::{Recurrent, RecurrentConfig, State, Wanted};
use birnn::train::classifier::{LabelledBatch, Learner};
use candle_core::{DType, Device, Tensor, Var};
use std::sync::Arc;

const CPU: Device = Device::Cpu;

fn random(draw: u64, shape: &[usize]) -> Tensor {
    let mut rng = Rng::new(7, Stream::Initialisation, draw, 0);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

/// A stack, a packed batch for it, and a loss that depends on everything.
struct Case {
    stack: Recurrent,
    parameters: Parameters,
    packing: Arc<Packing>,
    input: Var,
    initial: [Var; 2],
    upstream: [Tensor; 3],
    has_cell: bool,
}

impl Case {
    fn new(config: &RecurrentConfig, lengths: &[usize]) -> Self {
        let build = |vb: candle_nn::VarBuilder| Recurrent::new(config, vb);
        let (stack, parameters) = Parameters::create(3, &CPU, build).unwrap();
        let packing = Packing::new(lengths).unwrap();
        let (rows, batch) = (packing.rows(), packing.batch());
        let directions = stack.directions();
        let (hidden, layers) = (config.hidden_size, config.num_layers);
        let state = [layers * directions, batch, hidden];
        let var = |draw, shape: &[usize]| Var::from_tensor(&random(draw, shape)).unwrap();
        Self {
            input: var(1, &[rows, config.input_size]),
            initial: [var(2, &state), var(3, &state)],
            upstream: [
                random(4, &[rows, directions * hidden]),
                random(5, &state),
                random(6, &state),
            ],
            has_cell: config.cell_type.has_cell(),
            packing: Arc::new(packing),
            stack,
            parameters,
        }
    }

    /// 70 ragged rows of up to 40 steps: three shards, several chunks, and work for several
    /// threads.
    fn large(cell_type: CellType) -> Self {
        let lengths: Vec<usize> = (0..70).map(|row| 1 + (row * 29) % 40).collect();
        let config = RecurrentConfig {
            bidirectional: true,
            ..RecurrentConfig::new(cell_type, 40, 48)
        };
        Self::new(&config, &lengths)
    }

    fn state(&self) -> State {
        let [h, c] = &self.initial;
        State {
            h: h.as_tensor().clone(),
            c: self.has_cell.then(|| c.as_tensor().clone()),
        }
    }

    /// Output, final state, and the gradients of input, initial state and parameters, through the
    /// graph.
    fn results(&self, kernel: &'static dyn Kernel) -> Vec<(String, Tensor)> {
        let stack = self.stack.clone().with_kernel(kernel);
        let initial = self.state();
        let (output, state) = stack
            .forward_packed(&self.input, &self.packing, Some(&initial), Phase::Inference)
            .unwrap();
        let [to_output, to_h, to_c] = &self.upstream;
        let weighted = |a: &Tensor, b: &Tensor| (a * b).unwrap().sum_all().unwrap();
        let mut loss = (weighted(&output, to_output) + weighted(&state.h, to_h)).unwrap();
        if let Some(c) = &state.c {
            loss = (loss + weighted(c, to_c)).unwrap();
        }
        let gradients = loss.backward().unwrap();
        let mut results = vec![("output".to_owned(), output), ("h".to_owned(), state.h)];
        results.extend(state.c.map(|c| ("c".to_owned(), c)));
        let [h, c] = &self.initial;
        let own = [("input", &self.input), ("initial h", h)];
        let cell = self.has_cell.then_some(("initial c", c));
        let variables = own.into_iter().chain(cell).chain(self.parameters.iter());
        for (name, var) in variables {
            let gradient = gradients.get(var).unwrap().clone();
            results.push((format!("gradient of {name}"), gradient));
        }
        results
    }
}

fn bits(results: &[(String, Tensor)]) -> Vec<Vec<u32>> {
    let bits = |tensor: &Tensor| values(tensor).iter().map(|value| value.to_bits()).collect();
    results.iter().map(|(_, tensor)| bits(tensor)).collect()
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(work)
}

fn check_against_reference(case: &Case, what: &str) {
    let slow = case.results(&kernels::reference::ReferenceKernel);
    for kernel in kernels::cpu::kernels() {
        let fast = case.results(kernel);
        assert_eq!(fast.len(), slow.len());
        for ((name, fast), (_, slow)) in fast.iter().zip(&slow) {
            let what = format!("{what} on {}: {name}", kernel.name());
            assert_close(fast, slow, 1e-5, &what);
        }
    }
}

#[test]
fn several_shards_and_chunks_agree_with_the_reference() {
    for cell_type in CellType::ALL {
        check_against_reference(&Case::large(cell_type), &format!("{cell_type:?}"));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for cell_type in CellType::ALL {
        let case = Case::large(cell_type);
        let run =
            |threads| on_threads(threads, || bits(&case.results(&kernels::cpu::kernels()[0])));
        let one = run(1);
        for threads in [2, 3, 8] {
            assert!(run(threads) == one, "{cell_type:?} on {threads} threads");
        }
    }
}

#[test]
fn the_smallest_sizes_agree_with_the_reference() {
    for cell_type in CellType::ALL {
        for (bias, bidirectional) in [(true, true), (false, false)] {
            let config = RecurrentConfig {
                bias,
                bidirectional,
                ..RecurrentConfig::new(cell_type, 1, 1)
            };
            check_against_reference(&Case::new(&config, &[1]), &format!("{cell_type:?}"));
        }
    }
}

/// The graph nodes: a loss of the state alone, and the same graph twice.
#[test]
fn a_loss_of_the_state_alone_has_repeatable_gradients() {
    let case = Case::large(CellType::Lstm);
    let (output, state) = case
        .stack
        .forward_packed(&case.input, &case.packing, None, Phase::Inference)
        .unwrap();
    let of_state = (&state.h * &case.upstream[1]).unwrap().sum_all().unwrap();
    let of_output = (&output * &case.upstream[0]).unwrap().sum_all().unwrap();
    let gradient = |loss: &Tensor| {
        let gradients = loss.backward().unwrap();
        gradients.get(&case.input).unwrap().clone()
    };
    let (first, other, again) = (
        gradient(&of_state),
        gradient(&of_output),
        gradient(&of_state),
    );
    assert_eq!(values(&first), values(&again));
    let both = gradient(&(of_state + of_output).unwrap());
    assert_close(&both, &(first + other).unwrap(), 1e-5, "sum of both");
}

/// The results without a graph are identical to the bit: training uses `forward_train`.
#[test]
fn passes_without_a_graph_have_its_gradients() {
    let config = RecurrentConfig {
        num_layers: 2,
        bidirectional: true,
        ..RecurrentConfig::new(CellType::Gru, 40, 48)
    };
    let case = Case::new(&config, &[30, 20, 25, 9]);
    let (output, _) = case
        .stack
        .forward_packed(&case.input, &case.packing, None, Phase::Inference)
        .unwrap();
    let loss = (&output * &case.upstream[0]).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let input = case.input.as_detached_tensor();
    let pass = case
        .stack
        .forward_train(&input, &case.packing, None, Phase::Inference);
    let pass = pass.unwrap();
    assert_eq!(values(pass.output()), values(&output));
    let (d_input, parameters) = pass
        .backward(case.upstream[0].clone(), Wanted::parameters(true))
        .unwrap();
    let of_input = gradients.get(&case.input).unwrap();
    assert_eq!(values(&d_input.unwrap()), values(of_input));
    assert_eq!(parameters.len(), 16);
    for (name, var) in case.parameters.iter() {
        let (_, gradient) = parameters.iter().find(|(id, _)| *id == var.id()).unwrap();
        assert_eq!(
            values(gradient),
            values(gradients.get(var).unwrap()),
            "{name}"
        );
    }
}

/// The saved activations of each kernel give the gradients of its graph.
#[test]
fn every_kernel_trains_without_a_graph() {
    for cell_type in [
        CellType::RnnTanh,
        CellType::RnnRelu,
        CellType::Gru,
        CellType::Lstm,
    ] {
        let config = RecurrentConfig {
            num_layers: 2,
            bidirectional: true,
            ..RecurrentConfig::new(cell_type, 5, 4)
        };
        let case = Case::new(&config, &[7, 3, 6, 1]);
        for kernel in birnn::rnn::kernels::all(&CPU, DType::F32) {
            let stack = case.stack.clone().with_kernel(kernel);
            let phase = Phase::Inference;
            let (output, _) = stack
                .forward_packed(&case.input, &case.packing, None, phase)
                .unwrap();
            let loss = (&output * &case.upstream[0]).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            let pass = stack.forward_train(&case.input, &case.packing, None, phase);
            let pass = pass.unwrap();
            let name = format!("{cell_type:?} on {}", kernel.name());
            assert_close(pass.output(), &output, 1e-6, &name);
            let (d_input, parameters) = pass
                .backward(case.upstream[0].clone(), Wanted::parameters(true))
                .unwrap();
            let expected = gradients.get(&case.input).unwrap();
            assert_close(&d_input.unwrap(), expected, 1e-5, &name);
            assert_eq!(parameters.len(), case.parameters.iter().count());
            for (parameter, var) in case.parameters.iter() {
                let (_, gradient) = parameters.iter().find(|(id, _)| *id == var.id()).unwrap();
                let context = format!("{name}: {parameter}");
                assert_close(gradient, gradients.get(var).unwrap(), 1e-5, &context);
            }
        }
    }
}

#[test]
fn prepared_weights_change_no_bit_and_only_constants_are_prepared() {
    let case = Case::large(CellType::Lstm);
    let config = RecurrentConfig {
        bidirectional: true,
        ..RecurrentConfig::new(CellType::Lstm, 40, 48)
    };
    let constant = Recurrent::new(&config, case.parameters.detached()).unwrap();
    let prepared = constant.clone().prepared().unwrap();
    let gradient = |stack: &Recurrent, variable: &Var| {
        let (output, _) = stack
            .forward_packed(&case.input, &case.packing, None, Phase::Inference)
            .unwrap();
        let gradients = output.sum_all().unwrap().backward().unwrap();
        (values(&output), values(gradients.get(variable).unwrap()))
    };
    assert!(gradient(&constant, &case.input) == gradient(&prepared, &case.input));
    // Variables are not prepared, so that they have gradients.
    let variables = case.stack.clone().prepared().unwrap();
    let weight = case.parameters.get("weight_hh_l0").unwrap();
    assert!(gradient(&case.stack, weight) == gradient(&variables, weight));
}

#[test]
fn weights_prepared_for_another_layer_are_refused() {
    let weights = |hidden: usize| kernels::DirectionWeights {
        input: random(1, &[4 * hidden, 3]),
        hidden: random(2, &[4 * hidden, hidden]),
        bias: None,
    };
    let kernel = &kernels::cpu::kernels()[0];
    let prepared = kernel.prepare(CellType::Lstm, &[weights(5)]).unwrap();
    let packing = Arc::new(Packing::new(&[2]).unwrap());
    let layer = |weights: &[kernels::DirectionWeights]| {
        let layer = kernels::Layer {
            cell_type: CellType::Lstm,
            packing: &packing,
            input: &random(3, &[2, 3]),
            weights,
            initial: None,
            prepared: prepared.as_ref(),
        };
        kernel.forward(&layer).map(|_| ())
    };
    layer(&[weights(5)]).unwrap();
    let message = layer(&[weights(6)]).unwrap_err().to_string();
    assert_eq!(
        message,
        "prepared: made from other weights or by another kernel"
    );
    let empty = Tensor::zeros((0, 3), DType::F32, &CPU).unwrap();
    let no_units = kernels::DirectionWeights {
        input: empty,
        hidden: Tensor::zeros((0, 0), DType::F32, &CPU).unwrap(),
        bias: None,
    };
    let message = layer(&[no_units]).unwrap_err().to_string();
    assert_eq!(
        message,
        "weights: a layer needs at least one input and one hidden unit"
    );
}

/// Embedding, dropout, pooling, optimizer and averages work on blocks of their tables: 100 texts of
/// up to 60 tokens and 6,000 rows of 33 numbers are several blocks each.
#[test]
fn training_steps_are_the_same_bits_on_any_number_of_threads() {
    let config = ModelConfig {
        embedding_size: 33,
        num_hiddens: 24,
        num_layers: 2,
        pooling: vec![Pooling::Mean, Pooling::Max],
        embedding_dropout: 0.3,
        encoder_dropout: 0.3,
        dropout: 0.3,
        ..ModelConfig::default()
    };
    let settings = TrainConfig {
        ema_decay: 0.9,
        label_smoothing: 0.1,
        ..TrainConfig::default()
    };
    let vocabulary = 6000;
    let mut rng = Rng::new(5, Stream::Shuffle, 0, 0);
    let texts: Vec<Vec<u32>> = (0..100)
        .map(|_| {
            let length = 1 + rng.below(60);
            (0..length).map(|_| rng.below(vocabulary) as u32).collect()
        })
        .collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let labels: Vec<u32> = (0..100).map(|text| text % 2).collect();
    let train = || {
        let build = |vb: candle_nn::VarBuilder| BiRnn::new(&config, vocabulary, 2, vb);
        let model = Parameters::create(1, &CPU, build).unwrap();
        let mut learner = Learner::new(&settings, 1, model).unwrap();
        for pass in 0..3 {
            let batch = LabelledBatch::new(&texts, &labels, pass).unwrap();
            let (gradients, _) = learner.gradients(&[batch]).unwrap();
            learner.update(gradients, 0.01).unwrap();
        }
        let state = learner.weights().tensors().into_iter();
        let averages = learner.weights().values().unwrap().into_iter();
        bits(&state.chain(averages).collect::<Vec<_>>())
    };
    let one = on_threads(1, train);
    for threads in [2, 3, 5] {
        assert!(on_threads(threads, train) == one, "{threads} threads");
    }
}
