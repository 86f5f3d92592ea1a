//! The tests of a file.

use super::change::Change;
use super::template::{Filled, Lists, Template};
use crate::data::Labels;
use crate::error::{Error, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Behaviour tests, read from a table with tabs between its columns:
///
/// ```text
/// test      kind        text                      change           expected
/// name      list        Ana|Li|Tunde
/// plain     minimum     {name} loved every bit.                    positive
/// names     invariance  {name} loved every bit.   swap name
/// typing    invariance  {data}                    typing
/// praise    direction   {name} went home.         {text} Superb.   +positive
/// ```
///
/// The header names the columns, in any order. Lines that start with `#` are comments. The rows of a test have the same
/// name and kind. Places in braces are filled from the lists; `{data}` stands for texts of a person's own.
#[derive(Debug, Clone, PartialEq)]
pub struct BehaviourSuite {
    pub(super) tests: Vec<Test>,
    pub(super) lists: Lists,
}

/// What a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BehaviourKind {
    /// Minimum functionality: every text must have the expected class.
    Minimum,
    /// A change must not change the predicted class.
    Invariance,
    /// A change must not move the probability of a class against the expected direction.
    Direction,
}

impl std::fmt::Display for BehaviourKind {
    /// As it is written in a file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Minimum => "minimum",
            Self::Invariance => "invariance",
            Self::Direction => "direction",
        })
    }
}

/// A test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Test {
    pub name: String,
    pub kind: BehaviourKind,
    pub rows: Vec<Row>,
}

/// A row of a test.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub text: RowText,
    /// Of a minimum test none.
    pub change: Option<Change>,
    /// The class that a text must have, or whose probability must not move against a direction.
    pub expected: Option<Expected>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum RowText {
    Template(Template),
    /// The texts of a person's own.
    Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub class: String,
    /// Whether the probability must not fall; otherwise it must not rise.
    pub rises: bool,
}

const COLUMNS: [&str; 5] = ["test", "kind", "text", "change", "expected"];
const DATA: &str = "{data}";
/// The tests of the shipped model's classes, in English.
const SHIPPED: &str = include_str!("../../../data/behaviour.tsv");

impl BehaviourSuite {
    /// The tests in a file.
    ///
    /// # Errors
    /// It cannot be read, or a line cannot be understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        Self::parse(&text, path)
    }

    /// Tests of opinions in English, for models with the classes `positive` and `negative`.
    ///
    /// # Errors
    /// None that a user can cause.
    pub fn shipped() -> Result<Self> {
        Self::parse(SHIPPED, &PathBuf::from("data/behaviour.tsv"))
    }

    /// The tests in the text of a file; `path` is its name in errors.
    ///
    /// # Errors
    /// A line that cannot be understood, or no tests.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let problem = |line: usize, problem: String| {
            let place = format!("line {line}: {problem}");
            Error::model(path, place, "docs/cli.md describes the columns")
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let (number, header) = lines.next().unwrap_or((1, ""));
        let names: Vec<&str> = header.split('\t').map(str::trim).collect();
        let places = COLUMNS.map(|column| names.iter().position(|name| *name == column));
        let [Some(_), Some(_), Some(_), ..] = places else {
            let problem_is = format!("the header is \"{header}\", but needs test, kind and text");
            return Err(problem(number, problem_is));
        };
        let mut suite = Self {
            tests: Vec::new(),
            lists: Lists::new(),
        };
        for (number, line) in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            let fields = places.map(|place| {
                let field = place.and_then(|place| fields.get(place));
                field.map_or("", |field| field.trim())
            });
            suite.add(fields).map_err(|found| problem(number, found))?;
        }
        match suite.tests.is_empty() {
            true => Err(problem(
                number,
                "there are no tests below the header".to_owned(),
            )),
            false => Ok(suite),
        }
    }

    /// Adds a line with the fields test, kind, text, change and expected; otherwise says what is wrong with it.
    fn add(
        &mut self,
        [name, kind, text, change, expected]: [&str; 5],
    ) -> std::result::Result<(), String> {
        if name.is_empty() || text.is_empty() {
            return Err("a test needs a name and a text".to_owned());
        }
        let kind = match kind {
            "list" => {
                let items = text.split('|').map(|item| item.trim().to_owned());
                self.lists.insert(name.to_owned(), items.collect());
                return Ok(());
            }
            "minimum" => BehaviourKind::Minimum,
            "invariance" => BehaviourKind::Invariance,
            "direction" => BehaviourKind::Direction,
            other => {
                let known = "list, minimum, invariance and direction";
                return Err(format!("the kind is \"{other}\", but there are {known}"));
            }
        };
        let needs = |what: &str, value: &str, is_needed: bool| match (value.is_empty(), is_needed) {
            (true, true) => Err(format!("a test of this kind needs {what}")),
            (false, false) => Err(format!(
                "a test of this kind has no {what}, but this is \"{value}\""
            )),
            _ => Ok(()),
        };
        needs("change", change, kind != BehaviourKind::Minimum)?;
        needs(
            "expected class",
            expected,
            kind != BehaviourKind::Invariance,
        )?;
        let text = match text {
            DATA if kind == BehaviourKind::Minimum => {
                return Err(format!("{DATA} has no expected class: use `birnn eval`"));
            }
            DATA => RowText::Data,
            text => RowText::Template(Template::new(text, &self.lists)?),
        };
        let change = match kind {
            BehaviourKind::Minimum => None,
            _ => {
                let change = Change::new(change, &self.lists)?;
                let fits = match &text {
                    RowText::Template(template) => change.fits(template),
                    RowText::Data => !matches!(change, Change::Swap(_)),
                };
                if !fits {
                    return Err("the text has no place for that list".to_owned());
                }
                Some(change)
            }
        };
        let expected = match kind {
            BehaviourKind::Invariance => None,
            BehaviourKind::Minimum => Some(Expected {
                class: expected.to_owned(),
                rises: true,
            }),
            BehaviourKind::Direction => {
                match (expected.strip_prefix('+'), expected.strip_prefix('-')) {
                    (Some(class), _) => Some((class, true)),
                    (_, Some(class)) => Some((class, false)),
                    _ => {
                        return Err(format!(
                            "\"{expected}\" has no direction: write +{expected} or -{expected}"
                        ));
                    }
                }
                .map(|(class, rises)| Expected {
                    class: class.to_owned(),
                    rises,
                })
            }
        };
        let row = Row {
            text,
            change,
            expected,
        };
        match self.tests.iter_mut().find(|test| test.name == name) {
            Some(test) if test.kind != kind => Err(format!("\"{name}\" is of another kind above")),
            Some(test) => {
                test.rows.push(row);
                Ok(())
            }
            None => {
                self.tests.push(Test {
                    name: name.to_owned(),
                    kind,
                    rows: vec![row],
                });
                Ok(())
            }
        }
    }

    /// Checks that a model has all classes that are expected.
    ///
    /// # Errors
    /// It names one that the model does not have.
    pub fn check_classes(&self, labels: &Labels) -> Result<()> {
        match self
            .classes()
            .find(|class| labels.class_of(class).is_none())
        {
            None => Ok(()),
            Some(unknown) => {
                let names = labels.names().join(", ");
                let problem =
                    format!("they expect \"{unknown}\", but the classes of the model are {names}");
                Err(Error::argument("tests", problem))
            }
        }
    }

    /// The classes that are expected.
    fn classes(&self) -> impl Iterator<Item = &str> {
        let rows = self.tests.iter().flat_map(|test| &test.rows);
        rows.filter_map(|row| Some(row.expected.as_ref()?.class.as_str()))
    }
}

impl Row {
    /// The texts of the row.
    pub fn texts(&self, lists: &Lists, data: &[&str]) -> Vec<Filled> {
        match &self.text {
            RowText::Template(template) => template.filled(lists),
            RowText::Data => data
                .iter()
                .map(|text| Filled {
                    text: (*text).to_owned(),
                    items: [].into(),
                })
                .collect(),
        }
    }

    /// How many texts its template stands for beyond those that are made.
    pub fn left_out(&self, lists: &Lists) -> usize {
        match &self.text {
            RowText::Template(template) => template.left_out(lists),
            RowText::Data => 0,
        }
    }

    /// The changed texts of one of them.
    pub fn changed(&self, filled: &Filled, lists: &Lists, number: u64) -> Vec<String> {
        let empty = Template::default();
        let template = match &self.text {
            RowText::Template(template) => template,
            RowText::Data => &empty,
        };
        let change = self.change.as_ref();
        change.map_or(Vec::new(), |change| {
            change.of(filled, template, lists, number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &str) -> Result<BehaviourSuite> {
        let text = format!("test\tkind\ttext\tchange\texpected\n{rows}");
        BehaviourSuite::parse(&text, Path::new("tests.tsv"))
    }

    #[test]
    fn the_rows_of_a_test_have_its_name() {
        let suite = parse(
            "name\tlist\tAna|Li\n# plain words\n\nplain\tminimum\t{name} laughed.\t\tpositive\n\
             plain\tminimum\tAwful.\t\tnegative\nnames\tinvariance\t{name} laughed.\tswap name\n\
             praise\tdirection\t{data}\t{text} Superb.\t+positive\n",
        )
        .unwrap();
        let kinds: Vec<(&str, BehaviourKind, usize)> = suite
            .tests
            .iter()
            .map(|test| (test.name.as_str(), test.kind, test.rows.len()))
            .collect();
        let expected = [
            ("plain", BehaviourKind::Minimum, 2),
            ("names", BehaviourKind::Invariance, 1),
            ("praise", BehaviourKind::Direction, 1),
        ];
        assert_eq!(kinds, expected);
        assert_eq!(
            suite.classes().collect::<Vec<_>>(),
            ["positive", "negative", "positive"]
        );
        let names = &suite.tests[1].rows[0];
        let filled = names.texts(&suite.lists, &[]);
        assert_eq!(names.changed(&filled[0], &suite.lists, 0), ["Li laughed."]);
        let praise = &suite.tests[2].rows[0];
        let filled = praise.texts(&suite.lists, &["Fine."]);
        assert_eq!(
            praise.changed(&filled[0], &suite.lists, 0),
            ["Fine. Superb."]
        );
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (rows, expected) in [
            ("a\tminimal\tb\t\tc", "line 2: the kind is \"minimal\""),
            (
                "a\tminimum\tb",
                "line 2: a test of this kind needs expected class",
            ),
            ("a\tinvariance\tb", "needs change"),
            (
                "a\tinvariance\tb\ttyping\tc",
                "has no expected class, but this is \"c\"",
            ),
            (
                "a\tdirection\tb\ttyping\tc",
                "\"c\" has no direction: write +c or -c",
            ),
            ("a\tminimum\t{x} b\t\tc", "there is no list \"x\""),
            ("a\tminimum\t{data}\t\tc", "use `birnn eval`"),
            (
                "l\tlist\tx|y\na\tinvariance\tb\tswap l",
                "line 3: the text has no place",
            ),
            (
                "a\tminimum\tb\t\tc\na\tinvariance\tb\ttyping",
                "of another kind above",
            ),
            ("\tminimum\tb\t\tc", "needs a name"),
            ("l\tlist\tx", "there are no tests"),
        ] {
            let error = parse(rows).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("tests.tsv"),
                "{error}"
            );
        }
        let error = BehaviourSuite::parse("", Path::new("tests.tsv")).unwrap_err();
        assert!(
            error.to_string().contains("needs test, kind and text"),
            "{error}"
        );
    }

    #[test]
    fn the_shipped_tests_are_of_all_kinds() {
        let suite = BehaviourSuite::shipped().unwrap();
        for kind in [
            BehaviourKind::Minimum,
            BehaviourKind::Invariance,
            BehaviourKind::Direction,
        ] {
            assert!(suite.tests.iter().filter(|test| test.kind == kind).count() >= 3);
        }
        assert!(
            suite
                .classes()
                .all(|class| ["positive", "negative"].contains(&class))
        );
    }
}
