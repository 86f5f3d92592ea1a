//! Tables in a build without the Cargo feature `csv`: only the error that explains it.

use super::bytes::Input;
use super::rows::Read;
use super::{Format, SourceOptions};
use crate::error::{Error, Result};

/// Fails with instructions to build with tables.
pub(super) fn read(input: Input<'_>, _format: Format, _options: &SourceOptions) -> Result<Read> {
    Err(Error::data(
        &input.origin,
        "this build does not read CSV and TSV",
        "build with the Cargo feature csv (on by default), or convert the file to JSON lines",
    ))
}
