//! A GPU that compiles and runs kernels.

use super::{KernelArgs, Source};
use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaStream, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::{Device, Error, Layout, Result, Storage, Tensor, bail};
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// Number of threads per block.
const BLOCK: u32 = 256;

/// Candle's device, and the stream on which all of its work is executed in order.
pub(crate) struct Gpu {
    pub(crate) device: CudaDevice,
    pub(crate) stream: Arc<CudaStream>,
}

/// Adds the failed operation to a library's error.
pub(crate) fn on<T, E: Display>(
    what: impl Display,
    result: std::result::Result<T, E>,
) -> Result<T> {
    result.map_err(|error| Error::Msg(format!("CUDA, {what}: {error}")))
}

impl Gpu {
    pub(crate) fn new(device: &CudaDevice) -> Self {
        Self {
            device: device.clone(),
            stream: device.cuda_stream(),
        }
    }

    /// The GPU of a tensor.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self> {
        match tensor.device() {
            Device::Cuda(device) => Ok(Self::new(device)),
            _ => bail!("a GPU kernel was called with a tensor that is not on a GPU"),
        }
    }

    /// The address of the first number of a slice. Its memory must not be freed before the work that uses it has been
    /// queued; it is freed on the same stream.
    pub(crate) fn address<T>(&self, slice: &CudaSlice<T>) -> u64 {
        // The stream executes in order, so nothing needs to wait for the guard.
        slice.device_ptr(&self.stream).0
    }

    /// The address of a contiguous tensor's first number, and the number of elements.
    pub(crate) fn numbers(&self, storage: &CudaStorage, layout: &Layout) -> Result<(u64, usize)> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            bail!("an argument of a GPU kernel is not contiguous");
        };
        let slice = storage.as_cuda_slice::<f32>()?;
        Ok((
            self.address(slice) + (from * size_of::<f32>()) as u64,
            to - from,
        ))
    }

    /// The same for a tensor that lives until the work has been queued.
    pub(crate) fn tensor(&self, tensor: &Tensor) -> Result<(u64, usize)> {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => self.numbers(storage, layout),
            _ => bail!("a GPU kernel was called with a tensor that is not on a GPU"),
        }
    }

    /// The address of the first index of a list that lives until the work has been queued.
    pub(crate) fn indices(&self, list: &Tensor) -> Result<u64> {
        let (storage, layout) = list.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) if layout.start_offset() == 0 => {
                Ok(self.address(storage.as_cuda_slice::<u32>()?))
            }
            _ => bail!("a GPU kernel was called with indices that are not on a GPU"),
        }
    }

    /// Uninitialised memory, every number of which must be written before it is read; at least one number, as memory
    /// cannot be empty.
    pub(crate) fn uninit<T: DeviceRepr>(&self, len: usize) -> Result<CudaSlice<T>> {
        // SAFETY: the numbers are written before they are read, and any bytes are valid numbers.
        unsafe { self.device.alloc(len.max(1)) }
    }

    /// A slice as a tensor without a graph.
    pub(crate) fn tensor_of(
        &self,
        slice: CudaSlice<f32>,
        shape: impl Into<candle_core::Shape>,
    ) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(slice, self.device.clone());
        let no_graph = candle_core::op::BackpropOp::none();
        Tensor::from_storage(Storage::Cuda(storage), shape, no_graph, false)
    }

    /// Runs a function of the argument's source.
    ///
    /// # Safety
    /// The addresses of the argument point to memory of this GPU of the sizes given in the source, which is not freed
    /// before the work has been queued, and whose other uses are ordered by the stream.
    pub(crate) unsafe fn run<A: KernelArgs>(&self, function: &str, argument: &A) -> Result<()> {
        let threads = argument.threads();
        if threads == 0 {
            return Ok(());
        }
        let name = A::SOURCE.name;
        let compiled = compiled(A::SOURCE)?;
        let function = self
            .device
            .get_or_load_custom_func(function, name, &compiled)?;
        let blocks = on(
            "counting blocks",
            u32::try_from(threads.div_ceil(BLOCK as usize)),
        )?;
        let config = LaunchConfig {
            grid_dim: (blocks, 1, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: 0,
        };
        let mut launch = function.builder();
        launch.arg(argument);
        // SAFETY: every function of a source takes its struct; the rest is guaranteed by the caller.
        on(name, unsafe { launch.launch(config) }).map(|_| ())
    }
}

/// A source, compiled once for all devices.
pub(crate) fn compiled(source: Source) -> Result<Arc<str>> {
    static COMPILED: Mutex<Option<HashMap<&'static str, Arc<str>>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    if let Some(text) = compiled.get(source.name) {
        return Ok(text.clone());
    }
    let what = format!("compiling {}.cu", source.name);
    let text: Arc<str> = on(what, compile_ptx(source.text))?.to_src().into();
    compiled.insert(source.name, text.clone());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::cuda::bfloat16;
    use crate::ops::{dropout::cuda as dropout, gather::cuda as rows, pooling::cuda as pool};
    use crate::optim::{adamw::cuda as adamw, norm_cuda as squares};

    /// With NVIDIA's compiler, which needs no GPU.
    #[test]
    fn every_source_compiles() {
        for (source, function) in [
            (adamw::AdamWArgs::SOURCE, "adamw"),
            (dropout::DropoutArgs::SOURCE, "drop"),
            (bfloat16::ConvertArgs::SOURCE, "narrow"),
            (bfloat16::ConvertArgs::SOURCE, "widen"),
            (pool::PoolArgs::SOURCE, "pool_forward"),
            (pool::PoolArgs::SOURCE, "pool_backward"),
            (rows::SumRowsArgs::SOURCE, "sum_rows"),
            (squares::SumSquaresArgs::SOURCE, "add_squares"),
        ] {
            let text = compiled(source).unwrap();
            assert!(
                text.contains(&format!(".entry {function}(")),
                "{}",
                source.name
            );
        }
    }
}
