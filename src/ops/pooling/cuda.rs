//! Poolings of a ragged batch on an NVIDIA GPU.

#![allow(
    unsafe_code,
    reason = "a device's memory is known by its addresses only"
)]

use super::{PoolOp, Pooling};
use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};

/// `struct PoolArgs` of `pool.cu`, where its fields are explained.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct PoolArgs {
    pub(crate) output: u64,
    pub(crate) pooled: u64,
    pub(crate) argmax: u64,
    pub(crate) offsets: u64,
    pub(crate) lengths: u64,
    pub(crate) batch: u32,
    pub(crate) width: u32,
    pub(crate) hidden: u32,
    pub(crate) total: u32,
    pub(crate) column: u32,
    pub(crate) kind: u32,
    pub(crate) add: u32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for PoolArgs {}

impl KernelArgs for PoolArgs {
    const SOURCE: Source = Source {
        name: "pool",
        text: include_str!("cuda.cu"),
        argument: "PoolArgs",
    };
    const FIELDS: Fields = fields!(PoolArgs: output, pooled, argmax, offsets, lengths, batch, width, hidden, total, column, kind, add);

    fn threads(&self) -> usize {
        self.batch as usize * self.width as usize
    }
}

/// Where on the GPU what a pooling works on lies, see [`PoolArgs`].
#[derive(Debug, Clone, Copy)]
struct Addresses {
    output: u64,
    pooled: u64,
    argmax: u64,
    offsets: u64,
    lengths: u64,
}

impl PoolOp {
    /// The arguments for each kind in turn, for outputs of this width.
    fn arguments(&self, width: usize, at: Addresses) -> Vec<PoolArgs> {
        let total: usize = self.kinds.iter().map(|kind| kind.width(width)).sum();
        let mut column = 0;
        let mut arguments = Vec::new();
        for kind in &self.kinds {
            arguments.push(PoolArgs {
                output: at.output,
                pooled: at.pooled,
                argmax: at.argmax,
                offsets: at.offsets,
                lengths: at.lengths,
                batch: self.packing.batch() as u32,
                width: width as u32,
                hidden: (width / self.directions) as u32,
                total: total as u32,
                column: column as u32,
                kind: match kind {
                    Pooling::Ends => 0,
                    Pooling::Final => 1,
                    Pooling::Mean => 2,
                    Pooling::Max => 3,
                },
                add: u32::from(column > 0),
            });
            column += kind.width(width);
        }
        arguments
    }
}

#[cfg(feature = "cuda")]
pub(super) use device::Argmax;

#[cfg(feature = "cuda")]
mod device {
    use super::{Addresses, PoolOp};
    use crate::device::cuda::gpu::Gpu;
    use crate::device::indices::Indices;
    use candle_core::cuda_backend::cudarc::driver::CudaSlice;
    use candle_core::{CudaStorage, Device, Error, Layout, Result, Shape, Tensor, bail};

    /// For `Max`, the packed row that won each element.
    #[derive(Debug)]
    pub(in crate::ops::pooling) struct Argmax(CudaSlice<u32>);

    impl PoolOp {
        fn layout_on_gpu(&self, gpu: &Gpu) -> Result<[Tensor; 2]> {
            let device = Device::Cuda(gpu.device.clone());
            let there = |list: &Indices| list.on(&device).map_err(Error::wrap);
            let [offsets, lengths] = self.packing.on_device();
            Ok([there(offsets)?, there(lengths)?])
        }

        /// The result, in a memory of its own.
        pub(in crate::ops::pooling) fn forward_on_gpu(
            &self,
            output: &CudaStorage,
            layout: &Layout,
        ) -> Result<(CudaStorage, Shape)> {
            let gpu = Gpu::new(&output.device);
            let (rows, width) = layout.shape().dims2()?;
            if rows != self.packing.rows() {
                bail!("pooling: {rows} rows, expected {}", self.packing.rows());
            }
            let (address, _) = gpu.numbers(output, layout)?;
            let batch = self.packing.batch();
            let total: usize = self.kinds.iter().map(|kind| kind.width(width)).sum();
            let pooled = gpu.uninit::<f32>(batch * total)?;
            let [offsets, lengths] = self.layout_on_gpu(&gpu)?;
            let argmax = gpu.uninit::<u32>(batch * width)?;
            let addresses = Addresses {
                output: address,
                pooled: gpu.address(&pooled),
                argmax: gpu.address(&argmax),
                offsets: gpu.indices(&offsets)?,
                lengths: gpu.indices(&lengths)?,
            };
            for argument in self.arguments(width, addresses) {
                // SAFETY: the memories have a row for each packed row or text, and live until here; the result
                // and the argmax are only ours.
                unsafe { gpu.run("pool_forward", &argument)? };
            }
            // A node's forward pass runs once.
            let _ = self.argmax_on_gpu.set(Argmax(argmax));
            let pooled = CudaStorage::wrap_cuda_slice(pooled, gpu.device);
            Ok((pooled, Shape::from((batch, total))))
        }

        /// The gradient of outputs of this width.
        pub(in crate::ops::pooling) fn backward_on_gpu(
            &self,
            d_pooled: &Tensor,
            width: usize,
        ) -> Result<Tensor> {
            let Some(argmax) = self.argmax_on_gpu.get() else {
                bail!("pooling: backward without a forward pass");
            };
            let gpu = Gpu::of(d_pooled)?;
            let [offsets, lengths] = self.layout_on_gpu(&gpu)?;
            let d_pooled = d_pooled.contiguous()?;
            let total: usize = self.kinds.iter().map(|kind| kind.width(width)).sum();
            if d_pooled.dims() != [self.packing.batch(), total] {
                bail!("pooling: a gradient of shape {:?}", d_pooled.dims());
            }
            let rows = self.packing.rows();
            let d_output = gpu.uninit::<f32>(rows * width)?;
            let addresses = Addresses {
                output: gpu.address(&d_output),
                pooled: gpu.tensor(&d_pooled)?.0,
                argmax: gpu.address(&argmax.0),
                offsets: gpu.indices(&offsets)?,
                lengths: gpu.indices(&lengths)?,
            };
            for argument in self.arguments(width, addresses) {
                // SAFETY: as on the way there.
                unsafe { gpu.run("pool_backward", &argument)? };
            }
            Ok(gpu.tensor_of(d_output, (rows, width)))
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::batch::packing::Packing;
    use crate::device::cuda::emulated::Emulated;
    use crate::rng::normal_tensor;
    use candle_core::Tensor;
    use std::sync::Arc;

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The functions for GPUs on the processor, against the CPU's pooling and its gradient: every kind, together
    /// and twice.
    #[test]
    fn a_gpu_pools_like_the_cpu() {
        let Some(machine) = Emulated::new::<PoolArgs>() else {
            return;
        };
        let packing = Arc::new(Packing::new(&[3, 6, 1, 4]).unwrap());
        let width = 6;
        let output = normal_tensor(1, &[packing.rows(), width]);
        let all = [
            Pooling::Max,
            Pooling::Ends,
            Pooling::Mean,
            Pooling::Final,
            Pooling::Max,
        ];
        for directions in [1, 2] {
            for kinds in [&all[..], &all[..1], &all[1..2], &all[2..3], &all[3..4]] {
                let op = PoolOp::new(kinds, directions, &packing);
                let mut output = numbers(&output);
                let expected = op.forward(&output);
                let mut pooled = vec![0f32; expected.len()];
                let mut argmax = vec![0u32; packing.batch() * width];
                let [offsets, lengths] = op.packing.on_device();
                let mut addresses = Addresses {
                    output: output.as_mut_ptr() as u64,
                    pooled: pooled.as_mut_ptr() as u64,
                    argmax: argmax.as_mut_ptr() as u64,
                    offsets: offsets.as_ptr() as u64,
                    lengths: lengths.as_ptr() as u64,
                };
                for argument in op.arguments(width, addresses) {
                    // SAFETY: the arrays are of this test.
                    unsafe { machine.run("pool_forward", &argument) };
                }
                let close = |found: &[f32], expected: &[f32]| {
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(expected) {
                        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
                    }
                };
                close(&pooled, &expected);
                let mut upstream = numbers(&normal_tensor(2, &[expected.len()]));
                let expected = op.backward(&upstream, width);
                let mut gradient = vec![f32::NAN; expected.len()];
                addresses.output = gradient.as_mut_ptr() as u64;
                addresses.pooled = upstream.as_mut_ptr() as u64;
                for argument in op.arguments(width, addresses) {
                    // SAFETY: as above.
                    unsafe { machine.run("pool_backward", &argument) };
                }
                close(&gradient, &expected);
            }
        }
    }
}
