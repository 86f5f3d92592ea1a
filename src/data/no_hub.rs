//! The hub in a build without the Cargo feature `hub`: nothing but the error that says so.

use std::path::PathBuf;

use super::{Progress, SourceOptions};
use crate::error::{Error, Result};

/// The files of one split of a data set on the hub; in this build there are none.
#[derive(Debug)]
pub(super) enum Files {}

impl Files {
    /// Never called.
    pub fn fetch(&self, _progress: &mut dyn Progress) -> Result<Vec<PathBuf>> {
        match *self {}
    }
}

/// Says how to build with the hub.
pub(super) fn open(id: &str, _options: &SourceOptions) -> Result<Vec<(String, Files)>> {
    Err(Error::data(
        id,
        "there is no such file or folder, and this build cannot fetch data sets from the hub",
        "build with the Cargo feature hub (on by default), or download the Parquet files and give \
         their folder",
    ))
}
