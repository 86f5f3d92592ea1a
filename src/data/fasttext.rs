//! fastText's training format: labels with a prefix, then the text, on one line.

use super::format::LABEL_PREFIX;
use super::input::Input;
use super::rows::Rows;
use super::{Record, SourceOptions};
use crate::error::{Error, Result};

/// Reads one text per line, preceded by its label; a line without a label is unlabelled. Blank
/// lines are skipped.
pub(super) fn read(input: Input<'_>, options: &SourceOptions) -> Result<Vec<Record>> {
    let mut lines = input.lines();
    let origin = lines.origin().to_owned();
    let mut rows = Rows::new(&origin, options);
    while let Some(line) = lines.next_line()? {
        if line.trim().is_empty() {
            continue;
        }
        let Some((label, text)) = take_label(line) else {
            rows.push(line.to_owned(), None, None)?;
            continue;
        };
        if take_label(text).is_some() {
            return Err(Error::data(
                lines.place(),
                "the line has several labels",
                "keep one: every text belongs to exactly one class",
            ));
        }
        rows.push(text.to_owned(), Some(label), None)?;
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
