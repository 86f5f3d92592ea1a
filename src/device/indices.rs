//! Index lists in host memory, with a cached copy on a device.

use crate::error::Result;
use candle_core::{Device, Tensor};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A list of indices. Clones share it and its copy on a device.
#[derive(Debug, Clone, Default)]
pub struct Indices(Arc<List>);

#[derive(Debug, Default)]
struct List {
    values: Vec<u32>,
    sent: OnceLock<Tensor>,
}

impl Indices {
    /// The list as a tensor `[len]` on a device; it is uploaded once to the first device that
    /// requests it.
    ///
    /// # Errors
    /// The transfer to the device fails.
    pub fn on(&self, device: &Device) -> Result<Tensor> {
        if let Some(sent) = self.sent_to(device) {
            return Ok(sent.clone());
        }
        let tensor = Tensor::new(self.as_ref(), device)?;
        self.keep(tensor.clone());
        Ok(tensor)
    }

    /// The copy on that device, if there is one.
    pub(crate) fn sent_to(&self, device: &Device) -> Option<&Tensor> {
        let sent = self.0.sent.get();
        sent.filter(|sent| sent.device().same_device(device))
    }

    /// Caches the copy on a device; an existing one is kept.
    pub(crate) fn keep(&self, sent: Tensor) {
        let _ = self.0.sent.set(sent);
    }
}

impl From<Vec<u32>> for Indices {
    fn from(values: Vec<u32>) -> Self {
        let sent = OnceLock::new();
        Self(Arc::new(List { values, sent }))
    }
}

impl Deref for Indices {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.0.values
    }
}

impl AsRef<[u32]> for Indices {
    fn as_ref(&self) -> &[u32] {
        self
    }
}

impl PartialEq for Indices {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Indices {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_uploaded_once() {
        let indices = Indices::from(vec![3, 1, 4]);
        assert!(indices.sent_to(&Device::Cpu).is_none());
        let first = indices.on(&Device::Cpu).unwrap();
        assert_eq!(first.to_vec1::<u32>().unwrap(), [3, 1, 4]);
        let copy = indices.clone();
        assert_eq!(copy.on(&Device::Cpu).unwrap().id(), first.id());
        assert_eq!(copy, vec![3, 1, 4].into());
    }
}
