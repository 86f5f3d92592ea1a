//! The models: a classifier, a language model, and a linear classifier of n-grams.

pub mod classifier;
pub mod language;
pub mod ngrams;
