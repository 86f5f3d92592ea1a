//! Texts with places to be filled from lists: `{name} loved it.`

use std::collections::BTreeMap;

/// The lists from which places are filled, by name.
pub(super) type Lists = BTreeMap<String, Vec<String>>;

/// At most so many texts are made from a template.
const MOST: usize = 2000;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The name of a list.
    Place(String),
}

/// A text with places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

/// A template with its places filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filled {
    pub text: String,
    /// The item of each list that was taken.
    pub items: BTreeMap<String, String>,
}

impl Template {
    /// A template, all of whose places are names of lists; otherwise what is wrong with it.
    pub fn new(text: &str, lists: &Lists) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            let Some(length) = rest[start..].find('}') else {
                return Err(format!("\"{text}\" has a {{ without a }}"));
            };
            let name = &rest[start + 1..start + length];
            if !lists.contains_key(name) {
                let known: Vec<&str> = lists.keys().map(String::as_str).collect();
                let known = match known.is_empty() {
                    true => "there are none: begin with a row of the kind list".to_owned(),
                    false => format!("the lists are {}", known.join(", ")),
                };
                return Err(format!("there is no list \"{name}\"; {known}"));
            }
            parts.push(Part::Text(rest[..start].to_owned()));
            parts.push(Part::Place(name.to_owned()));
            rest = &rest[start + length + 1..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// Whether a place of it is filled from this list.
    pub fn uses(&self, list: &str) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Place(name) if name == list))
    }

    /// Every text that it stands for: each list is gone through, and a list that is named twice has the same item in both
    /// places. Of more than 2,000 texts, evenly chosen ones.
    pub fn filled(&self, lists: &Lists) -> Vec<Filled> {
        let names = self.lists();
        let sizes: Vec<usize> = names.iter().map(|name| lists[*name].len()).collect();
        let all = self.count(lists);
        let made = all.min(MOST);
        let number = |index: usize| (index as u128 * all as u128 / made as u128) as usize;
        (0..made)
            .map(|index| {
                let mut rest = number(index);
                let mut items = BTreeMap::new();
                for (name, size) in names.iter().zip(&sizes).rev() {
                    items.insert((*name).to_owned(), lists[*name][rest % size].clone());
                    rest /= size;
                }
                Filled {
                    text: self.with(&items),
                    items,
                }
            })
            .collect()
    }

    /// The lists from which its places are filled.
    fn lists(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for part in &self.parts {
            if let Part::Place(name) = part
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        }
        names
    }

    /// How many texts it stands for.
    fn count(&self, lists: &Lists) -> usize {
        let sizes = self.lists().into_iter().map(|name| lists[name].len());
        sizes.fold(1, usize::saturating_mul)
    }

    /// How many of them [`Template::filled`] leaves out.
    pub fn left_out(&self, lists: &Lists) -> usize {
        self.count(lists).saturating_sub(MOST)
    }

    /// The text with these items.
    pub fn with(&self, items: &BTreeMap<String, String>) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Place(name) => text.push_str(&items[name]),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        [
            ("name".to_owned(), list(&["Ana", "Li"])),
            ("thing".to_owned(), list(&["plot", "cast", "score"])),
        ]
        .into()
    }

    #[test]
    fn places_are_filled_from_lists() {
        let template = Template::new("{name} and {name}: {thing}!", &lists()).unwrap();
        let texts: Vec<String> = template
            .filled(&lists())
            .into_iter()
            .map(|filled| filled.text)
            .collect();
        assert_eq!(texts.len(), 6);
        assert_eq!(texts[0], "Ana and Ana: plot!");
        assert_eq!(texts[5], "Li and Li: score!");
        assert!(template.uses("name") && !template.uses("place"));
        let plain = Template::new("Good.", &lists()).unwrap().filled(&lists());
        assert_eq!((plain.len(), plain[0].text.as_str()), (1, "Good."));
    }

    #[test]
    fn what_cannot_be_filled_is_said() {
        let problem = |text: &str| Template::new(text, &lists()).unwrap_err();
        assert_eq!(
            problem("{nam} left"),
            "there is no list \"nam\"; the lists are name, thing"
        );
        assert_eq!(problem("{name left"), "\"{name left\" has a { without a }");
        let none = Template::new("{a}", &Lists::new()).unwrap_err();
        assert!(none.contains("there are none"), "{none}");
    }

    #[test]
    fn many_texts_are_thinned_evenly() {
        let items: Vec<String> = (0..100).map(|index| index.to_string()).collect();
        let lists: Lists = [("a".to_owned(), items.clone()), ("b".to_owned(), items)].into();
        let found = Template::new("{a} {b}", &lists).unwrap().filled(&lists);
        assert_eq!(found.len(), MOST);
        assert_eq!(
            (found[0].text.as_str(), found[1].text.as_str()),
            ("0 0", "0 5")
        );
        assert_eq!(found[MOST - 1].text, "99 95");
        let template = Template::new("{a} {b}", &lists).unwrap();
        assert_eq!(template.left_out(&lists), 8000);
    }
}
