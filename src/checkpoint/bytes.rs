//! The bytes of a file without copying them.

use crate::fs::mapped::Mapped;
use std::borrow::Cow;
use std::fs::File;
use std::io::Result;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The bytes of a whole file, with shared ownership.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    /// A file mapped into memory.
    Mapped(Arc<Mapped>),
    /// Bytes in memory.
    Owned(Arc<Vec<u8>>),
    /// A file that is embedded in the program.
    Static(&'static [u8]),
}

impl Bytes {
    /// Maps a file into memory; the mapping stays valid if the file is replaced by another one of
    /// the same name.
    pub(super) fn map(path: &Path) -> Result<Self> {
        let map = Mapped::of(&File::open(path)?)?;
        Ok(Self::Mapped(Arc::new(map)))
    }
}

impl From<Cow<'static, [u8]>> for Bytes {
    fn from(bytes: Cow<'static, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => Self::Static(bytes),
            Cow::Owned(bytes) => Self::Owned(bytes.into()),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.bytes(),
            Self::Owned(bytes) => bytes,
            Self::Static(bytes) => bytes,
        }
    }
}
