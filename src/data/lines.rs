//! Formats with a text on each line: fastText's, TREC's, the trees of the Stanford Sentiment Treebank, and plain lines.

use super::bytes::{Input, Next};
use super::format::LABEL_PREFIX;
use super::rows::{Read, Rows};
use super::{Format, SourceOptions};
use crate::error::{Error, Result};

/// Reads a text from each line; blank lines are skipped.
pub(super) fn read(input: Input<'_>, format: Format, options: &SourceOptions) -> Result<Read> {
    let mut lines = input.lines();
    let origin = lines.origin().to_owned();
    let mut rows = Rows::new(&origin, options);
    loop {
        let line = match lines.next_line()? {
            Next::Row(line) => line,
            Next::Bad(error) => {
                rows.bad(error)?;
                continue;
            }
            Next::End => break,
        };
        if line.trim().is_empty() {
            continue;
        }
        match parsed(line, format) {
            Ok((labels, text)) => match labels[..] {
                [] => rows.push(text, None::<&str>, None)?,
                [label] => rows.push(text, Some(label), None)?,
                _ => {
                    let labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
                    rows.push(text, Some(&labels[..]), None)?;
                }
            },
            Err((problem, remedy)) => {
                let error = Error::data(lines.place(), problem, remedy);
                rows.bad(error)?;
            }
        }
    }
    rows.finish()
}

/// The text of a line without its labels; the whole line if it is not as the format has it.
#[cfg(any(feature = "csv", test))]
pub(super) fn text_of_line(line: &str, format: Format) -> String {
    parsed(line, format).map_or_else(|_| line.to_owned(), |(_, text)| text)
}

fn parsed(line: &str, format: Format) -> Parsed<'_> {
    match format {
        Format::FastText => labels_and_text(line),
        Format::Trec => coarse_label(line),
        Format::Trees => tree(line),
        _ => Ok((Vec::new(), line.to_owned())),
    }
}

/// The labels and the text of a line, or what is wrong and what to do.
type Parsed<'a> = std::result::Result<(Vec<&'a str>, String), (&'static str, &'static str)>;

/// fastText's labels are the words with its prefix, wherever they are; usually they come first, or last.
pub(super) fn labels_and_text(line: &str) -> Parsed<'_> {
    let mut labels = Vec::new();
    let mut text = line;
    while let Some((label, rest)) = leading_label(text) {
        labels.push(label);
        text = rest;
    }
    while let Some((rest, label)) = trailing_label(text) {
        labels.push(label);
        text = rest;
    }
    Ok((labels, text.to_owned()))
}

/// Splits `__label__pos some text` into `pos` and `some text`.
fn leading_label(line: &str) -> Option<(&str, &str)> {
    let rest = line
        .trim_start_matches('\u{feff}')
        .trim_start()
        .strip_prefix(LABEL_PREFIX)?;
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let (label, text) = rest.split_at(end);
    Some((label, text.trim_start()))
}

/// Splits `some text __label__pos` into `some text` and `pos`.
fn trailing_label(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    let start = line.rfind(char::is_whitespace)?;
    let word = line[start..].trim_start();
    Some((line[..start].trim_end(), word.strip_prefix(LABEL_PREFIX)?))
}

/// TREC's questions: `DESC:manner How did serfdom develop ?`, of which the coarse class is the label.
fn coarse_label(line: &str) -> Parsed<'_> {
    let expected = (
        "the line does not begin with a class such as DESC:manner",
        "correct the line, or name the format with --format",
    );
    let (class, text) = line.split_once(char::is_whitespace).ok_or(expected)?;
    let (coarse, _) = class.split_once(':').ok_or(expected)?;
    Ok((vec![coarse], text.trim_start().to_owned()))
}

/// Whether a line is one of TREC's.
pub(super) fn is_trec(line: &str) -> bool {
    let class = line.split_whitespace().next().unwrap_or_default();
    let is_upper =
        |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_lower =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    class
        .split_once(':')
        .is_some_and(|(coarse, fine)| is_upper(coarse) && is_lower(fine))
}

/// A tree of the Sentiment Treebank, `(3 (2 A) (4 (4 lovely) (2 film)))`: the label is that of the whole, the text the
/// words in their order.
fn tree(line: &str) -> Parsed<'_> {
    let broken = (
        "the line is not a tree such as (3 (2 A) (4 film))",
        "correct the line, or name the format with --format",
    );
    let line = line.trim();
    let label = line
        .strip_prefix('(')
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or(broken)?;
    let balance = line.bytes().try_fold(0_usize, |depth, byte| match byte {
        b'(' => Some(depth + 1),
        b')' => depth.checked_sub(1),
        _ => Some(depth),
    });
    if balance != Some(0) || label.is_empty() || label.contains(['(', ')']) {
        return Err(broken);
    }
    // A word is what comes directly before a closing bracket.
    let words = line
        .split(')')
        .filter_map(|part| part.rsplit_once(' ').map(|(_, word)| word));
    let plain = |word: &str| match word {
        "-LRB-" => "(".to_owned(),
        "-RRB-" => ")".to_owned(),
        word => word.replace("\\/", "/"),
    };
    let text: Vec<String> = words.filter(|word| !word.is_empty()).map(plain).collect();
    Ok((vec![label], text.join(" ")))
}

/// Whether a line is a tree.
pub(super) fn is_tree(line: &str) -> bool {
    let line = line.trim();
    let digits = line
        .strip_prefix('(')
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    digits.is_some_and(|rest| rest.starts_with(" ") && !line[1..].starts_with(' '))
        && line.ends_with(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_at_either_end() {
        let of = |line: &'static str| labels_and_text(line).unwrap();
        assert_eq!(of("__label__a  b c "), (vec!["a"], "b c ".to_owned()));
        assert_eq!(of(" __label__a"), (vec!["a"], String::new()));
        assert_eq!(of("b c __label__a"), (vec!["a"], "b c".to_owned()));
        assert_eq!(
            of("__label__a __label__b c"),
            (vec!["a", "b"], "c".to_owned())
        );
        assert_eq!(of("a __label__b c"), (vec![], "a __label__b c".to_owned()));
    }

    #[test]
    fn questions_have_their_coarse_class() {
        let line = "DESC:manner How did serfdom develop ?";
        assert!(is_trec(line) && !is_trec("Note: this is a text") && !is_trec("DESC: a"));
        assert_eq!(
            coarse_label(line).unwrap(),
            (vec!["DESC"], "How did serfdom develop ?".to_owned())
        );
    }

    #[test]
    fn trees_are_sentences() {
        let line = "(3 (2 (2 The) (2 film)) (4 (3 is) (2 (2 -LRB-) (2 good\\/great))))";
        assert!(is_tree(line) && !is_tree("(see 3)") && !is_tree("(3 of them) left"));
        assert_eq!(
            tree(line).unwrap(),
            (vec!["3"], "The film is ( good/great".to_owned())
        );
        assert!(tree("(3 (2 a)").is_err() && tree(")(").is_err());
    }
}
