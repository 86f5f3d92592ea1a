//! Uploads of data for a later step while a device computes the current one.

use crate::device::indices::Indices;
use crate::error::Result;
use candle_core::Device;

/// Uploads data to a device concurrently with its computations, from another thread.
///
/// On the CPU and on Metal it does nothing, as they use host memory; data is transferred on first use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploader {
    #[cfg(feature = "cuda")]
    stream: Option<crate::device::cuda::upload::Upload>,
}

impl Uploader {
    /// An uploader to this device.
    ///
    /// # Errors
    /// The device cannot open another stream.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(clippy::unnecessary_wraps, reason = "opening a CUDA stream may fail")
    )]
    pub(crate) fn new(device: &Device) -> Result<Self> {
        match device {
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Ok(Self {
                stream: Some(crate::device::cuda::upload::Upload::new(device)?),
            }),
            _ => Ok(Self::default()),
        }
    }

    /// Uploads lists, which are made only if an upload is needed, and returns when they have arrived.
    ///
    /// # Errors
    /// A transfer fails.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(
            clippy::unnecessary_wraps,
            clippy::unused_self,
            unused_variables,
            reason = "only CUDA devices need uploads"
        )
    )]
    pub(crate) fn send<'a>(&self, lists: impl FnOnce() -> Vec<&'a Indices>) -> Result<()> {
        #[cfg(feature = "cuda")]
        if let Some(stream) = &self.stream {
            let lists = lists();
            for (list, sent) in lists.iter().zip(stream.send(&lists)?) {
                list.keep(sent);
            }
        }
        Ok(())
    }
}
