//! The hub in a build without the Cargo feature `hub`: nothing but the error that says so.

use std::path::PathBuf;

use super::layout::Plan;
use super::{Progress, SourceOptions};
use crate::error::{Error, Result};

/// A data set on the hub; in this build there is none.
#[derive(Debug, Clone)]
pub(super) enum Repository {}

impl Repository {
    /// Never called.
    pub fn fetch(&self, _files: &[String], _progress: &mut dyn Progress) -> Result<Vec<PathBuf>> {
        match *self {}
    }
}

/// Says how to build with the hub.
pub(super) fn open(id: &str, _options: &SourceOptions) -> Result<(Repository, Plan)> {
    Err(Error::data(
        id,
        "there is no such file or folder, and this build cannot fetch data sets from the hub",
        "build with the Cargo feature hub (on by default), or download the Parquet files and give \
         their folder",
    ))
}
