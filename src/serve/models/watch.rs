//! What can be seen of the files of a model without reading them.

use super::ModelSource;
use crate::checkpoint::ModelFiles;
use std::path::Path;
use std::time::SystemTime;

/// The state of the files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<File>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    bytes: u64,
    modified: Option<SystemTime>,
    /// A replaced file is another one even if size and time are the same.
    inode: u64,
}

impl Stamp {
    /// The state now; files that cannot be seen have none.
    pub(super) fn of(source: &ModelSource) -> Self {
        match source {
            ModelSource::Shipped => Self(Vec::new()),
            ModelSource::Folder(folder) => {
                Self(ModelFiles::paths(folder).iter().map(file).collect())
            }
        }
    }
}

fn file(path: impl AsRef<Path>) -> Option<File> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(File {
        bytes: metadata.len(),
        modified: metadata.modified().ok(),
        inode,
    })
}
