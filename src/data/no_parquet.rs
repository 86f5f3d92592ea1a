//! Parquet files in a build without the Cargo feature `parquet`: nothing but the error that says so.

use super::{Record, SourceOptions};
use crate::error::{Error, Result};
use std::fs::File;

/// The bytes that such a file begins with.
pub(super) const MAGIC: &str = "PAR1";

/// Says how to build with Parquet.
pub(super) fn read(_file: File, origin: &str, _options: &SourceOptions) -> Result<Vec<Record>> {
    Err(Error::data(
        origin,
        "this build does not read Parquet",
        "build with the Cargo feature parquet (on by default), or convert the file to JSON lines",
    ))
}
