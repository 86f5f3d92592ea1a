//! Evaluation where a text may have several labels.

use super::metrics::{ClassScores, Groups};
use super::output::Output;
use super::thresholds::classes_over;
use super::wrong_rows::{WrongRow, surest_error, wrong_rows};
use crate::data::{Labels, Split, TextLabels};
use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;
use crate::text::Coverage;

/// The numbers of labels of which [`MultiLabelEvaluation::precision_at`] is reported.
const AT: [usize; 3] = [1, 3, 5];

/// The result of an evaluation where a text may have several labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MultiLabelEvaluation {
    /// Mean binary cross-entropy in nats, over all texts and classes.
    pub loss: f64,
    /// The same with the logits as they are, not divided by the temperature: what training reports as the validation
    /// loss. `None` for several models, each of which has a temperature of its own.
    pub loss_uncalibrated: Option<f64>,
    /// The counts of each class.
    pub classes: Vec<LabelCounts>,
    /// Number of texts.
    pub texts: u64,
    /// Number of texts with exactly the right labels.
    pub exact: u64,
    /// For 1, 3 and 5, as far as there are so many classes: the share of right ones among so many most probable labels
    /// of a text, averaged over the texts.
    pub precision_at: Vec<(usize, f64)>,
    /// The predicted classes of every text, in order.
    pub predicted: Vec<Vec<usize>>,
    /// The probability of the surest wrong decision about every text ([`WrongRow::score`]); 0 where all are right.
    pub scores: Vec<f64>,
    /// How much of the texts was read; of several models, by the one that cut most texts. Zero for logits.
    pub coverage: Coverage,
}

/// How often a label was predicted, and rightly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Texts that have the label and for which it is predicted.
    pub correct: u64,
    /// Texts for which it is predicted.
    pub predicted: u64,
    /// Texts that have it.
    pub support: u64,
}

impl LabelCounts {
    /// Precision, recall and F1.
    pub fn scores(&self) -> ClassScores {
        ClassScores::new(self.correct, self.predicted, self.support)
    }
}

impl MultiLabelEvaluation {
    /// The result for logits `[texts][classes]`, divided by the temperature, of texts with these labels, by the
    /// thresholds `[classes]`.
    ///
    /// # Errors
    /// Labels that do not match the logits.
    pub fn of_logits(
        logits: &[Vec<f32>],
        temperature: f64,
        labels: &TextLabels,
        thresholds: &[f64],
    ) -> Result<Self> {
        let logits = logits.iter().cloned();
        let output = |row| Output::new(row, temperature, OutputKind::Sigmoid);
        let outputs: Vec<Output> = logits.map(output).collect();
        Self::new(&outputs, labels, thresholds)
    }

    /// The result for outputs of texts with these labels.
    ///
    /// # Errors
    /// Labels that do not match the outputs.
    pub(crate) fn new(outputs: &[Output], labels: &TextLabels, thresholds: &[f64]) -> Result<Self> {
        let classes = thresholds.len();
        if outputs.len() != labels.len() {
            let problem = format!("{} of them for {} texts", labels.len(), outputs.len());
            return Err(Error::argument("labels", problem));
        }
        let mut found = Self {
            coverage: Coverage::default(),
            loss: 0.0,
            loss_uncalibrated: None,
            classes: vec![LabelCounts::default(); classes],
            texts: outputs.len() as u64,
            exact: 0,
            precision_at: Vec::new(),
            predicted: Vec::with_capacity(outputs.len()),
            scores: Vec::with_capacity(outputs.len()),
        };
        let mut hits = AT.map(|_| 0.0);
        for (text, output) in outputs.iter().enumerate() {
            let own = labels.of(text);
            let largest = own.iter().max().map_or(0, |&class| class as usize + 1);
            if output.log_probabilities.len() != classes || largest > classes {
                let problem = format!(
                    "class {} of {classes}, for {} outputs",
                    largest.saturating_sub(1),
                    output.log_probabilities.len()
                );
                return Err(Error::argument("labels", problem));
            }
            let probabilities = output.log_probabilities.iter().map(|value| value.exp());
            let predicted = classes_over(probabilities, thresholds);
            let has = |class: usize| own.contains(&(class as u32));
            for (class, counts) in found.classes.iter_mut().enumerate() {
                counts.support += u64::from(has(class));
                found.loss -= match has(class) {
                    true => output.log_probabilities[class],
                    false => output.log_complements[class],
                };
            }
            for &class in &predicted {
                found.classes[class].predicted += 1;
                found.classes[class].correct += u64::from(has(class));
            }
            let is_exact =
                predicted.len() == own.len() && predicted.iter().all(|&class| has(class));
            found.exact += u64::from(is_exact);
            let mut ranked: Vec<usize> = (0..classes).collect();
            ranked.sort_by(|&a, &b| {
                output.log_probabilities[b].total_cmp(&output.log_probabilities[a])
            });
            for (hits, at) in hits.iter_mut().zip(AT) {
                let right = ranked.iter().take(at).filter(|&&class| has(class)).count();
                *hits += right as f64 / at as f64;
            }
            let probabilities = output.log_probabilities.iter().map(|value| value.exp());
            let score = surest_error(has, &predicted, probabilities);
            found.scores.push(score);
            found.predicted.push(predicted);
        }
        let texts = outputs.len().max(1) as f64;
        found.loss /= texts * classes.max(1) as f64;
        let at = AT.into_iter().zip(hits).filter(|(at, _)| *at <= classes);
        found.precision_at = at.map(|(at, hits)| (at, hits / texts)).collect();
        Ok(found)
    }

    /// The rows of the evaluated split whose predicted classes are not their labels, the surest first.
    pub fn wrong_rows(&self, split: &Split, labels: &Labels) -> Vec<WrongRow> {
        let predicted = self.predicted.iter().map(Vec::as_slice);
        wrong_rows(split, labels, predicted.zip(self.scores.iter().copied()))
    }

    /// The share of texts with exactly the right labels; undefined without texts.
    pub fn accuracy(&self) -> Option<f64> {
        (self.texts > 0).then(|| self.exact as f64 / self.texts as f64)
    }

    /// The F1 of all predicted labels, whatever their class.
    pub fn micro_f1(&self) -> Option<f64> {
        let mut sum = LabelCounts::default();
        for counts in &self.classes {
            sum.correct += counts.correct;
            sum.predicted += counts.predicted;
            sum.support += counts.support;
        }
        sum.scores().f1
    }

    /// Mean F1 of the classes that occur or are predicted.
    pub fn macro_f1(&self) -> Option<f64> {
        let scores = self.classes.iter().filter_map(|counts| counts.scores().f1);
        let (sum, count) = scores.fold((0.0, 0), |(sum, count), f1| (sum + f1, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The classes that occur, but were recognised in no text.
    pub(crate) fn missed(&self) -> Vec<u32> {
        let classes = self.classes.iter().zip(0..);
        let missed = classes.filter(|(counts, _)| counts.support > 0 && counts.correct == 0);
        missed.map(|(_, class)| class).collect()
    }

    /// The number of texts with exactly the right labels by group of the evaluated split.
    pub fn groups(&self, split: &Split, labels: &Labels) -> Groups {
        let mut groups = Groups::default();
        for (record, predicted) in split.records.iter().zip(&self.predicted) {
            if let Some(group) = &record.group {
                let own = record.labels.iter().flatten();
                let mut own: Vec<usize> = own.filter_map(|label| labels.class_of(label)).collect();
                own.sort_unstable();
                own.dedup();
                groups.add(group, own == *predicted);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_out_by_hand() {
        let logit = |probability: f32| (probability / (1.0 - probability)).ln();
        let output = |probabilities: [f32; 3]| {
            Output::new(probabilities.map(logit).to_vec(), 1.0, OutputKind::Sigmoid)
        };
        let outputs = [
            output([0.9, 0.6, 0.1]),
            output([0.2, 0.3, 0.4]),
            output([0.7, 0.2, 0.6]),
        ];
        let labels = TextLabels::Several(vec![vec![0, 1], vec![], vec![2]]);
        let found = MultiLabelEvaluation::new(&outputs, &labels, &[0.5; 3]).unwrap();
        assert_eq!(found.predicted, [vec![0, 1], vec![], vec![0, 2]]);
        assert_eq!((found.texts, found.exact), (3, 2));
        let (all, first) = (found.micro_f1().unwrap(), found.classes[0].scores());
        assert!((all - 6.0 / 7.0).abs() < 1e-12);
        assert_eq!(
            (first.precision, first.recall, first.f1),
            (Some(0.5), Some(1.0), Some(2.0 / 3.0))
        );
        assert!((found.macro_f1().unwrap() - (2.0 / 3.0 + 1.0 + 1.0) / 3.0).abs() < 1e-12);
        // 1 of 1, 0 of 1, 0 of 1; 2 of 3, 0 of 3, 1 of 3.
        let [(1, first), (3, three)] = found.precision_at[..] else {
            panic!("{:?}", found.precision_at);
        };
        assert!((first - 1.0 / 3.0).abs() < 1e-12 && (three - 1.0 / 3.0).abs() < 1e-12);
        let expected: f64 = [0.9, 0.6, 0.9, 0.8, 0.7, 0.6, 0.3, 0.8, 0.6]
            .map(|p: f64| -p.ln())
            .iter()
            .sum();
        assert!((found.loss - expected / 9.0).abs() < 1e-6);
        let missed = MultiLabelEvaluation::new(&outputs, &labels, &[0.5, 0.5, 0.9]).unwrap();
        assert_eq!(missed.missed(), [2]);
        assert!(MultiLabelEvaluation::new(&outputs, &labels, &[0.5; 2]).is_err());
    }
}
