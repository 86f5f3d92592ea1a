//! Batches that are ready for a training step.

use crate::batch::Batch;
use crate::corpus::Encoded;
use crate::embedding::UsedRows;
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};

/// A batch with its classes and all that a training step can know before it has the parameters.
#[derive(Debug, Clone)]
pub struct LabelledBatch {
    pub(super) batch: Batch,
    /// In the batch's sorted order.
    pub(super) labels: Vec<u32>,
    pub(super) rows: UsedRows,
    /// A number that no other forward pass of the run has.
    pub(super) pass: u64,
}

impl LabelledBatch {
    /// The token lists of some texts, none of them empty, with their classes. `pass` is a number
    /// that no other forward pass of the run has: dropout is drawn for it.
    ///
    /// # Errors
    /// No lists, an empty one, or another number of labels.
    pub fn new(sequences: &[&[u32]], labels: &[u32], pass: u64) -> Result<Self> {
        if labels.len() != sequences.len() {
            return Err(Error::argument(
                "labels",
                format!("{} of them for {} texts", labels.len(), sequences.len()),
            ));
        }
        let batch = Batch::new(sequences)?;
        let order = batch.packing().order();
        Ok(Self {
            labels: order.iter().map(|&row| labels[row]).collect(),
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            pass,
        })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Never: a batch has at least one text.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Makes batches of training texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preparer<'a> {
    pub(super) texts: &'a Encoded,
    pub(super) seed: u64,
    pub(super) word_dropout: f64,
    /// What word dropout puts in the place of a token.
    pub(super) unknown: u32,
}

impl Preparer<'_> {
    /// The batches of these texts, of which the first is pass number `first_pass` of the run.
    pub(super) fn prepare(
        &self,
        batches: &[Vec<usize>],
        first_pass: u64,
    ) -> Result<Vec<LabelledBatch>> {
        let passes = first_pass..;
        let batches = batches.iter().zip(passes);
        batches
            .map(|(texts, pass)| self.batch(texts, pass))
            .collect()
    }

    fn batch(&self, texts: &[usize], pass: u64) -> Result<LabelledBatch> {
        let ids = |&text: &usize| self.texts.ids[text].as_slice();
        let labels: Vec<u32> = texts.iter().map(|&text| self.texts.labels[text]).collect();
        let sequences: Vec<&[u32]> = texts.iter().map(ids).collect();
        if self.word_dropout == 0.0 {
            return LabelledBatch::new(&sequences, &labels, pass);
        }
        let dropped: Vec<Vec<u32>> = sequences
            .into_iter()
            .enumerate()
            .map(|(row, ids)| self.with_word_dropout(ids, pass, row as u64))
            .collect();
        let sequences: Vec<&[u32]> = dropped.iter().map(Vec::as_slice).collect();
        LabelledBatch::new(&sequences, &labels, pass)
    }

    /// A text in which some tokens are replaced by the unknown one.
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
