//! A sum of squares on a GPU, in double precision and in a fixed order.

#![allow(
    unsafe_code,
    reason = "device memory is accessed through raw addresses"
)]

use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};

/// `struct SumSquaresArgs` of `norm_cuda.cu`, where its fields are explained.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct SumSquaresArgs {
    pub(crate) values: u64,
    pub(crate) count: u64,
    pub(crate) parts: u64,
    pub(crate) threads: u32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for SumSquaresArgs {}

impl KernelArgs for SumSquaresArgs {
    const SOURCE: Source = Source {
        name: "squares",
        text: include_str!("norm_cuda.cu"),
        argument: "SumSquaresArgs",
    };
    const FIELDS: Fields = fields!(SumSquaresArgs: values, count, parts, threads);

    fn threads(&self) -> usize {
        self.threads as usize
    }
}

/// Enough threads to saturate the memory bandwidth; their partial sums are added on the host.
#[cfg(feature = "cuda")]
const THREADS: u32 = 8192;

/// The sum of the squares of all elements of tensors that are on one GPU.
#[cfg(feature = "cuda")]
pub(crate) fn sum_of_squares(tensors: &[candle_core::Tensor]) -> candle_core::Result<f64> {
    let Some(first) = tensors.first() else {
        return Ok(0.0);
    };
    let gpu = crate::device::cuda::gpu::Gpu::of(first)?;
    let parts = gpu.device.alloc_zeros::<f64>(THREADS as usize)?;
    for tensor in tensors {
        let tensor = tensor.contiguous()?;
        let (values, count) = gpu.tensor(&tensor)?;
        let squares = SumSquaresArgs {
            values,
            count: count as u64,
            parts: gpu.address(&parts),
            threads: THREADS,
        };
        // SAFETY: the tensor and the partial sums outlive the launch, and the partial sums are
        // exclusively owned.
        unsafe { gpu.run("add_squares", &squares)? };
    }
    Ok(gpu.device.clone_dtoh(&parts)?.iter().sum())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::device::cuda::emulated::Emulated;

    #[test]
    fn parts_of_two_tensors_are_added() {
        let Some(machine) = Emulated::new::<SumSquaresArgs>() else {
            return;
        };
        let values: Vec<f32> = (0..100).map(|value| value as f32 / 8.0).collect();
        let mut parts = [0f64; 7];
        for values in [&values[..], &values[..5]] {
            let squares = SumSquaresArgs {
                values: values.as_ptr() as u64,
                count: values.len() as u64,
                parts: parts.as_mut_ptr() as u64,
                threads: parts.len() as u32,
            };
            // SAFETY: the arrays belong to this test.
            unsafe { machine.run("add_squares", &squares) };
        }
        // The squares of the numbers up to n add up to n (n + 1) (2n + 1) / 6.
        let expected = (99. * 100. * 199. + 4. * 5. * 9.) / 6. / 64.;
        assert_eq!(parts.iter().sum::<f64>(), expected);
    }
}
