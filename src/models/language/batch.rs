//! What a step of a language model reads and what it is to tell.

use super::candidates::{Candidates, Unigrams};
use super::stream::Piece;
use super::targets::Neighbours;
use crate::batch::Batch;
use crate::device::indices::Indices;
use crate::error::{Error, Result};
use crate::ops::gather::UsedRows;
use crate::rng::Rng;

/// How the candidates of a batch are chosen.
#[derive(Debug, Clone, Copy)]
pub enum Softmax<'a> {
    /// All tokens of the vocabulary are candidates.
    Full,
    /// The batch's own tokens and so many more, drawn by their frequencies.
    Sampled {
        /// The frequencies.
        unigrams: &'a Unigrams,
        /// How many more.
        draws: usize,
    },
}

/// Texts that are ready for a step.
#[derive(Debug, Clone)]
pub struct TextBatch {
    pub(super) batch: Batch,
    pub(super) neighbours: Neighbours,
    pub(super) candidates: Candidates,
    /// The rows of the embedding table that are read.
    pub(super) rows: UsedRows,
    /// The number of the pass, which decides its dropout.
    pub(super) pass: u64,
}

impl TextBatch {
    /// What a GPU needs of it.
    pub(crate) fn lists(&self) -> Vec<&Indices> {
        let mut lists = self.rows.lists();
        lists.push(self.rows.indices());
        lists.extend(self.batch.packing().on_device());
        lists
    }

    /// Whole texts, of which at least one has two tokens, with candidates drawn by `rng`.
    pub(super) fn of_texts(
        texts: &[&[u32]],
        (directions, vocabulary_size): (usize, usize),
        softmax: Softmax,
        rng: &mut Rng,
        pass: u64,
    ) -> Result<Self> {
        let batch = Batch::new(texts)?;
        let neighbours = Neighbours::new(&batch, directions);
        if neighbours.len() == 0 {
            return Err(Error::argument("texts", "none of them has two tokens"));
        }
        let tokens = &neighbours.tokens;
        let candidates = match softmax {
            Softmax::Full => Candidates::all(tokens, vocabulary_size),
            Softmax::Sampled { unigrams, draws } => {
                Candidates::sample(tokens, neighbours.places, draws, unigrams, rng)
            }
        };
        Ok(Self {
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            neighbours,
            candidates,
            pass,
        })
    }

    /// A piece of a stream, every token of which is followed by one to tell.
    pub(super) fn of_piece(piece: &Piece, vocabulary_size: usize, pass: u64) -> Result<Self> {
        let batch = Batch::new(&piece.inputs)?;
        if let Some(id) = piece
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
            candidates: Candidates::all(&piece.targets, vocabulary_size),
            neighbours: Neighbours::of_every_row(piece.targets.clone()),
            pass,
        })
    }
}
