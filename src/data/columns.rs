//! Finds the text, label and group columns.

#[cfg(feature = "csv")]
use std::borrow::Cow;

use super::SourceOptions;
use crate::error::{Error, Result, one_line};

/// The columns tried for the text if none is named, in this order.
const TEXT_COLUMNS: [&str; 9] = [
    "text", "sentence", "review", "content", "comment", "message", "tweet", "document", "question",
];

/// The columns tried for the label if none is named, in this order.
const LABEL_COLUMNS: [&str; 6] = [
    "label",
    "sentiment",
    "class",
    "category",
    "target",
    "labels",
];

/// The columns tried for the group if none is named.
const GROUP_COLUMNS: [&str; 1] = ["phenomenon"];

/// The columns to read, as indices into the file's list of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Several columns are joined by spaces.
    pub text: Vec<usize>,
    /// `None` for a file without labels, if the options allow it.
    pub label: Option<usize>,
    /// `None` for a file without groups, if none were requested.
    pub group: Option<usize>,
}

impl Columns {
    /// Finds the columns among those of a file. A name that is not there as it is written is found but for upper and
    /// lower case and surrounding space.
    ///
    /// # Errors
    /// A named column, or every one of the usual names, is missing, or a column name occurs twice.
    pub fn find<S: AsRef<str>>(
        columns: &[S],
        options: &SourceOptions,
        place: &str,
    ) -> Result<Self> {
        let find = |role: &str, named: Option<&str>, usual: &[&str]| match named {
            Some(name) => {
                position(columns, name).ok_or_else(|| format!("there is no column {name:?}"))
            }
            None => usual
                .iter()
                .find_map(|name| position(columns, name))
                .ok_or_else(|| format!("there is no {role} column (none of {})", usual.join(", "))),
        };
        let fail = |role: &str, problem: String| {
            let key = match role {
                "group" => String::new(),
                _ => format!(" (key data.{role}_column)"),
            };
            Error::data(
                place,
                format!("{problem}; the columns are: {}", listed(columns)),
                format!("select it with --{role}-column{key}"),
            )
        };
        let text: Vec<usize> = names_of_text(columns, options)
            .into_iter()
            .map(|name| find("text", name, &TEXT_COLUMNS).map_err(|problem| fail("text", problem)))
            .collect::<Result<_>>()?;
        let label = match find("label", options.label_column.as_deref(), &LABEL_COLUMNS) {
            Ok(column) => Some(column),
            Err(_) if options.unlabelled && options.label_column.is_none() => None,
            Err(problem) => return Err(fail("label", problem)),
        };
        let group = match find("group", options.group_column.as_deref(), &GROUP_COLUMNS) {
            Ok(column) => Some(column),
            Err(_) if options.group_column.is_none() => None,
            Err(problem) => return Err(fail("group", problem)),
        };
        // A group column that was not requested is no reason to refuse a file.
        let asked = group.filter(|_| options.group_column.is_some());
        for column in text.iter().copied().chain(label).chain(asked) {
            let name = columns[column].as_ref();
            let others = &columns[column + 1..];
            if others.iter().any(|other| other.as_ref() == name) {
                return Err(Error::data(
                    place,
                    format!("there are several columns {name:?}"),
                    "give each column a name of its own",
                ));
            }
        }
        Ok(Self { text, label, group })
    }

    /// The text of a row, whose fields `field` gives: those of several columns joined by spaces; `None` if all of them
    /// are missing.
    #[cfg(feature = "csv")]
    pub fn text_of<'a>(&self, field: impl Fn(usize) -> Option<Cow<'a, str>>) -> Option<String> {
        match self.text[..] {
            [column] => field(column).map(Cow::into_owned),
            _ => {
                let fields: Vec<Cow<str>> = self.text.iter().filter_map(|&c| field(c)).collect();
                (!fields.is_empty()).then(|| fields.join(" "))
            }
        }
    }
}

/// The names of the text columns that the options give, `None` for the usual ones: `title,body` are two columns unless
/// there is one of that name.
fn names_of_text<'a, S: AsRef<str>>(
    columns: &[S],
    options: &'a SourceOptions,
) -> Vec<Option<&'a str>> {
    match options.text_column.as_deref() {
        None => vec![None],
        Some(name) if position(columns, name).is_some() => vec![Some(name)],
        Some(names) => names.split(',').map(Some).collect(),
    }
}

/// The column of this name; if there is none, the only one whose name differs in case or surrounding space alone.
fn position<S: AsRef<str>>(columns: &[S], name: &str) -> Option<usize> {
    let exact = columns.iter().position(|column| column.as_ref() == name);
    exact.or_else(|| {
        let alike = |column: &S| is_alike(column.as_ref(), name);
        let mut found = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| alike(column));
        match (found.next(), found.next()) {
            (Some((column, _)), None) => Some(column),
            _ => None,
        }
    })
}

fn is_alike(column: &str, name: &str) -> bool {
    column.trim().to_lowercase() == name.trim().to_lowercase()
}

/// Whether a column of this name would be read as the text.
pub(super) fn is_text_column(name: &str, options: &SourceOptions) -> bool {
    match &options.text_column {
        Some(named) => is_alike(name, named) || named.split(',').any(|named| is_alike(name, named)),
        None => TEXT_COLUMNS.iter().any(|usual| is_alike(name, usual)),
    }
}

/// Whether a column of this name would be read as the label.
pub(super) fn is_label_column(name: &str, options: &SourceOptions) -> bool {
    match &options.label_column {
        Some(named) => is_alike(name, named),
        None => LABEL_COLUMNS.iter().any(|usual| is_alike(name, usual)),
    }
}

/// Whether a column of this name would be read as the text or the label, or has one of their usual names.
pub(super) fn is_column(name: &str, options: &SourceOptions) -> bool {
    let is_named =
        |named: &Option<String>| named.as_deref().is_some_and(|named| is_alike(name, named));
    is_text_column(name, options)
        || is_named(&options.label_column)
        || is_named(&options.group_column)
        || LABEL_COLUMNS.iter().any(|usual| is_alike(name, usual))
}

/// The column names on one line; only the beginning if the file is not a table.
fn listed<S: AsRef<str>>(columns: &[S]) -> String {
    const LONGEST: usize = 200;
    let name = |column: &S| match column.as_ref() {
        name if name.trim() == name && !name.is_empty() => name.to_owned(),
        name => format!("{name:?}"),
    };
    let names: Vec<String> = columns.iter().map(name).collect();
    let names = names.join(", ");
    match names.char_indices().nth(LONGEST) {
        Some((end, _)) => one_line(&names[..end]) + " ...",
        None => one_line(&names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_found_in_order() {
        let find = |columns: &[&str]| Columns::find(columns, &SourceOptions::default(), "x");
        let columns = find(&["id", "review", "sentiment", "text"]).unwrap();
        assert_eq!((columns.text, columns.label), (vec![3], Some(2)));
        assert_eq!(
            find(&["id", "text"]).unwrap_err().to_string(),
            "x: there is no label column (none of label, sentiment, class, category, target, labels); the columns \
             are: id, text; select it with --label-column (key data.label_column)"
        );
    }

    #[test]
    fn named_columns_win_and_must_be_there() {
        let options = SourceOptions {
            text_column: Some("body".into()),
            unlabelled: true,
            ..SourceOptions::default()
        };
        let columns = Columns::find(&["text", "body"], &options, "x").unwrap();
        assert_eq!((columns.text, columns.label), (vec![1], None));
        let message = Columns::find(&["text"], &options, "x")
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("x: there is no column \"body\"; the columns are: text;"));
    }
}
