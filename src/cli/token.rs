//! The token of a server, in a file.

use super::Usage;
use anyhow::Context;
use std::path::Path;

/// The token in a file, without the white space around it.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let content = std::fs::read_to_string(path);
    let content = content.with_context(|| format!("cannot read {}", path.display()))?;
    let token = content.trim();
    let problem = match token {
        "" => "is empty",
        token if token.bytes().all(|byte| byte.is_ascii_graphic()) => return Ok(token.to_owned()),
        _ => {
            "has characters that a header cannot have: use letters, digits and signs of ASCII, without spaces"
        }
    };
    Err(Usage(format!("--token-file: {} {problem}", path.display())).into())
}
