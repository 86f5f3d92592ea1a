//! Changes of texts that a person would make without a second thought, or that say something more.

use super::template::{Filled, Lists, Template};
use crate::rng::{Rng, Stream};

/// A change of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Two neighbouring letters of a word change places.
    Typing,
    /// `do not` becomes `don't`, and the reverse.
    Contractions,
    /// All letters become small ones.
    Lowercase,
    /// All letters become capital ones.
    Uppercase,
    /// The full stop at the end is left out, or added.
    Punctuation,
    /// The item of this list is replaced by each other one.
    Swap(String),
    /// Something is said before the text and after it.
    Around(String, String),
}

/// The names of changes in a file.
const NAMES: [(&str, Change); 5] = [
    ("typing", Change::Typing),
    ("contractions", Change::Contractions),
    ("lowercase", Change::Lowercase),
    ("uppercase", Change::Uppercase),
    ("punctuation", Change::Punctuation),
];
/// Where the text is in what is said around it.
const TEXT: &str = "{text}";

/// Words with their contractions.
const CONTRACTIONS: [(&str, &str); 22] = [
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("was not", "wasn't"),
    ("were not", "weren't"),
    ("have not", "haven't"),
    ("has not", "hasn't"),
    ("had not", "hadn't"),
    ("would not", "wouldn't"),
    ("could not", "couldn't"),
    ("should not", "shouldn't"),
    ("will not", "won't"),
    ("cannot", "can't"),
    ("it is", "it's"),
    ("that is", "that's"),
    ("i am", "i'm"),
    ("i have", "i've"),
    ("i will", "i'll"),
    ("you are", "you're"),
    ("they are", "they're"),
];

impl Change {
    /// The change of this name; otherwise what is wrong with it.
    pub fn new(name: &str, lists: &Lists) -> Result<Self, String> {
        if let Some((_, change)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(change.clone());
        }
        if let Some(list) = name.strip_prefix("swap ") {
            return match lists.contains_key(list) {
                true => Ok(Self::Swap(list.to_owned())),
                false => Err(format!("there is no list \"{list}\"")),
            };
        }
        match name.split_once(TEXT) {
            Some((before, after)) => Ok(Self::Around(before.to_owned(), after.to_owned())),
            None => {
                let names = NAMES.map(|(name, _)| name).join(", ");
                Err(format!(
                    "\"{name}\" is no change: there are {names}, swap LIST, and words around {TEXT}"
                ))
            }
        }
    }

    /// Whether it can change texts of this template.
    pub fn fits(&self, template: &Template) -> bool {
        match self {
            Self::Swap(list) => template.uses(list),
            _ => true,
        }
    }

    /// The changed texts; none if there is nothing to change. The number of the text makes its typing errors its own.
    pub fn of(
        &self,
        filled: &Filled,
        template: &Template,
        lists: &Lists,
        number: u64,
    ) -> Vec<String> {
        let text = filled.text.as_str();
        let changed = match self {
            Self::Swap(list) => {
                let others = lists[list]
                    .iter()
                    .filter(|item| **item != filled.items[list]);
                return others
                    .map(|item| {
                        let mut items = filled.items.clone();
                        items.insert(list.clone(), item.clone());
                        template.with(&items)
                    })
                    .collect();
            }
            Self::Typing => mistyped(text, number),
            Self::Contractions => contracted(text),
            Self::Lowercase => text.to_lowercase(),
            Self::Uppercase => text.to_uppercase(),
            Self::Punctuation => match text.strip_suffix('.') {
                Some(text) => text.to_owned(),
                None => format!("{text}."),
            },
            Self::Around(before, after) => format!("{before}{text}{after}"),
        };
        match changed == text {
            true => Vec::new(),
            false => vec![changed],
        }
    }
}

/// The text with two neighbouring letters within one of its words of at least four letters exchanged.
fn mistyped(text: &str, number: u64) -> String {
    let characters: Vec<char> = text.chars().collect();
    let is_letter = |index: usize| characters.get(index).is_some_and(|c| c.is_alphabetic());
    // The first and the last letter of a word stay, so that it can be read.
    let places: Vec<usize> = (1..characters.len().saturating_sub(2))
        .filter(|&index| (index - 1..index + 3).all(is_letter))
        .filter(|&index| characters[index] != characters[index + 1])
        .collect();
    if places.is_empty() {
        return text.to_owned();
    }
    let mut rng = Rng::new(0, Stream::Typing, number, 0);
    let place = places[rng.below(places.len())];
    let mut changed = characters;
    changed.swap(place, place + 1);
    changed.into_iter().collect()
}

/// The text with its contractions written out, or else with what can be contracted contracted.
fn contracted(text: &str) -> String {
    let (mut longer, mut shorter) = (text.to_owned(), text.to_owned());
    for (long, short) in CONTRACTIONS {
        longer = replaced(&longer, short, long);
        shorter = replaced(&shorter, long, short);
    }
    match longer == text {
        true => shorter,
        false => longer,
    }
}

/// The text with words replaced, whole words only, with a capital where there was one.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let lowered = text.to_ascii_lowercase();
    let (mut result, mut at) = (String::new(), 0);
    while let Some(found) = lowered[at..].find(from) {
        let (start, end) = (at + found, at + found + from.len());
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '\'');
        let is_whole =
            !is_word(text[..start].chars().next_back()) && !is_word(text[end..].chars().next());
        result.push_str(&text[at..start]);
        match is_whole {
            true if text[start..].starts_with(|c: char| c.is_uppercase()) => {
                let (first, rest) = to.split_at(1);
                result.push_str(&first.to_uppercase());
                result.push_str(rest);
            }
            true => result.push_str(to),
            false => result.push_str(&text[start..end]),
        }
        at = end;
    }
    result.push_str(&text[at..]);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contractions_are_written_out_or_made() {
        assert_eq!(contracted("I don't know."), "I do not know.");
        assert_eq!(
            contracted("It is not bad; do not go."),
            "It isn't bad; don't go."
        );
        assert_eq!(contracted("Cannot say."), "Can't say.");
        assert_eq!(contracted("Nothing here."), "Nothing here.");
        // Only whole words.
        assert_eq!(
            contracted("A bandit is notorious."),
            "A bandit is notorious."
        );
    }

    #[test]
    fn a_typing_error_exchanges_letters_within_a_word() {
        let changed = mistyped("A wonderful film", 3);
        assert_ne!(changed, "A wonderful film");
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        assert_eq!(sorted(&changed), sorted("A wonderful film"));
        assert_eq!(mistyped("A wonderful film", 3), changed);
        assert_eq!(mistyped("It is so", 0), "It is so");
        assert_eq!(mistyped("", 0), "");
    }

    #[test]
    fn changes_are_named_or_said() {
        let lists: Lists = [("name".to_owned(), vec!["Ana".to_owned(), "Li".to_owned()])].into();
        let change = |name: &str| Change::new(name, &lists);
        assert_eq!(change("typing"), Ok(Change::Typing));
        assert_eq!(change("swap name"), Ok(Change::Swap("name".to_owned())));
        assert!(
            change("swap place")
                .unwrap_err()
                .contains("no list \"place\"")
        );
        let around = Change::Around(String::new(), " I loved it.".to_owned());
        assert_eq!(change("{text} I loved it."), Ok(around.clone()));
        assert!(change("typos").unwrap_err().contains("there are typing"));
        let template = Template::new("{name} left.", &lists).unwrap();
        let filled = &template.filled(&lists)[0];
        let of = |change: Change| change.of(filled, &template, &lists, 0);
        assert_eq!(of(Change::Swap("name".to_owned())), ["Li left."]);
        assert_eq!(of(around), ["Ana left. I loved it."]);
        assert_eq!(of(Change::Punctuation), ["Ana left"]);
        assert_eq!(of(Change::Lowercase), ["ana left."]);
        assert!(of(Change::Contractions).is_empty());
    }
}
