//! What a file of weights has, compared with what a model asks for.

use super::rename::{Rename, listed};
use super::suggestion::renames;
use std::collections::BTreeMap;

/// The expected shape of a tensor; `None` for a size that is not known, that of the vocabulary.
pub(crate) type ExpectedShape = Vec<Option<usize>>;

/// The expected shape of a tensor whose sizes are all known.
pub(crate) fn known(shape: &[usize]) -> ExpectedShape {
    shape.iter().copied().map(Some).collect()
}

/// The differences between the tensors of a file and those of a model.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Names of the model that the file does not have.
    missing: Vec<String>,
    /// Names of the file that the model does not have.
    unexpected: Vec<String>,
    /// Name, found and expected shape of tensors with another shape.
    misshapen: Vec<(String, String, String)>,
    /// What makes the names fit, best the one after the other, and what is then left of the three lists.
    renames: Vec<Rename>,
    left: [usize; 3],
}

/// Whether a shape is as expected.
pub(super) fn fits(found: &[usize], expected: &[Option<usize>]) -> bool {
    found.len() == expected.len()
        && (found.iter().zip(expected))
            .all(|(found, expected)| expected.is_none_or(|expected| expected == *found))
}

impl Mismatch {
    /// Compares names and shapes; `None` if both are the same.
    pub(crate) fn of<'a>(
        found: impl IntoIterator<Item = (&'a str, &'a [usize])>,
        expected: &BTreeMap<String, ExpectedShape>,
    ) -> Option<Self> {
        let found: BTreeMap<String, &[usize]> = found
            .into_iter()
            .map(|(name, shape)| (name.to_owned(), shape))
            .collect();
        let mut differences = Self::lists(&found, expected);
        if differences.left == [0; 3] {
            return None;
        }
        let mut renamed = found;
        differences.renames = renames(&mut renamed, expected);
        differences.left = Self::lists(&renamed, expected).left;
        Some(differences)
    }

    /// The lists, without a remedy.
    fn lists(
        found: &BTreeMap<String, &[usize]>,
        expected: &BTreeMap<String, ExpectedShape>,
    ) -> Self {
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for (name, shape) in expected {
            match found.get(name) {
                None => missing.push(name.clone()),
                Some(found) if fits(found, shape) => {}
                Some(found) => {
                    misshapen.push((name.clone(), format!("{found:?}"), written(shape)));
                }
            }
        }
        let unexpected = found.keys().filter(|name| !expected.contains_key(*name));
        let unexpected: Vec<String> = unexpected.cloned().collect();
        Self {
            left: [missing.len(), unexpected.len(), misshapen.len()],
            missing,
            unexpected,
            misshapen,
            renames: Vec::new(),
        }
    }

    /// All differences, where `config` is the file that describes the model, if there is one.
    pub(crate) fn problem(&self, config: Option<&str>) -> String {
        let asker = config.unwrap_or("the model");
        let mut problems = Vec::new();
        match &self.missing[..] {
            [] => {}
            [_] => problems.push(format!("the tensor {} is missing", listed(&self.missing))),
            names => problems.push(format!(
                "{} tensors are missing: {}",
                names.len(),
                listed(names)
            )),
        }
        let part = config.map_or("not part of the model".to_owned(), |config| {
            format!("not part of the model in {config}")
        });
        match &self.unexpected[..] {
            [] => {}
            [_] => problems.push(format!("the tensor {} is {part}", listed(&self.unexpected))),
            names => problems.push(format!(
                "{} tensors are {part}: {}",
                names.len(),
                listed(names)
            )),
        }
        match &self.misshapen[..] {
            [] => {}
            [(name, found, expected)] => problems.push(format!(
                "{} has shape {found}, but {asker} asks for {expected}",
                listed(&[name])
            )),
            misshapen => {
                let shapes: Vec<String> = misshapen
                    .iter()
                    .map(|(name, found, expected)| format!("{name} {found} instead of {expected}"))
                    .collect();
                problems.push(format!(
                    "{} tensors have another shape than {asker} asks for: {}",
                    shapes.len(),
                    listed(&shapes)
                ));
            }
        }
        problems.join("; ")
    }

    /// The renaming that makes the names fit, if there is one: in words, and as options of the command line.
    pub(crate) fn remedy(&self) -> Option<String> {
        if self.renames.is_empty() {
            return None;
        }
        let words: Vec<String> = self.renames.iter().map(in_words).collect();
        let options: Vec<String> = self
            .renames
            .iter()
            .map(|rename| format!("--rename {}", quoted(&rename.to_string())))
            .collect();
        let left: Vec<String> = self
            .left
            .into_iter()
            .zip(["missing", "too many", "of another shape"])
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let left = match &left[..] {
            [] => String::new(),
            left => format!(" (which leaves {})", left.join(", ")),
        };
        Some(format!("{}: {}{left}", words.join(", "), options.join(" ")))
    }
}

fn in_words(Rename { from, to }: &Rename) -> String {
    match (from.as_str(), to.as_str()) {
        ("", to) => format!("put `{to}` before every name"),
        (from, "") => format!("rename `{from}` to nothing"),
        (from, to) => format!("rename `{from}` to `{to}`"),
    }
}

/// A word for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn written(shape: &[Option<usize>]) -> String {
    let sizes = shape.iter().map(|size| match size {
        Some(size) => size.to_string(),
        None => "vocabulary".to_owned(),
    });
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}
