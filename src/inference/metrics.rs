//! The counts of an evaluation, and the metrics computed from them.

use serde::Serialize;
use std::collections::HashMap;

/// How often each class was predicted for each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Confusion {
    /// `counts[label][prediction]`.
    counts: Vec<Vec<u64>>,
}

/// Precision, recall and F1 of one class. A ratio whose denominator is 0 is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassScores {
    /// Share of the predictions of this class that are correct.
    pub precision: Option<f64>,
    /// Share of the texts of this class that are predicted as such.
    pub recall: Option<f64>,
    /// Harmonic mean of both; undefined if the class neither occurs nor is predicted.
    pub f1: Option<f64>,
    /// Number of texts of this class.
    pub support: u64,
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl ClassScores {
    pub(super) fn new(correct: u64, predicted: u64, support: u64) -> Self {
        Self {
            precision: ratio(correct, predicted),
            recall: ratio(correct, support),
            f1: ratio(2 * correct, support + predicted),
            support,
        }
    }
}

impl Confusion {
    /// No texts yet.
    pub fn new(classes: usize) -> Self {
        Self {
            counts: vec![vec![0; classes]; classes],
        }
    }

    /// Counts one text. Class numbers are below the number of classes.
    pub fn add(&mut self, label: usize, prediction: usize) {
        self.counts[label][prediction] += 1;
    }

    /// `counts()[label][prediction]`.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Number of texts.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Number of texts that were classified correctly.
    pub fn correct(&self) -> u64 {
        (0..self.counts.len()).map(|i| self.counts[i][i]).sum()
    }

    /// Share of correct predictions; undefined without texts.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.correct(), self.total())
    }

    /// The scores of a class.
    pub fn class(&self, class: usize) -> ClassScores {
        let correct = self.counts[class][class];
        let support = self.counts[class].iter().sum();
        let predicted = self.counts.iter().map(|row| row[class]).sum();
        ClassScores::new(correct, predicted, support)
    }

    /// The classes that occur, but were recognised in no text.
    pub(crate) fn missed(&self) -> Vec<u32> {
        let classes = (0..self.counts.len()).filter(|&class| {
            let scores = self.class(class);
            scores.support > 0 && scores.recall == Some(0.0)
        });
        classes.map(|class| class as u32).collect()
    }

    /// Mean F1 of the classes that occur or are predicted.
    pub fn macro_f1(&self) -> Option<f64> {
        let scores = (0..self.counts.len()).filter_map(|class| self.class(class).f1);
        let (sum, count) = scores.fold((0.0, 0), |(sum, count), f1| (sum + f1, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }
}

/// Correct predictions by group of texts, in the order in which the groups first appear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    groups: Vec<Group>,
    indices: HashMap<String, usize>,
}

/// The texts of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// Number of texts.
    pub texts: u64,
    /// Number of texts that were classified correctly.
    pub correct: u64,
}

impl Groups {
    /// Counts one text of a group.
    pub fn add(&mut self, name: &str, correct: bool) {
        let index = match self.indices.get(name) {
            Some(index) => *index,
            None => {
                self.indices.insert(name.to_owned(), self.groups.len());
                self.groups.push(Group {
                    name: name.to_owned(),
                    ..Group::default()
                });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[index];
        group.texts += 1;
        group.correct += u64::from(correct);
    }

    /// The groups.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// Whether no text belongs to a group.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    /// Share of correct predictions; undefined without texts.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.correct, self.texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_in_order_of_appearance() {
        let mut groups = Groups::default();
        assert!(groups.is_empty());
        for (name, correct) in [("b", true), ("a", false), ("b", false), ("b", true)] {
            groups.add(name, correct);
        }
        let found: Vec<(&str, u64, Option<f64>)> = groups
            .iter()
            .map(|group| (group.name.as_str(), group.texts, group.accuracy()))
            .collect();
        assert_eq!(found, [("b", 3, Some(2. / 3.)), ("a", 1, Some(0.))]);
        assert_eq!(Group::default().accuracy(), None);
    }

    #[test]
    fn worked_out_by_hand() {
        let mut confusion = Confusion::new(3);
        for (label, prediction) in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0)] {
            confusion.add(label, prediction);
        }
        assert_eq!(confusion.accuracy(), Some(0.6));
        let first = confusion.class(0);
        assert_eq!(first.precision, Some(2. / 3.));
        assert_eq!(first.recall, Some(2. / 3.));
        assert_eq!(first.f1, Some(2. / 3.));
        assert_eq!(first.support, 3);
        assert_eq!(confusion.class(1).f1, Some(0.5));
        // The third class neither occurs nor is predicted.
        assert_eq!(confusion.class(2).f1, None);
        assert_eq!(confusion.macro_f1(), Some((2. / 3. + 0.5) / 2.));
        assert!(confusion.missed().is_empty());
        confusion.add(2, 0);
        assert_eq!(confusion.missed(), [2]);
    }

    #[test]
    fn ratios_of_nothing_are_undefined() {
        let confusion = Confusion::new(2);
        assert_eq!(confusion.accuracy(), None);
        assert_eq!(confusion.macro_f1(), None);
        let mut confusion = Confusion::new(2);
        confusion.add(0, 0);
        assert_eq!(confusion.class(1).precision, None);
        assert_eq!(confusion.class(1).recall, None);
    }
}
