//! Arrow files in a build without the Cargo feature `parquet`: only the error that explains it.

use super::SourceOptions;
use super::bytes::Input;
use super::rows::Read;
use crate::error::{Error, Result};

/// Fails with instructions to build with Arrow.
pub(super) fn read(input: Input<'_>, _options: &SourceOptions) -> Result<Read> {
    Err(Error::data(
        input.origin,
        "this build does not read Arrow",
        "build with the Cargo feature parquet (on by default), or convert the file to JSON lines",
    ))
}
