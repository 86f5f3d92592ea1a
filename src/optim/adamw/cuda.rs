//! The step on an NVIDIA GPU: parameters, moments and differences from the averages in one pass.

#![allow(
    unsafe_code,
    reason = "device memory is accessed through raw addresses"
)]

use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};
use birnn_kernels::adamw::Scalars;

/// `struct AdamWArgs` of `cuda.cu`, where its fields are explained; address 0 for none.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct AdamWArgs {
    pub(crate) parameter: u64,
    pub(crate) first: u64,
    pub(crate) second: u64,
    pub(crate) difference: u64,
    pub(crate) gradient: u64,
    pub(crate) rows: u64,
    pub(crate) count: u64,
    pub(crate) width: u32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) epsilon: f32,
    pub(crate) step_size: f32,
    pub(crate) root_correction: f32,
    pub(crate) keep: f32,
    pub(crate) scale: f32,
    pub(crate) average: f32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for AdamWArgs {}

impl KernelArgs for AdamWArgs {
    const SOURCE: Source = Source {
        name: "adamw",
        text: include_str!("cuda.cu"),
        argument: "AdamWArgs",
    };
    const FIELDS: Fields = fields!(AdamWArgs: parameter, first, second, difference, gradient, rows, count, width, beta1, beta2, epsilon, step_size, root_correction, keep, scale, average);

    fn threads(&self) -> usize {
        self.count as usize
    }
}

/// A step whose addresses are still to be set.
fn step_of(scalars: Scalars) -> AdamWArgs {
    let Scalars {
        beta1,
        beta2,
        epsilon,
        step_size,
        root_correction,
        keep,
        scale,
        average,
    } = scalars;
    AdamWArgs {
        beta1,
        beta2,
        epsilon,
        step_size,
        root_correction,
        keep,
        scale,
        average,
        ..AdamWArgs::default()
    }
}

/// Updates one parameter.
#[cfg(feature = "cuda")]
pub(super) fn update_on_gpu(
    var: &candle_core::Var,
    moments: &candle_core::Tensor,
    difference: Option<&candle_core::Tensor>,
    gradient: &crate::optim::Gradient,
    scalars: Scalars,
) -> crate::error::Result<()> {
    let (rows, width) = super::rows_and_width(var, gradient)?;
    let gpu = crate::device::cuda::gpu::Gpu::of(var)?;
    let values = gradient.values().contiguous()?;
    let (first, second) = (moments.get(0)?, moments.get(1)?);
    let (gradient, count) = gpu.tensor(&values)?;
    let rows = match rows {
        Some(rows) if !rows.is_empty() => Some(rows.on(var.device())?),
        _ => None,
    };
    let step = AdamWArgs {
        parameter: gpu.tensor(var)?.0,
        first: gpu.tensor(&first)?.0,
        second: gpu.tensor(&second)?.0,
        difference: match difference {
            Some(difference) => gpu.tensor(difference)?.0,
            None => 0,
        },
        gradient,
        rows: match &rows {
            Some(rows) => gpu.indices(rows)?,
            None => 0,
        },
        count: count as u64,
        width: width as u32,
        ..step_of(scalars)
    };
    // SAFETY: the shapes have been checked; all buffers outlive the launch. The parameter and its state are changed in
    // stream order, and nobody else changes them.
    unsafe { gpu.run("adamw", &step)? };
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::in_place::update_in_place;
    use super::*;
    use crate::device::cuda::emulated::Emulated;
    use crate::optim::Gradient;
    use crate::rng::normal_tensor;
    use candle_core::{Tensor, Var};

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The GPU kernel on the CPU, compared with the step on the CPU: all rows and some, with and without averages.
    #[test]
    fn a_gpu_takes_the_same_step() {
        let Some(machine) = Emulated::new::<AdamWArgs>() else {
            return;
        };
        let scalars = Scalars {
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            step_size: 0.1,
            root_correction: 1.7,
            keep: 0.95,
            scale: 0.5,
            average: 0.3,
        };
        let by_rows = Gradient::Rows {
            rows: vec![0, 3, 4].into(),
            values: normal_tensor(5, &[3, 7]),
        };
        for (gradient, averaged) in [
            (Gradient::Dense(normal_tensor(4, &[6, 7])), true),
            (by_rows.clone(), false),
            (by_rows, true),
        ] {
            let var = Var::from_tensor(&normal_tensor(1, &[6, 7])).unwrap();
            let moments = normal_tensor(2, &[2, 6, 7]).abs().unwrap();
            let difference = normal_tensor(3, &[6, 7]);
            let before = [&*var, &moments, &difference].map(numbers);
            let averages = averaged.then_some(&difference);
            update_in_place(&var, &moments, averages, &gradient, scalars).unwrap();
            let expected = [&*var, &moments, &difference].map(numbers);

            let [mut parameter, mut moments, mut difference] = before;
            let values = numbers(gradient.values());
            let step = AdamWArgs {
                parameter: parameter.as_mut_ptr() as u64,
                first: moments.as_mut_ptr() as u64,
                second: moments[42..].as_mut_ptr() as u64,
                difference: match averaged {
                    true => difference.as_mut_ptr() as u64,
                    false => 0,
                },
                gradient: values.as_ptr() as u64,
                rows: match &gradient {
                    Gradient::Dense(_) => 0,
                    Gradient::Rows { rows, .. } => rows.as_ptr() as u64,
                },
                count: values.len() as u64,
                width: 7,
                ..step_of(scalars)
            };
            // SAFETY: the arrays belong to this test.
            unsafe { machine.run("adamw", &step) };
            for (found, expected) in [parameter, moments, difference].iter().zip(&expected) {
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
                }
            }
        }
    }
}
