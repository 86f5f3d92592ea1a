//! The inputs of a training step of a language model, and its targets.

use super::candidates::{Candidates, Unigrams};
use super::stream::Segment;
use crate::batch::Batch;
use crate::device::indices::Indices;
use crate::error::{Error, Result};
use crate::models::language::LmTargets;
use crate::ops::gather::UsedRows;
use crate::rng::{self, Rng};

/// How the candidates of the softmax are chosen.
#[derive(Debug, Clone, Copy)]
pub enum Softmax<'a> {
    /// All tokens of the vocabulary are candidates.
    Full,
    /// Sampled softmax: the tokens of the batch and additional ones, sampled by frequency.
    Sampled {
        /// The frequencies.
        unigrams: &'a Unigrams,
        /// Number of additional tokens.
        num_samples: usize,
    },
}

/// Texts prepared for a training step.
#[derive(Debug, Clone)]
pub struct TextBatch {
    pub(super) batch: Batch,
    pub(super) targets: LmTargets,
    pub(super) candidates: Candidates,
    /// The rows of the embedding table that are used.
    pub(super) rows: UsedRows,
    /// The number of the forward pass, which determines its dropout masks.
    pub(super) pass: u64,
}

impl TextBatch {
    /// The index lists that a GPU needs.
    pub(super) fn lists(&self) -> Vec<&Indices> {
        let mut lists = self.rows.lists();
        lists.push(self.rows.indices());
        lists.extend(self.batch.packing().on_device());
        lists
    }

    /// Whole texts, at least one of which has two tokens, with candidates sampled for this seed and pass.
    pub(super) fn of_texts(
        texts: &[&[u32]],
        (directions, vocabulary_size): (usize, usize),
        softmax: Softmax,
        seed: u64,
        pass: u64,
    ) -> Result<Self> {
        let batch = Batch::new(texts)?;
        let targets = LmTargets::new(&batch, directions);
        if targets.len() == 0 {
            return Err(Error::argument("texts", "none of them has two tokens"));
        }
        let tokens = &targets.tokens;
        let candidates = match softmax {
            Softmax::Full => Candidates::all(tokens, vocabulary_size),
            Softmax::Sampled {
                unigrams,
                num_samples,
            } => {
                let mut rng = Rng::new(seed, rng::Stream::Candidates, pass, 0);
                Candidates::sample(tokens, targets.positions, num_samples, unigrams, &mut rng)
            }
        };
        Ok(Self {
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            targets,
            candidates,
            pass,
        })
    }

    /// A segment of a stream, in which every token has a target.
    pub(super) fn of_segment(segment: &Segment, vocabulary_size: usize, pass: u64) -> Result<Self> {
        let batch = Batch::new(&segment.inputs)?;
        if let Some(id) = segment
            .targets
            .iter()
            .find(|&&id| id as usize >= vocabulary_size)
        {
            let problem = format!("token {id}, but the vocabulary has {vocabulary_size}");
            return Err(Error::argument("ids", problem));
        }
        Ok(Self {
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            candidates: Candidates::all(&segment.targets, vocabulary_size),
            targets: LmTargets::of_every_row(segment.targets.clone()),
            pass,
        })
    }
}
