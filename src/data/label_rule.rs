//! Which class a label means: one rule for all labels of a column.

use std::fmt;

/// By which rule the labels of a column are read as classes. The first rule that knows all of them is used, never one
/// rule for one row and another for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelRule {
    /// The names of the classes.
    Name,
    /// The names, but for upper and lower case.
    Case,
    /// The same numbers written in another way: `5.0` for `5`.
    Number,
    /// Two classes, one bad or false and one good or true, by usual names of such classes: `neg`, `NEGATIVE`, `0`.
    Polarity,
    /// Numbers from 0 for the classes in their order.
    Position,
}

impl LabelRule {
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Case,
        Self::Number,
        Self::Polarity,
        Self::Position,
    ];

    /// The class of each of these labels, if this rule knows all of them.
    pub fn classes_of(self, labels: &[&str], names: &[String]) -> Option<Vec<usize>> {
        if self == Self::Polarity {
            return polarities(labels, names);
        }
        let one = |label: &&str| self.class_of(label, names);
        labels.iter().map(one).collect()
    }

    /// The one class that a label means.
    fn class_of(self, label: &str, names: &[String]) -> Option<usize> {
        let only = |same: &dyn Fn(&str) -> bool| {
            let mut found = names.iter().enumerate().filter(|(_, name)| same(name));
            match (found.next(), found.next()) {
                (Some((class, _)), None) => Some(class),
                _ => None,
            }
        };
        match self {
            Self::Name => only(&|name| name == label),
            Self::Case => only(&|name| name.to_lowercase() == label.to_lowercase()),
            Self::Number => {
                let number = whole_number(label)?;
                only(&|name| whole_number(name) == Some(number))
            }
            // Where the classes are numbers, another number is another class.
            Self::Position if names.iter().all(|name| whole_number(name).is_some()) => None,
            Self::Position => {
                let position = usize::try_from(whole_number(label)?).ok()?;
                (position < names.len()).then_some(position)
            }
            Self::Polarity => None,
        }
    }
}

impl fmt::Display for LabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "by name",
            Self::Case => "by name, whatever the case",
            Self::Number => "by number",
            Self::Polarity => "by the usual names of two classes",
            Self::Position => "by position, from 0",
        })
    }
}

/// A whole number, also as `5.0`, `5e0` or `+5`.
pub(super) fn whole_number(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let number = text.parse::<f64>().ok()?;
    let exact = number.fract() == 0.0 && number.abs() < 9e15;
    exact.then_some(number as i64)
}

/// Usual names of a bad or false class and of a good or true one.
const POLARITIES: [[&str; 2]; 9] = [
    ["negative", "positive"],
    ["neg", "pos"],
    ["0", "1"],
    ["-1", "1"],
    ["false", "true"],
    ["no", "yes"],
    ["label_0", "label_1"],
    ["__label__0", "__label__1"],
    ["1", "2"],
];

/// Which end of one pair each of these labels is: 0 or 1.
fn ends(labels: &[&str]) -> Option<Vec<usize>> {
    POLARITIES.iter().find_map(|pair| {
        let end = |label: &&str| {
            let label = match whole_number(label) {
                Some(number) => number.to_string(),
                None => label.to_lowercase(),
            };
            pair.iter().position(|name| *name == label)
        };
        labels.iter().map(end).collect()
    })
}

fn polarities(labels: &[&str], names: &[String]) -> Option<Vec<usize>> {
    // Where the classes are numbers, another number is another class: 1 and 2 are not 0 and 1.
    let are_numbers = names.iter().all(|name| whole_number(name).is_some());
    if are_numbers && labels.iter().any(|label| whole_number(label).is_some()) {
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let of_names = ends(&names).filter(|ends| names.len() == 2 && ends[0] != ends[1])?;
    let class = |end: usize| of_names.iter().position(|of_name| *of_name == end);
    ends(labels)?.into_iter().map(class).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_in_every_form() {
        for (text, number) in [
            ("5", Some(5)),
            ("-1.0", Some(-1)),
            ("5e0", Some(5)),
            ("+3", Some(3)),
            ("5.5", None),
            ("nan", None),
            ("inf", None),
            ("1e300", None),
            ("a", None),
        ] {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }
}
