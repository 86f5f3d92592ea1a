//! fastText's training format: labels with a prefix, then the text, on one line.

use super::format::LABEL_PREFIX;
use super::input::Input;
use super::rows::Rows;
use super::{Record, SourceOptions};
use crate::error::Result;

/// Reads one text per line, preceded by its labels; a line without a label is unlabelled. Blank
/// lines are skipped.
pub(super) fn read(input: Input<'_>, options: &SourceOptions) -> Result<Vec<Record>> {
    let mut lines = input.lines();
    let origin = lines.origin().to_owned();
    let mut rows = Rows::new(&origin, options);
    while let Some(line) = lines.next_line()? {
        if line.trim().is_empty() {
            continue;
        }
        let (mut text, mut labels) = (line, Vec::new());
        while let Some((label, rest)) = take_label(text) {
            labels.push(label);
            text = rest;
        }
        match labels.is_empty() {
            true => rows.push(text.to_owned(), None, None)?,
            false => rows.push_list(text.to_owned(), &labels, None)?,
        }
    }
    rows.finish()
}

/// Splits `__label__pos some text` into `pos` and `some text`.
fn take_label(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix(LABEL_PREFIX)?;
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (label, text) = rest.split_at(end);
    Some((label, text.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_ends_at_white_space() {
        assert_eq!(take_label("__label__a  b c "), Some(("a", "b c ")));
        assert_eq!(take_label(" __label__a"), Some(("a", "")));
        assert_eq!(take_label("a __label__b"), None);
    }
}
