//! Batches without a single step, and batches without rows: for the kernels and for the variants of the cells.

use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State, pack_padded, pad_packed};
use candle_core::{DType, Device, Tensor, Var};

const CPU: Device = Device::Cpu;

/// Two layers in both directions, of every cell and with a projection.
fn stacks() -> Vec<Recurrent> {
    let configs = CellType::ALL.map(|cell_type| RecurrentConfig::new(cell_type, 2, 3));
    let projected = RecurrentConfig::new(CellType::Lstm, 2, 3).proj_size(1);
    let learned = projected.clone().learn_initial_state(true);
    let others = [projected, learned];
    let configs = configs.into_iter().chain(others).map(|config| {
        let config = config.num_layers(2).bidirectional(true);
        config.batch_first(true).dropout(0.5)
    });
    configs
        .map(|config| {
            let built = Parameters::create(1, &CPU, |vb| Recurrent::new(&config, vb));
            built.unwrap().0
        })
        .collect()
}

fn var(shape: &[usize]) -> Var {
    let values = (0..shape.iter().product()).map(|index: usize| index as f32 + 1.0);
    let tensor = Tensor::from_vec(values.collect(), shape, &CPU).unwrap();
    Var::from_tensor(&tensor).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The state passes through, with its gradient; nothing else has one but zero.
#[test]
fn rows_without_steps_keep_their_state() {
    for stack in stacks() {
        let config = stack.config();
        let input = var(&[3, 4, 2]);
        let h = var(&[4, 3, config.state_size()]);
        let c = config.cell_type.has_cell().then(|| var(&[4, 3, 3]));
        let initial = State {
            h: h.as_tensor().clone(),
            c: c.as_ref().map(|c| c.as_tensor().clone()),
        };
        for phase in [Phase::Inference, Phase::Training { seed: 1, step: 1 }] {
            let (output, state) = stack
                .forward(&input, Some(&[0, 0, 0]), Some(&initial), phase)
                .unwrap();
            assert_eq!(output.dims(), [3, 4, config.output_size()]);
            assert!(values(&output).iter().all(|&v| v == 0.0));
            assert_eq!(values(&state.h), values(&h));
            let mut loss =
                (state.h.sqr().unwrap().sum_all().unwrap() + output.sum_all().unwrap()).unwrap();
            if let (Some(c), Some(c_n)) = (&c, &state.c) {
                assert_eq!(values(c_n), values(c));
                loss = (loss + c_n.sqr().unwrap().sum_all().unwrap()).unwrap();
            }
            let gradients = loss.backward().unwrap();
            for var in [Some(&h), c.as_ref()].into_iter().flatten() {
                let doubled: Vec<f32> = values(var).iter().map(|v| 2.0 * v).collect();
                assert_eq!(values(gradients.get(var).unwrap()), doubled);
            }
            let of_input = gradients.get(&input).map(values).unwrap_or_default();
            assert!(of_input.iter().all(|&v| v == 0.0));
        }
    }
}

#[test]
fn a_batch_without_rows_has_an_empty_output() {
    for stack in stacks() {
        let config = stack.config();
        let lengths: [Option<&[usize]>; 2] = [None, Some(&[])];
        for lengths in lengths {
            let input = Tensor::zeros((0, 4, 2), DType::F32, &CPU).unwrap();
            let (output, state) = stack
                .forward(&input, lengths, None, Phase::Inference)
                .unwrap();
            assert_eq!(output.dims(), [0, 4, config.output_size()]);
            assert_eq!(state.h.dims(), [4, 0, config.state_size()]);
            if let Some(c) = state.c {
                assert_eq!(c.dims(), [4, 0, 3]);
            }
        }
        let input = Tensor::zeros((3, 0, 2), DType::F32, &CPU).unwrap();
        let (output, state) = stack.forward(&input, None, None, Phase::Inference).unwrap();
        assert_eq!(output.dims(), [3, 0, config.output_size()]);
        assert!(values(&state.h).iter().all(|&v| v == 0.0));
    }
}

/// Also by the free functions.
#[test]
fn packing_nothing_and_unpacking_it() {
    for (batch, lengths) in [(0, vec![]), (2, vec![0, 0])] {
        let input = Tensor::ones((batch, 4, 2), DType::F32, &CPU).unwrap();
        let (rows, packing) = pack_padded(&input, &lengths, true).unwrap();
        assert_eq!(rows.dims(), [0, 2]);
        let padded = pad_packed(&rows, &packing, true).unwrap();
        assert_eq!(padded.dims(), [batch, 0, 2]);
    }
}
