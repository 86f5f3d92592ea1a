//! Labels that a user says the classes of.

use super::labels::different_labels;
use super::{Labels, Split};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Labels as written and the classes that they stand for: `neg=negative,pos=positive`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelMap(BTreeMap<String, String>);

impl LabelMap {
    /// From pairs of a label as written and a class.
    ///
    /// # Errors
    /// Two labels for one class: the classes would no longer be those of the data.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let pairs: BTreeMap<String, String> = pairs.into_iter().collect();
        for (label, class) in &pairs {
            let other = pairs
                .iter()
                .find(|(other, of)| *of == class && *other < label);
            if let Some((other, _)) = other {
                return Err(Error::config(
                    "data.label_map",
                    format!("both {other:?} and {label:?} become {class:?}"),
                    "give each label a class of its own",
                ));
            }
        }
        Ok(Self(pairs))
    }

    /// The class of a label, if it is in the map.
    pub(super) fn get(&self, label: &str) -> Option<&str> {
        self.0.get(label).map(String::as_str)
    }

    /// Renames the classes of a model for its output; the others keep their names.
    ///
    /// # Errors
    /// A label of the map that is not a class, or two classes that would have one name.
    pub fn rename(&self, labels: &Labels) -> Result<Labels> {
        if let Some(label) = self.0.keys().find(|label| labels.class_of(label).is_none()) {
            return Err(Error::config(
                "data.label_map",
                format!("{label:?} is not a class"),
                format!("the classes are {}", listed(labels.names())),
            ));
        }
        let names = labels
            .names()
            .iter()
            .map(|name| self.get(name).unwrap_or(name).to_owned());
        let names: Vec<String> = names.collect();
        Labels::new(names).map_err(|_| {
            Error::config(
                "data.label_map",
                "two classes would have one name",
                format!("give each a name of its own: {}", map_of(labels.names())),
            )
        })
    }

    /// Renames the labels of a split that is trained on. `others` are the splits whose labels are read by the same map.
    ///
    /// # Errors
    /// A label of the map that no row of any of these splits has.
    pub fn apply(&self, split: &mut Split, others: &[&Split]) -> Result<()> {
        let written = different_labels(split);
        let elsewhere: BTreeSet<&str> = others
            .iter()
            .flat_map(|other| different_labels(other))
            .collect();
        let is_unused = |label: &&String| {
            !written.contains(&label.as_str()) && !elsewhere.contains(label.as_str())
        };
        if let Some(label) = self.0.keys().find(is_unused) {
            return Err(Error::data(
                &split.origin,
                format!("no row has the label {label:?} of data.label_map"),
                format!("the labels are {}", listed(&written)),
            ));
        }
        for record in &mut split.records {
            for label in record.labels.iter_mut().flatten() {
                if let Some(class) = self.get(label) {
                    *label = class.to_owned();
                }
            }
        }
        Ok(())
    }
}

/// Names in quotes, at most twenty.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const MOST: usize = 20;
    let quoted = names.iter().take(MOST);
    let mut list: Vec<String> = quoted.map(|name| format!("{:?}", name.as_ref())).collect();
    if names.len() > MOST {
        list.push(format!("{} more", names.len() - MOST));
    }
    list.join(", ")
}

/// The option that maps these labels, to be filled in.
pub(super) fn map_of<S: AsRef<str>>(labels: &[S]) -> String {
    const SHOWN: usize = 6;
    let pairs = labels.iter().take(SHOWN);
    let pairs: Vec<String> = pairs
        .map(|label| format!("{}=CLASS", label.as_ref()))
        .collect();
    let more = if labels.len() > SHOWN { ",..." } else { "" };
    format!("--label-map {}{more}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_renamed_for_output() {
        let labels = Labels::new(vec!["negative".into(), "positive".into()]).unwrap();
        let rename = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
            LabelMap::new(pairs).unwrap().rename(&labels)
        };
        assert_eq!(
            rename(&[("negative", "bad")]).unwrap().names(),
            ["bad", "positive"]
        );
        let swapped = rename(&[("negative", "positive"), ("positive", "negative")]);
        assert_eq!(swapped.unwrap().names(), ["positive", "negative"]);
        assert_eq!(
            rename(&[("neg", "bad")]).unwrap_err().to_string(),
            "configuration, data.label_map: \"neg\" is not a class; the classes are \"negative\", \"positive\""
        );
        assert_eq!(
            rename(&[("negative", "positive")]).unwrap_err().to_string(),
            "configuration, data.label_map: two classes would have one name; give each a name of its own: --label-map \
             negative=CLASS,positive=CLASS"
        );
    }
}
