//! Layers as parts of any Candle graph: many backward passes over one forward pass at the same time, inside each other
//! and after failed ones; long chains of states; `?` and `Module` in Candle's own functions.

use crate::support::assert_close;
use birnn::ops::dropout::Phase;
use birnn::rnn::kernels::{self, Kernel};
use birnn::rnn::{CellType, GateActivation, Recurrent, RecurrentConfig, State};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Module, Shape, Tensor, Var, bail};
use candle_nn::{Linear, VarBuilder, VarMap};
use rayon::prelude::*;

const CPU: Device = Device::Cpu;

fn build(config: &RecurrentConfig) -> Recurrent {
    let variables = VarMap::new();
    Recurrent::new(
        config,
        VarBuilder::from_varmap(&variables, DType::F32, &CPU),
    )
    .unwrap()
}

fn random(shape: impl Into<Shape>) -> Tensor {
    Tensor::randn(0f32, 1., shape, &CPU).unwrap()
}

/// A stack for every kernel, and one for the layers that no kernel has.
fn every_way(config: &RecurrentConfig) -> Vec<Recurrent> {
    let on = |kernel: &'static dyn Kernel| build(config).with_kernel(kernel);
    let mut all: Vec<Recurrent> = kernels::all(&CPU, DType::F32).into_iter().map(on).collect();
    all.push(build(&config.clone().zoneout(0.1)));
    all
}

fn gradient(loss: &Tensor, of: &Var) -> candle_core::Result<Tensor> {
    Ok(loss.backward()?.get(of).unwrap().clone())
}

fn norm(tensor: &Tensor) -> f32 {
    let sum = tensor.sqr().unwrap().sum_all().unwrap();
    sum.to_scalar::<f32>().unwrap().sqrt()
}

/// The identity, whose backward pass does something first.
struct Before<F>(F);

impl<F: Fn() -> candle_core::Result<()> + Send + Sync> CustomOp1 for Before<F> {
    fn name(&self) -> &'static str {
        "before"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, d: &Tensor) -> candle_core::Result<Option<Tensor>> {
        (self.0)()?;
        Ok(Some(d.clone()))
    }
}

/// Gradients of 25 classes of one forward pass with respect to its input, in 8 threads that steal each other's work,
/// where every tenth pass fails half way: 10,000 of them on the fastest kernel, fewer on the others.
#[test]
fn gradients_in_parallel_are_those_alone() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build();
    let pool = pool.unwrap();
    let config = RecurrentConfig::new(CellType::Lstm, 6, 7)
        .bidirectional(true)
        .num_layers(2)
        .batch_first(true);
    for (number, rnn) in every_way(&config).into_iter().enumerate() {
        let rounds = if number == 0 { 445 } else { 4 };
        let x = Var::from_tensor(&random((3, 9, 6))).unwrap();
        let (output, state) = rnn
            .forward(&x, Some(&[9, 2, 5]), None, Phase::Inference)
            .unwrap();
        let heads = [random((14, 25)), random((7, 25)), random((7, 25))];
        let of = |rows: &Tensor, head: &Tensor| rows.matmul(head).unwrap().sum(0).unwrap();
        let output = output.reshape((27, 14)).unwrap();
        let h = state.h.reshape((12, 7)).unwrap();
        let c = state.c.unwrap().reshape((12, 7)).unwrap();
        let logits = (of(&output, &heads[0]) + of(&h, &heads[1])).unwrap();
        let logits = (logits + of(&c, &heads[2])).unwrap();
        let class = |class: usize| logits.get(class).unwrap();
        let alone: Vec<Tensor> = (0..25).map(|c| gradient(&class(c), &x).unwrap()).collect();
        let fails = output
            .apply_op1(Before(|| bail!("half way")))
            .unwrap()
            .sum_all()
            .unwrap();
        let (mut wrong, mut all) = (0, 0);
        for _ in 0..rounds {
            let found: Vec<Option<Tensor>> = pool.install(|| {
                let one = |number: usize| match number % 10 {
                    // The gradient of the state is there before the output's fails.
                    9 => {
                        let loss = (&fails + class(number % 25)).unwrap();
                        assert!(gradient(&loss, &x).is_err());
                        None
                    }
                    _ => Some(gradient(&class(number % 25), &x).unwrap()),
                };
                (0..25).into_par_iter().map(one).collect()
            });
            for (found, alone) in found.iter().zip(&alone) {
                if let Some(found) = found {
                    all += 1;
                    let off = norm(&(found - alone).unwrap()) / norm(alone);
                    wrong += usize::from(off.is_nan() || off > 1e-5);
                }
            }
        }
        assert_eq!(wrong, 0, "of {all}");
        assert!(number > 0 || all >= 10_000, "{all}");
    }
}

/// A backward pass that runs inside another one of the same graph, on the same thread.
#[test]
fn a_gradient_inside_a_backward_pass_changes_neither() {
    for cell_type in CellType::ALL {
        let config = RecurrentConfig::new(cell_type, 5, 6).batch_first(true);
        for rnn in every_way(&config) {
            let x = Var::from_tensor(&random((2, 3, 5))).unwrap();
            let (output, state) = rnn.forward(&x, None, None, Phase::Inference).unwrap();
            let of_state = state.h.sqr().unwrap().sum_all().unwrap();
            let loss = |output: &Tensor| (output.sum_all().unwrap() + &of_state).unwrap();
            let expected = gradient(&loss(&output), &x).unwrap();
            let inner = of_state.clone();
            let peek = Before(move || inner.backward().map(|_| ()));
            let peeked = output.apply_op1(peek).unwrap();
            let found = gradient(&loss(&peeked), &x).unwrap();
            assert_close(&found, &expected, 1e-6, "with a pass inside");
            let fails = output.apply_op1(Before(|| bail!("half way"))).unwrap();
            assert!(gradient(&loss(&fails), &x).is_err());
            let after = gradient(&loss(&output), &x).unwrap();
            assert_close(&after, &expected, 1e-6, "after a failed pass");
            // Of the output alone: nothing is left of the state's.
            let alone = gradient(&output.sum_all().unwrap(), &x).unwrap();
            let rest = gradient(&of_state, &x).unwrap();
            assert_close(&(alone + rest).unwrap(), &expected, 1e-5, "sum of parts");
        }
    }
}

/// A state carried over 20,000 segments, whose graphs form one chain, is dropped on a thread with a small stack.
#[test]
fn a_long_chain_of_states_is_dropped() {
    let work = || {
        for (cell_type, variant) in [
            (CellType::Gru, false),
            (CellType::Lstm, false),
            (CellType::Lstm, true),
        ] {
            let mut config = RecurrentConfig::new(cell_type, 2, 3).batch_first(true);
            if variant {
                config = config.gate_activation(GateActivation::HardSigmoid);
            }
            let segments = if variant { 2_000 } else { 20_000 };
            let rnn = build(&config);
            let x = random((1, 1, 2));
            let mut state: Option<State> = None;
            for _ in 0..segments {
                let (_, next) = rnn
                    .forward(&x, None, state.as_ref(), Phase::Inference)
                    .unwrap();
                state = Some(next);
            }
            assert!(state.as_ref().unwrap().h.track_op());
            drop(state);
        }
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(work).unwrap().join().unwrap();
}

/// The same for a loop of cells.
#[test]
fn a_long_loop_of_cells_is_dropped() {
    let work = || {
        let variables = VarMap::new();
        let vb = VarBuilder::from_varmap(&variables, DType::F32, &CPU);
        let cell = birnn::rnn::LstmCell::new(2, 3, true, vb).unwrap();
        let x = random((1, 2));
        let (mut h, mut c) = (random((1, 3)), random((1, 3)));
        for _ in 0..20_000 {
            (h, c) = cell.forward(&x, &h, &c).unwrap();
        }
        assert!(h.track_op() && c.track_op());
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(work).unwrap().join().unwrap();
}

/// Truncated back-propagation: no gradient reaches what is before `detach`.
#[test]
fn a_detached_state_is_where_gradients_end() {
    let rnn = build(&RecurrentConfig::new(CellType::Lstm, 5, 6).batch_first(true));
    let x = Var::from_tensor(&random((2, 3, 5))).unwrap();
    let (_, state) = rnn.forward(&x, None, None, Phase::Inference).unwrap();
    let last = |state: &State| {
        let other = random((2, 3, 5));
        let (_, state) = rnn
            .forward(&other, None, Some(state), Phase::Inference)
            .unwrap();
        state.h.sum_all().unwrap()
    };
    assert!(last(&state).backward().unwrap().get(&x).is_some());
    let detached = state.detach();
    assert!(last(&detached).backward().unwrap().get(&x).is_none());
    assert_close(&detached.h, &state.h, 0.0, "h");
    assert_close(&detached.c.unwrap(), &state.c.unwrap(), 0.0, "c");
}

/// A model as they are written with Candle: `?` on the layer's errors, and the layer in a sequence of modules.
struct Tagger {
    rnn: Recurrent,
    head: Linear,
}

impl Module for Tagger {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (output, _) = self.rnn.forward(x, None, None, Phase::Inference)?;
        self.head.forward(&output)
    }
}

#[test]
fn a_layer_inside_a_module() {
    let rnn = build(&RecurrentConfig::new(CellType::Gru, 5, 6).batch_first(true));
    let tagger = Tagger {
        rnn: rnn.clone(),
        head: Linear::new(random((3, 6)), None),
    };
    let x = random((2, 4, 5));
    assert_eq!(tagger.forward(&x).unwrap().dims(), [2, 4, 3]);
    let error = tagger.forward(&random((2, 4, 7))).unwrap_err().to_string();
    assert!(
        error.starts_with("input: 7 features in shape [2, 4, 7], but input_size is 5"),
        "{error}"
    );
    let expected = tagger.forward(&x).unwrap();
    let chain = candle_nn::seq().add(rnn).add(tagger.head);
    assert_close(&chain.forward(&x).unwrap(), &expected, 0.0, "in a sequence");
}
