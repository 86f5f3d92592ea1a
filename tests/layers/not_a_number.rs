//! NaN in, NaN out: in every cell on every kernel, in every pooling, forward and backward.

use birnn::batch::Batch;
use birnn::batch::packing::Packing;
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::ops::dropout::Phase;
use birnn::ops::pooling::{Pooling, pool};
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, kernels};
use candle_core::{DType, Device, Tensor, Var};
use std::sync::Arc;

const CPU: Device = Device::Cpu;

fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A NaN in step 1 of row 1: in that row, everything from there on and before that in reverse; in the others nothing.
#[test]
fn layers() {
    for dtype in [DType::F32, DType::F64] {
        for cell_type in CellType::ALL {
            let config = RecurrentConfig::new(cell_type, 4, 5)
                .batch_first(true)
                .bidirectional(true);
            let (stack, _) =
                Parameters::create(1, &CPU, |vb| Recurrent::new(&config, vb.set_dtype(dtype)))
                    .unwrap();
            for kernel in kernels::all(&CPU, dtype) {
                let stack = stack.clone().with_kernel(kernel);
                let mut numbers: Vec<f32> = (0..2 * 3 * 4).map(|n| n as f32 / 9.0 - 1.0).collect();
                numbers[3 * 4 + 4 + 2] = f32::NAN;
                let x = Tensor::from_vec(numbers, (2, 3, 4), &CPU).unwrap();
                let x = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
                let (output, state) = stack.forward(&x, None, None, Phase::Inference).unwrap();
                let context = format!("{cell_type} on {}, {dtype:?}", kernel.name());
                for (index, value) in values(&output).into_iter().enumerate() {
                    let (row, step) = (index / 30, index / 10 % 3);
                    let is_reverse = index % 10 >= 5;
                    let reached = if is_reverse { step <= 1 } else { step >= 1 };
                    assert_eq!(value.is_nan(), row == 1 && reached, "{context}: {index}");
                }
                for (index, value) in values(&state.h).into_iter().enumerate() {
                    assert_eq!(
                        value.is_nan(),
                        index / 5 % 2 == 1,
                        "{context}: state {index}"
                    );
                }
                // Backward, the loss of row 1 is NaN, so are its gradients; those of row 0 are numbers.
                let loss = output.sqr().unwrap().sum_all().unwrap();
                let gradient = loss.backward().unwrap().get(&x).unwrap().clone();
                let gradient = values(&gradient);
                assert!(gradient[..12].iter().all(|d| d.is_finite()), "{context}");
                assert!(gradient[16..20].iter().all(|d| d.is_nan()), "{context}");
            }
        }
    }
}

#[test]
fn poolings() {
    let rows = [
        [1f32, 1., 1.],
        [f32::NAN, 2., 2.],
        [0., f32::NAN, 3.],
        [5., 5., 5.],
    ];
    let packing = Arc::new(Packing::new(&[3]).unwrap());
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::new(&rows, &CPU).unwrap().narrow(0, 0, 3).unwrap();
        let x = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
        for (kind, expected) in [(Pooling::Max, 3.0), (Pooling::Mean, 2.0)] {
            let pooled = values(&pool(&[kind], &x, 1, &packing).unwrap());
            assert!(
                pooled[0].is_nan() && pooled[1].is_nan(),
                "{kind:?} {pooled:?}"
            );
            assert_eq!(pooled[2], expected);
        }
    }
    // As in PyTorch, the first NaN takes the gradient.
    let x = Tensor::new(&[[f32::NAN], [7.], [f32::NAN]], &CPU).unwrap();
    let x = Var::from_tensor(&x).unwrap();
    let pooled = pool(&[Pooling::Max], &x, 1, &packing).unwrap();
    let gradients = pooled.sum_all().unwrap().backward().unwrap();
    assert_eq!(values(gradients.get(&x).unwrap()), [1., 0., 0.]);
}

/// A broken word vector is seen in the logits of the texts that have the word, with every pooling and cell.
#[test]
fn a_broken_word_vector_is_seen() {
    for cell in CellType::ALL {
        for kind in [Pooling::Max, Pooling::Mean, Pooling::Ends, Pooling::Final] {
            let config = ModelConfig {
                cell,
                embedding_size: 8,
                num_hiddens: 6,
                num_layers: 1,
                pooling: vec![kind],
                ..ModelConfig::default()
            };
            let (model, parameters) =
                Parameters::create(1, &CPU, |vb| BiRnn::new(&config, 10, 2, vb)).unwrap();
            let table = parameters.get("embedding.weight").unwrap();
            let mut rows: Vec<Vec<f32>> = table.to_vec2().unwrap();
            rows[3] = vec![f32::NAN; 8];
            table.set(&Tensor::new(rows, &CPU).unwrap()).unwrap();
            let batch = Batch::new(&[&[1, 2], &[1, 3, 4]]).unwrap();
            let logits = values(&model.forward(&batch, Phase::Inference).unwrap());
            let found: Vec<bool> = logits.iter().map(|logit| logit.is_nan()).collect();
            assert_eq!(found, [false, false, true, true], "{cell} {kind:?}");
        }
    }
}
