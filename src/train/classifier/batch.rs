//! Batches prepared for a training step.

use super::texts::TrainingTexts;
use crate::batch::Batch;
use crate::device::indices::Indices;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::ops::argmax::argmax;
use crate::ops::cross_entropy::{Targets, is_known};
use crate::ops::gather::UsedRows;
use crate::rng::{Rng, Stream};
use crate::train::Collator;
use candle_core::Tensor;

/// A batch with its targets and everything that a training step can prepare without the parameters.
#[derive(Debug, Clone)]
pub struct LabelledBatch {
    pub(super) batch: Batch,
    /// The label of each text, or the most probable class of its soft labels, in the batch's sorted
    /// order; empty if texts may have several.
    pub(super) labels: Vec<u32>,
    /// If a text has no label, or may have several, the probability of each class [B, classes], in sorted order; empty
    /// otherwise.
    pub(super) probabilities: Vec<f32>,
    /// Scores that are added to the logits [B, classes], in sorted order; empty for none.
    pub(super) head_scores: Vec<f32>,
    pub(super) rows: UsedRows,
    /// A number unique to this forward pass within the run.
    pub(super) pass: u64,
}

impl LabelledBatch {
    /// The token lists of some texts, none of them empty, with their classes. `pass` is a number
    /// unique to this forward pass within the run; it determines the dropout masks.
    ///
    /// # Errors
    /// No lists, an empty one, or a wrong number of labels.
    pub fn new(sequences: &[&[u32]], labels: &[u32], pass: u64) -> Result<Self> {
        if labels.len() != sequences.len() {
            return Err(Error::argument(
                "labels",
                format!("{} of them for {} texts", labels.len(), sequences.len()),
            ));
        }
        let batch = Batch::new(sequences)?;
        let order = batch.packing().sorted_indices();
        Ok(Self {
            labels: order.iter().map(|&row| labels[row]).collect(),
            probabilities: Vec::new(),
            head_scores: Vec::new(),
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            pass,
        })
    }

    /// The token lists of some texts, none of them empty, which may have several classes each: with the probability of
    /// each class for each text, [texts, classes], row after row.
    ///
    /// # Errors
    /// No lists, an empty one, or a wrong number of probabilities.
    pub fn with_targets(sequences: &[&[u32]], targets: &[f32], pass: u64) -> Result<Self> {
        let batch = Batch::new(sequences)?;
        let classes = targets.len() / sequences.len();
        if classes == 0 || targets.len() != classes * sequences.len() {
            let problem = format!("{} of them for {} texts", targets.len(), sequences.len());
            return Err(Error::argument("targets", problem));
        }
        let order = batch.packing().sorted_indices();
        let rows = order
            .iter()
            .map(|&row| &targets[row * classes..(row + 1) * classes]);
        Ok(Self {
            labels: Vec::new(),
            probabilities: rows.flatten().copied().collect(),
            head_scores: Vec::new(),
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            pass,
        })
    }

    /// The same with scores that are added to the logits, [texts, classes], row after row, in the order in which the
    /// texts were given.
    ///
    /// # Errors
    /// Scores that are not as many for each text.
    pub fn with_head_scores(mut self, scores: &[f32]) -> Result<Self> {
        let classes = scores.len() / self.len();
        if classes == 0 || scores.len() != classes * self.len() {
            let problem = format!("{} of them for {} texts", scores.len(), self.len());
            return Err(Error::argument("head_scores", problem));
        }
        let order = self.batch.packing().sorted_indices();
        let rows = order
            .iter()
            .map(|&row| &scores[row * classes..(row + 1) * classes]);
        self.head_scores = rows.flatten().copied().collect();
        Ok(self)
    }

    /// Logits [B, classes] on the CPU plus the scores of the n-gram head, if there are any.
    pub(super) fn with_head(&self, logits: Tensor) -> Result<Tensor> {
        match self.head_scores.is_empty() {
            true => Ok(logits),
            false => {
                let scores =
                    Tensor::from_slice(&self.head_scores, logits.shape(), logits.device())?;
                Ok((logits + scores)?)
            }
        }
    }

    /// The targets of the texts, in the batch's sorted order.
    pub(super) fn targets(&self) -> Targets<'_> {
        match self.probabilities.is_empty() {
            true => Targets::Labels(&self.labels),
            false => Targets::Probabilities(&self.probabilities),
        }
    }

    /// The label of each text, in the batch's sorted order; `None` for a text without a target.
    pub(super) fn known_labels(&self) -> impl Iterator<Item = Option<u32>> {
        let classes = self.probabilities.len() / self.labels.len().max(1);
        self.labels.iter().enumerate().map(move |(row, &label)| {
            let known =
                classes == 0 || is_known(&self.probabilities[row * classes..(row + 1) * classes]);
            known.then_some(label)
        })
    }

    /// The index lists that a GPU needs.
    fn lists(&self) -> Vec<&Indices> {
        let mut lists = vec![self.batch.packed_ids()];
        lists.extend(self.batch.packing().on_device());
        lists.extend(self.rows.lists());
        lists
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Always false: a batch has at least one text.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Makes batches of training texts.
#[derive(Debug, Clone)]
pub struct ClassifierCollator<'a> {
    pub(super) texts: TrainingTexts<'a>,
    pub(super) classes: usize,
    pub(super) seed: u64,
    pub(super) word_dropout: f64,
    /// The token that word dropout puts in place of another.
    pub(super) unknown: u32,
    /// The uploader to the device on which the batches are used.
    pub(super) uploader: Uploader,
}

impl Collator for ClassifierCollator<'_> {
    type Batch = LabelledBatch;

    fn collate(&self, examples: &[usize], pass: u64) -> Result<LabelledBatch> {
        let mut batch = self.batch(examples, pass)?;
        if let Some(scores) = self.texts.head_scores {
            let of_text = |&text: &usize| &scores[text * self.classes..(text + 1) * self.classes];
            let scores: Vec<f32> = examples.iter().flat_map(of_text).copied().collect();
            batch = batch.with_head_scores(&scores)?;
        }
        self.uploader.send(|| batch.lists())?;
        Ok(batch)
    }
}

impl ClassifierCollator<'_> {
    fn batch(&self, texts: &[usize], pass: u64) -> Result<LabelledBatch> {
        let sequences: Vec<&[u32]> = texts.iter().map(|&text| self.texts.ids(text)).collect();
        if self.word_dropout == 0.0 {
            return self.labelled(&sequences, texts, pass);
        }
        let dropped: Vec<Vec<u32>> = sequences
            .into_iter()
            .enumerate()
            .map(|(row, ids)| self.with_word_dropout(ids, pass, row as u64))
            .collect();
        let sequences: Vec<&[u32]> = dropped.iter().map(Vec::as_slice).collect();
        self.labelled(&sequences, texts, pass)
    }

    /// The batch of these token lists, with the targets of the texts.
    fn labelled(&self, sequences: &[&[u32]], texts: &[usize], pass: u64) -> Result<LabelledBatch> {
        let labels: Option<Vec<u32>> = texts.iter().map(|&text| self.texts.label(text)).collect();
        if let Some(labels) = labels {
            return LabelledBatch::new(sequences, &labels, pass);
        }
        let rows: Vec<Vec<f32>> = texts
            .iter()
            .map(|&text| self.texts.probabilities(text, self.classes))
            .collect();
        if self.texts.may_have_several() {
            return LabelledBatch::with_targets(sequences, &rows.concat(), pass);
        }
        let labels: Vec<u32> = rows.iter().map(|row| argmax(row) as u32).collect();
        let mut batch = LabelledBatch::new(sequences, &labels, pass)?;
        let order = batch.batch.packing().sorted_indices();
        batch.probabilities = order.iter().flat_map(|&row| rows[row].clone()).collect();
        Ok(batch)
    }

    /// A text with some tokens replaced by the unknown token.
    fn with_word_dropout(&self, ids: &[u32], pass: u64, row: u64) -> Vec<u32> {
        let mut rng = Rng::new(self.seed, Stream::WordDropout, pass, row);
        ids.iter()
            .map(|&id| match rng.uniform() < self.word_dropout {
                true => self.unknown,
                false => id,
            })
            .collect()
    }
}
