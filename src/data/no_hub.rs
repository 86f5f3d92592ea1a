//! The hub in a build without the Cargo feature `hub`: only the error that explains it.

use std::path::PathBuf;

use super::{DownloadProgress, SourceOptions};
use crate::error::{Error, Result};

/// The files of one split of a data set on the hub; there are none in this build.
#[derive(Debug)]
pub(super) enum Files {}

impl Files {
    /// Never called.
    pub fn fetch(&self, _progress: &mut dyn DownloadProgress) -> Result<Vec<PathBuf>> {
        match *self {}
    }
}

/// Fails with instructions to build with the hub.
pub(super) fn open(id: &str, _options: &SourceOptions) -> Result<Vec<(String, Files)>> {
    Err(Error::data(
        id,
        "there is no such file or folder, and this build cannot fetch data sets from the hub",
        "build with the Cargo feature hub (on by default), or download the Parquet files and give \
         their folder",
    ))
}
