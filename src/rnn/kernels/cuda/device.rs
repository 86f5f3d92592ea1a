//! A GPU as a backend of the passes, with cuBLAS for matrix products.

use super::machine::{Backend, ColumnMajor, DeviceSlice, Gemm, Matrix, StepArgs};
use crate::device::cuda::gpu::{Gpu, on};
use crate::device::{Precision, precision};
use candle_core::Result;
use candle_core::cuda_backend::cudarc::cublas::{result as cublas, sys};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, result as driver};
use std::ffi::c_void;

impl Backend for Gpu {
    type Memory = CudaSlice<f32>;

    fn zeros(&self, len: usize) -> Result<CudaSlice<f32>> {
        // Memory cannot be empty.
        self.device.alloc_zeros(len.max(1))
    }

    fn upload(&self, values: &[f32]) -> Result<CudaSlice<f32>> {
        self.device.clone_htod(values)
    }

    fn part(&self, memory: &mut CudaSlice<f32>) -> DeviceSlice {
        DeviceSlice {
            address: self.address(memory),
            len: memory.len(),
        }
    }

    unsafe fn copy(&self, from: DeviceSlice, to: DeviceSlice) -> Result<()> {
        assert_eq!(from.len, to.len);
        let (bytes, stream) = (from.len * size_of::<f32>(), self.stream.cu_stream());
        // SAFETY: guaranteed by the caller.
        let copied = unsafe { driver::memcpy_dtod_async(to.address, from.address, bytes, stream) };
        on("copying", copied)
    }

    unsafe fn product(&self, product: &Gemm) -> Result<()> {
        product.check();
        let operation = |matrix: &Matrix| match matrix.transposed {
            true => sys::cublasOperation_t::CUBLAS_OP_T,
            false => sys::cublasOperation_t::CUBLAS_OP_N,
        };
        let precision = match precision() {
            Precision::F32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_16BF,
        };
        let single = sys::cudaDataType_t::CUDA_R_32F;
        let blas = self.device.cublas_handle();
        let ColumnMajor {
            m,
            n,
            k,
            first,
            second,
            out,
            beta,
        } = product.column_major();
        let alpha = 1f32;
        // SAFETY: checked above, and guaranteed by the caller.
        let computed = unsafe {
            cublas::gemm_ex(
                *blas.handle(),
                operation(&first),
                operation(&second),
                m as i32,
                n as i32,
                k as i32,
                (&raw const alpha).cast(),
                first.part.address as *const c_void,
                single,
                first.stride as i32,
                second.part.address as *const c_void,
                single,
                second.stride as i32,
                (&raw const beta).cast(),
                out.part.address as *mut c_void,
                single,
                out.stride as i32,
                precision,
                sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        };
        on("a matrix product", computed)
    }

    unsafe fn run(&self, function: &'static str, step: &StepArgs) -> Result<()> {
        // SAFETY: guaranteed by the caller.
        unsafe { Gpu::run(self, function, step) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::KernelArgs;
    use crate::device::cuda::gpu::compiled;
    use crate::rnn::kernels::CellType;
    use crate::rnn::kernels::cuda::machine::functions;

    /// With NVIDIA's compiler, which needs no GPU.
    #[test]
    fn every_step_compiles() {
        let text = compiled(StepArgs::SOURCE).unwrap();
        for function in CellType::ALL.map(functions).concat() {
            assert!(text.contains(&format!(".entry {function}(")), "{function}");
        }
    }
}
