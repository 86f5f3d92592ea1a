//! What a later step needs, sent to a device while it computes the present one.

use crate::device::indices::Indices;
use crate::error::Result;
use candle_core::Device;

/// A way to a device beside its computations, for a thread that has nothing else to do.
///
/// Where there is none, it is sent when it is first needed: the memory of the CPU and of Metal is the host's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploader {
    #[cfg(feature = "cuda")]
    stream: Option<crate::device::cuda::upload::Upload>,
}

impl Uploader {
    /// A way to this device.
    ///
    /// # Errors
    /// A device that opens no further stream.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(clippy::unnecessary_wraps, reason = "a stream of CUDA may fail")
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

    /// Sends lists, which are made only where there is a way, and returns when they are there.
    ///
    /// # Errors
    /// A failing transfer.
    #[cfg_attr(
        not(feature = "cuda"),
        expect(
            clippy::unnecessary_wraps,
            clippy::unused_self,
            unused_variables,
            reason = "only CUDA has a way"
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
