//! The recurrent language model of the textbook, which predicts the next token.
//!
//! [`RnnModel`] reads tokens and predicts the next one, with its state carried from call to call; with two directions
//! it also predicts the previous one. [`evaluate`] measures its loss, [`generate`] continues a text.
//! [`train::language`](crate::train::language) trains it.

mod config;
mod evaluate;
mod generate;
mod loss;
mod model;
mod targets;

pub use config::{Input, LanguageConfig};
pub use evaluate::evaluate;
pub use generate::{Sampling, generate};
pub(crate) use loss::token_losses;
pub use loss::{LanguageLoss, perplexity};
pub use model::RnnModel;
#[cfg(test)]
pub(crate) use model::detached;
pub(crate) use model::{DECODER, DECODER_BIAS, one_hot};
pub(crate) use targets::{LmTargets, gather, scatter};
