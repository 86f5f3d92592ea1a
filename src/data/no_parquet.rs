//! Parquet files in a build without the Cargo feature `parquet`: only the error that explains it.

use super::SourceOptions;
use super::rows::Read;
use crate::error::{Error, Result};
use std::fs::File;

/// Fails with instructions to build with Parquet.
pub(super) fn read(_file: File, origin: &str, _options: &SourceOptions) -> Result<Read> {
    Err(Error::data(
        origin,
        "this build does not read Parquet",
        "build with the Cargo feature parquet (on by default), or convert the file to JSON lines",
    ))
}
