//! A backend without a GPU, and the tests of the passes on it.

use super::machine::{Backend, DeviceSlice, Gemm, Matrix, StepArgs};
use super::pass::{Arguments, Pass};
use crate::batch::packing::Packing;
use crate::device::cuda::emulated::Emulated;
use crate::rng::normal_tensor;
use crate::rnn::kernels::reference::ReferenceKernel;
use crate::rnn::kernels::{CellType, DirectionWeights, Kernel, Layer, Sizes, State};
use candle_core::{Result, Tensor, Var};
use std::sync::Arc;

/// Host memory, and the functions of `steps.cu` compiled for the CPU.
struct Host(Emulated);

impl Matrix {
    /// The address of an element, with columns `stride` numbers apart.
    fn element(&self, row: usize, column: usize) -> *mut f32 {
        let (row, column) = match self.transposed {
            true => (column, row),
            false => (row, column),
        };
        (self.part.address as *mut f32).wrapping_add(column * self.stride + row)
    }
}

impl Backend for Host {
    type Memory = Vec<f32>;

    fn zeros(&self, len: usize) -> Result<Vec<f32>> {
        Ok(vec![0.0; len])
    }

    fn upload(&self, values: &[f32]) -> Result<Vec<f32>> {
        Ok(values.to_vec())
    }

    fn part(&self, memory: &mut Vec<f32>) -> DeviceSlice {
        DeviceSlice {
            address: memory.as_mut_ptr() as u64,
            len: memory.len(),
        }
    }

    unsafe fn copy(&self, from: DeviceSlice, to: DeviceSlice) -> Result<()> {
        assert_eq!(from.len, to.len);
        let (from_start, to_start) = (from.address as *const f32, to.address as *mut f32);
        // SAFETY: guaranteed by the caller.
        unsafe { std::ptr::copy_nonoverlapping(from_start, to_start, from.len) };
        Ok(())
    }

    unsafe fn product(&self, product: &Gemm) -> Result<()> {
        product.check();
        let product = product.column_major();
        for row in 0..product.m {
            for column in 0..product.n {
                // SAFETY: checked above, and guaranteed by the caller.
                unsafe {
                    let out = product.out.element(row, column);
                    let mut sum = match product.beta {
                        0.0 => 0.0,
                        beta => f64::from(beta * *out),
                    };
                    for at in 0..product.k {
                        let first = f64::from(*product.first.element(row, at));
                        sum += first * f64::from(*product.second.element(at, column));
                    }
                    *out = sum as f32;
                }
            }
        }
        Ok(())
    }

    unsafe fn run(&self, function: &'static str, step: &StepArgs) -> Result<()> {
        // SAFETY: guaranteed by the caller.
        unsafe { self.0.run(function, step) };
        Ok(())
    }
}

/// Weights of one direction as variables.
fn weights(cell_type: CellType, sizes: Sizes, seed: u64) -> DirectionWeights {
    let width = cell_type.gates() * sizes.hidden;
    let parameter = |number: u64, shape: &[usize]| {
        let values = (normal_tensor(10 * seed + number, shape) * 0.4).unwrap();
        Var::from_tensor(&values).unwrap().into_inner()
    };
    DirectionWeights {
        input: parameter(0, &[width, sizes.input]),
        hidden: parameter(1, &[width, sizes.hidden]),
        bias: match sizes.bias {
            true => Some((parameter(2, &[width]), parameter(3, &[width]))),
            false => None,
        },
    }
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn joined(parts: &[Tensor]) -> Tensor {
    let parts: Vec<Tensor> = parts
        .iter()
        .map(|part| part.flatten_all().unwrap())
        .collect();
    Tensor::cat(&parts, 0).unwrap()
}

/// The tensors of all directions, flat like the arguments of a pass.
fn parameters(weights: &[DirectionWeights]) -> Vec<Tensor> {
    let mut all = Vec::new();
    for direction in weights {
        all.extend([direction.input.clone(), direction.hidden.clone()]);
        if let Some((bias_ih, bias_hh)) = &direction.bias {
            all.extend([bias_ih.clone(), bias_hh.clone()]);
        }
    }
    all
}

#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected
        .iter()
        .fold(1f32, |most, value| most.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / scale;
        assert!(error < 2e-6, "{what}, number {at}: {found} for {expected}");
    }
}

/// Results and all gradients compared with the reference kernel: every cell type, one direction and two, ragged and
/// full batches, with and without biases, and with a gradient of the final state.
#[test]
fn the_passes_agree_with_the_reference() {
    let Some(functions) = Emulated::new::<StepArgs>() else {
        return;
    };
    let machine = Host(functions);
    for cell_type in CellType::ALL {
        for (directions, bias, lengths) in [
            (1, true, &[3, 3][..]),
            (2, true, &[4, 1, 6, 4, 2]),
            (2, false, &[1, 5]),
        ] {
            let sizes = Sizes {
                input: 3,
                hidden: 5,
                directions,
                bias,
            };
            let name = format!("{cell_type}, {directions} directions, lengths {lengths:?}");
            check(&machine, cell_type, sizes, lengths, &name);
        }
    }
}

fn check(machine: &Host, cell_type: CellType, sizes: Sizes, lengths: &[usize], name: &str) {
    let packing = Arc::new(Packing::new(lengths).unwrap());
    let weights: Vec<DirectionWeights> = (0..sizes.directions)
        .map(|direction| weights(cell_type, sizes, 7 + direction as u64))
        .collect();
    let var = |seed, shape: &[usize]| Var::from_tensor(&normal_tensor(seed, shape)).unwrap();
    let input = var(1, &[packing.rows(), sizes.input]).into_inner();
    let states = [sizes.directions, lengths.len(), sizes.hidden];
    let (h, c) = (var(2, &states), var(3, &states));
    let initial = State {
        h: h.as_tensor().clone(),
        c: cell_type.has_cell().then(|| c.as_tensor().clone()),
    };
    let layer = Layer {
        cell_type,
        packing: &packing,
        input: &input,
        weights: &weights,
        initial: Some(&initial),
        prepared: None,
    };
    let (output, state) = ReferenceKernel.forward(&layer).unwrap();
    let parts = |state: &State| -> Vec<Tensor> {
        std::iter::once(state.h.clone())
            .chain(state.c.clone())
            .collect()
    };
    let expected = joined(&[vec![output], parts(&state)].concat());
    let gradient = normal_tensor(4, expected.dims());
    let loss = (&expected * &gradient).unwrap().sum_all().unwrap();
    let store = loss.backward().unwrap();
    let of = |tensors: &[Tensor]| -> Vec<f32> {
        let all: Vec<Tensor> = tensors
            .iter()
            .map(|tensor| store.get(tensor).unwrap().clone())
            .collect();
        numbers(&joined(&all))
    };

    let pass = Pass {
        machine,
        cell_type,
        packing: &packing,
        sizes,
    };
    let mut memories = [
        numbers(&input),
        numbers(&joined(&parameters(&weights))),
        numbers(&joined(&parts(&initial))),
        numbers(&gradient),
    ];
    let [input_part, weights_part, initial_part, d_result] =
        memories.each_mut().map(|memory| machine.part(memory));
    let arguments = Arguments {
        input: input_part,
        weights: weights_part,
        start: initial_part,
    };
    // SAFETY: the buffers live until the end of the test.
    let (mut result, mut saved) = unsafe { pass.forward(arguments) }.unwrap();
    assert_close(name, &result, &numbers(&expected));
    let results = (machine.part(&mut result), d_result);
    // The second backward pass finds the saved activations unchanged.
    for input_wanted in [false, true] {
        // SAFETY: as above.
        let found = unsafe { pass.backward(arguments, &mut saved, results, input_wanted) }.unwrap();
        assert_eq!(found.input.is_some(), input_wanted);
        if let Some(d_input) = &found.input {
            assert_close(
                &format!("{name}: input"),
                d_input,
                &of(std::slice::from_ref(&input)),
            );
        }
        let all = of(&parameters(&weights));
        assert_close(&format!("{name}: weights"), &found.weights, &all);
        let d_initial = of(&parts(&initial));
        assert_close(&format!("{name}: initial state"), &found.start, &d_initial);
    }
}
