//! Benchmark of the word tokenizer on the bundled reviews.

use super::timing::Timing;
use crate::data::{Source, SourceOptions};
use crate::error::Result;
use crate::text::{TextConfig, TextEncoder};
use serde::Serialize;
use std::ops::ControlFlow;

/// The speed of tokenisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tokenizer {
    /// Number of texts.
    pub texts: usize,
    /// Number of their tokens.
    pub tokens: usize,
    /// On one thread.
    pub one_thread: TokenizerRate,
    /// With the texts spread over all threads.
    pub all_threads: TokenizerRate,
}

/// A tokenisation rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenizerRate {
    /// Times for all texts.
    #[serde(flatten)]
    pub timing: Timing,
    /// Texts per second, by the median.
    pub texts_per_second: f64,
    /// Tokens per second, by the median.
    pub tokens_per_second: f64,
}

/// Measures the word tokenizer, trained on the training split of the sample, on the same texts.
pub(super) fn tokenizer(repeats: usize) -> Result<Tokenizer> {
    let split = Source::open("sample", SourceOptions::default())?.split("train", &mut ())?;
    let texts: Vec<&str> = split.records.iter().map(|row| row.text.as_str()).collect();
    let encoder = TextEncoder::train(&texts, &TextConfig::default(), &mut |_, _| ())?;
    let mut tokens = 0;
    let one_thread = Timing::measure(1, repeats, || {
        tokens = 0;
        for text in &texts {
            tokens += encoder.encode(text)?.len();
        }
        Ok(())
    })?;
    let all_threads = Timing::measure(1, repeats, || {
        encoder.encode_batch(&texts, &mut |_, _| ControlFlow::Continue(()))
    })?;
    let rate = |timing: Timing| TokenizerRate {
        timing,
        texts_per_second: timing.rate(texts.len()),
        tokens_per_second: timing.rate(tokens),
    };
    Ok(Tokenizer {
        texts: texts.len(),
        tokens,
        one_thread: rate(one_thread),
        all_threads: rate(all_threads),
    })
}
