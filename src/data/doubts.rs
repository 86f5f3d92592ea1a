//! What is doubtful about the labels of a split, though it can be trained on.

use super::label_map::listed;
use super::{Labels, Split};
use std::fmt;

/// More classes than this are doubtful.
const MANY_CLASSES: usize = 100;

/// A class name of this many words looks like a sentence; so does one of this many characters, in scripts without
/// spaces.
const SENTENCE_WORDS: usize = 6;
const SENTENCE_CHARACTERS: usize = 60;

/// A class is rare below this share of the rows and, with many classes, below this share of what each would have if all
/// had as many.
const RARE: f64 = 0.05;
const RARE_OF_EQUAL: f64 = 0.5;

/// Something doubtful about the labels of a split; its text is one line for the user.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Doubt {
    /// There are more than a hundred classes.
    ManyClasses {
        /// Their number.
        classes: usize,
    },
    /// The names of classes look like sentences, as if the columns were mixed up or a quote swallowed rows.
    Sentences {
        /// Their names.
        names: Vec<String>,
        /// The number of all classes.
        classes: usize,
    },
    /// The names of classes look like lists of labels, as tables hold them that other programs wrote.
    Lists {
        /// Their names.
        names: Vec<String>,
    },
    /// Classes with only one row, which cannot be both in training and in validation.
    SingleRow {
        /// Their names.
        names: Vec<String>,
    },
    /// Classes with two or more rows, but under 5 % of all rows or, with more than ten classes, under half of an equal
    /// share.
    Rare {
        /// Their names.
        names: Vec<String>,
        /// The share of rows below which a class is rare.
        below: f64,
    },
    /// Rows with an empty list of labels, which are read as texts of no class.
    NoClass {
        /// Their number.
        rows: usize,
        /// The number of all rows.
        of: usize,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManyClasses { classes } => {
                write!(f, "there are {classes} classes: is this the label column?")
            }
            Self::Sentences { names, classes } => {
                const SHOWN: usize = 60;
                let example: String = names
                    .first()
                    .map_or("", String::as_str)
                    .chars()
                    .take(SHOWN)
                    .collect();
                let (count, look) = match names.len() {
                    1 => (1, "looks like a sentence"),
                    count => (count, "look like sentences"),
                };
                write!(
                    f,
                    "{count} of {classes} classes {look}, such as {:?}: is this the label column, and are all quotes \
                     closed?",
                    example
                )
            }
            Self::Lists { names } => write!(
                f,
                "{} look like lists, not classes: {} (several labels a text are read from lists in JSON or Parquet, or \
                 from a table with --label-separator)",
                names.len(),
                listed(names)
            ),
            Self::SingleRow { names } => match &names[..] {
                [name] => write!(f, "the class {name:?} has only one row"),
                _ => write!(
                    f,
                    "{} classes have only one row: {}",
                    names.len(),
                    listed(names)
                ),
            },
            Self::Rare { names, below } => {
                let share = (1000.0 * below).round() / 10.0;
                match &names[..] {
                    [name] => write!(f, "the class {name:?} has under {share} % of the rows")?,
                    _ => write!(
                        f,
                        "{} classes have under {share} % of the rows each: {}",
                        names.len(),
                        listed(names)
                    )?,
                }
                f.write_str(" (train.class_weights gives rare classes more weight)")
            }
            Self::NoClass { rows, of } => {
                write!(
                    f,
                    "{rows} of {of} rows have no label at all, and are read as texts of no class"
                )
            }
        }
    }
}

/// What is doubtful about a split whose labels are names of these classes.
pub fn doubts(split: &Split, labels: &Labels) -> Vec<Doubt> {
    let names = labels.names();
    let classes = names.len();
    let mut counts = vec![0usize; classes];
    let mut no_class = 0;
    let index: std::collections::HashMap<&str, usize> =
        names.iter().map(String::as_str).zip(0..).collect();
    for record in &split.records {
        no_class += usize::from(record.labels.as_ref().is_some_and(Vec::is_empty));
        for label in record.labels.iter().flatten() {
            if let Some(&class) = index.get(label.as_str()) {
                counts[class] += 1;
            }
        }
    }
    let rows = split
        .records
        .iter()
        .filter(|record| record.labels.is_some())
        .count();
    let of = |is_meant: &dyn Fn(usize) -> bool| -> Vec<String> {
        let meant = names
            .iter()
            .zip(&counts)
            .filter(|(_, count)| is_meant(**count));
        meant.map(|(name, _)| name.clone()).collect()
    };
    let mut found = Vec::new();
    if classes > MANY_CLASSES {
        found.push(Doubt::ManyClasses { classes });
    }
    let is_list = |name: &&String| name.starts_with('[') && name.ends_with(']');
    let lists: Vec<String> = names.iter().filter(is_list).cloned().collect();
    if !lists.is_empty() {
        found.push(Doubt::Lists { names: lists });
    }
    let sentences: Vec<String> = names
        .iter()
        .filter(|name| is_sentence(name))
        .cloned()
        .collect();
    if !sentences.is_empty() {
        found.push(Doubt::Sentences {
            names: sentences,
            classes,
        });
    }
    let single = of(&|count| count == 1);
    if !single.is_empty() {
        found.push(Doubt::SingleRow { names: single });
    }
    let below = RARE.min(RARE_OF_EQUAL / classes as f64);
    let rare = of(&|count| count > 1 && (count as f64) < below * rows as f64);
    if !rare.is_empty() {
        found.push(Doubt::Rare { names: rare, below });
    }
    if no_class > 0 {
        found.push(Doubt::NoClass {
            rows: no_class,
            of: rows,
        });
    }
    found
}

fn is_sentence(name: &str) -> bool {
    name.split_whitespace().count() >= SENTENCE_WORDS || name.chars().count() >= SENTENCE_CHARACTERS
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    /// The doubts about rows with these labels.
    fn about<S: AsRef<str>>(labels: &[S]) -> Vec<String> {
        let record = |(index, label): (usize, &S)| Record {
            text: "".into(),
            labels: Some(vec![label.as_ref().to_owned()]),
            group: None,
            row: index + 1,
        };
        let split = Split {
            origin: "rows".into(),
            records: labels.iter().enumerate().map(record).collect(),
            ..Split::default()
        };
        let found = doubts(&split, &Labels::of_split(&split).unwrap());
        found.iter().map(Doubt::to_string).collect()
    }

    fn repeated(labels: &[(&str, usize)]) -> Vec<String> {
        let labels = labels
            .iter()
            .flat_map(|(label, count)| vec![(*label).to_owned(); *count]);
        labels.collect()
    }

    #[test]
    fn classes_in_proportion_are_not_doubted() {
        assert!(about(&repeated(&[("a", 95), ("b", 5)])).is_empty());
        // 40 classes of three rows: each has an equal share, though it is under 5 %.
        let equal: Vec<String> = (0..120).map(|row| format!("c{}", row % 40)).collect();
        assert!(about(&equal).is_empty());
    }

    #[test]
    fn rare_and_single_classes_are_named() {
        assert_eq!(
            about(&repeated(&[("a", 96), ("b", 4)])),
            [
                "the class \"b\" has under 5 % of the rows (train.class_weights gives rare classes more weight)"
            ]
        );
        assert_eq!(
            about(&repeated(&[("a", 9), ("b", 1), ("c", 1)])),
            ["2 classes have only one row: \"b\", \"c\""]
        );
    }

    #[test]
    fn texts_as_classes_are_doubted() {
        let rows: Vec<String> = (0..120)
            .map(|row| format!("the film number {row} was good,\nand long"))
            .collect();
        let found = about(&rows);
        assert_eq!(found[0], "there are 120 classes: is this the label column?");
        assert_eq!(
            found[1],
            "120 of 120 classes look like sentences, such as \"the film number 0 was good,\\nand long\": is this the \
             label column, and are all quotes closed?"
        );
        assert!(
            found[2].ends_with("\"the film number 115 was good,\\nand long\", 100 more"),
            "{}",
            found[2]
        );
        assert!(found.iter().all(|line| !line.contains('\n')));
    }

    #[test]
    fn texts_of_no_class_are_counted() {
        let record = |labels: &[&str]| Record {
            text: "".into(),
            labels: Some(labels.iter().map(|&label| label.to_owned()).collect()),
            group: None,
            row: 1,
        };
        let split = Split {
            origin: "rows".into(),
            records: vec![record(&["a", "b"]), record(&[]), record(&["b", "a"])],
            ..Split::default()
        };
        let found = doubts(&split, &Labels::of_split(&split).unwrap());
        assert_eq!(found, [Doubt::NoClass { rows: 1, of: 3 }]);
    }
}
