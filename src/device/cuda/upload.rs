//! A copy stream for data that a GPU needs later.

use super::gpu::{Gpu, on};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream};
use candle_core::cuda_backend::{CudaDevice, CudaStorage};
use candle_core::op::BackpropOp;
use candle_core::{Result, Storage, Tensor};
use std::fmt;
use std::sync::Arc;

/// A copy stream next to the compute stream of a GPU.
#[derive(Clone)]
pub(crate) struct Upload {
    device: CudaDevice,
    copy_stream: Arc<CudaStream>,
}

impl Upload {
    pub(crate) fn new(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        Ok(Self {
            device: device.clone(),
            copy_stream: on("opening a stream", stream.context().new_stream())?,
        })
    }

    /// Uploads lists, none of them empty, as tensors of the compute stream. Returns when they have arrived, so that
    /// work queued on any stream from then on sees them.
    pub(crate) fn send(&self, lists: &[impl AsRef<[u32]>]) -> Result<Vec<Tensor>> {
        let send = |list: &[u32]| on("sending a list", self.copy_stream.clone_htod(list));
        let sent: Result<Vec<CudaSlice<u32>>> =
            lists.iter().map(|list| send(list.as_ref())).collect();
        let sent = sent?;
        on("sending lists", self.copy_stream.synchronize())?;
        let computing = Gpu::new(&self.device).stream;
        let tensor = |slice: CudaSlice<u32>| {
            let len = slice.len();
            // SAFETY: the memory has `len` numbers, which have arrived, and nobody else owns it. It is used only on the
            // compute stream, and freed on it after all uses.
            let slice = unsafe { computing.upgrade_device_ptr::<u32>(slice.leak(), len) };
            let storage = CudaStorage::wrap_cuda_slice(slice, self.device.clone());
            Tensor::from_storage(Storage::Cuda(storage), len, BackpropOp::none(), false)
        };
        Ok(sent.into_iter().map(tensor).collect())
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}
