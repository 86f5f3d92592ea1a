//! Tables in a build without the Cargo feature `csv`: only the error that explains it.

use super::input::Input;
use super::{Record, SourceOptions};
use crate::error::{Error, Result};

/// Fails with instructions to build with tables.
pub(super) fn read(
    input: Input<'_>,
    _delimiter: u8,
    _options: &SourceOptions,
) -> Result<Vec<Record>> {
    Err(Error::data(
        &input.origin,
        "this build does not read CSV and TSV",
        "build with the Cargo feature csv (on by default), or convert the file to JSON lines",
    ))
}
