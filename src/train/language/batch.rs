//! What a step of a language model reads, and its targets.

use super::candidates::{Candidates, Unigrams};
use super::stream::Segment;
use crate::batch::Batch;
use crate::device::indices::Indices;
use crate::error::{Error, Result};
use crate::models::language::LmTargets;
use crate::ops::gather::UsedRows;
use crate::rng::{self, Rng};

/// How the candidates of a batch are chosen.
#[derive(Debug, Clone, Copy)]
pub enum Softmax<'a> {
    /// All tokens of the vocabulary are candidates.
    Full,
    /// The batch's own tokens and so many more, drawn by their frequencies.
    Sampled {
        /// The frequencies.
        unigrams: &'a Unigrams,
        /// How many more tokens.
        num_samples: usize,
    },
}

/// Texts that are ready for a step.
#[derive(Debug, Clone)]
pub struct TextBatch {
    pub(super) batch: Batch,
    pub(super) targets: LmTargets,
    pub(super) candidates: Candidates,
    /// The rows of the embedding table that are read.
    pub(super) rows: UsedRows,
    /// The number of the pass, which decides its dropout.
    pub(super) pass: u64,
}

impl TextBatch {
    /// What a GPU needs of it.
    pub(super) fn lists(&self) -> Vec<&Indices> {
        let mut lists = self.rows.lists();
        lists.push(self.rows.indices());
        lists.extend(self.batch.packing().on_device());
        lists
    }

    /// Whole texts, of which at least one has two tokens, with candidates drawn for this seed and pass.
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

    /// A segment of a stream, every token of which is followed by its target.
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
