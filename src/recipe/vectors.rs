//! Word vectors for initialising the embeddings.

use super::Monitor;
use super::notes::grouped;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::text::TextEncoder;
use crate::vectors::{VectorTable, VectorsConfig, WordVectors, learn_vectors};
use std::ops::ControlFlow;
use std::time::Instant;

/// Learns vectors from token ids and notes the progress.
///
/// # Errors
/// [`Error::Stopped`], or a config that cannot be used.
pub fn learn_noting(
    encoder: &TextEncoder,
    texts: &[&[u32]],
    config: &VectorsConfig,
    monitor: &mut dyn Monitor,
) -> Result<WordVectors> {
    let tokens: usize = texts.iter().copied().map(<[u32]>::len).sum();
    monitor.note(&format!(
        "learning vectors from {} tokens; vocabulary {}",
        grouped(tokens),
        grouped(encoder.vocabulary_size())
    ));
    let started = Instant::now();
    let mut on_progress = |done, total| {
        monitor.vectors(done, total);
        match monitor.stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let vectors = learn_vectors(encoder, texts, config, &mut on_progress)?;
    let vectors = vectors.ok_or(Error::Stopped)?;
    let seconds = started.elapsed().as_secs_f64();
    monitor.note(&format!(
        "{} in {seconds:.0} s, {} tokens/s",
        match config.epochs {
            1 => "1 epoch".to_owned(),
            epochs => format!("{epochs} epochs"),
        },
        grouped((tokens as f64 * config.epochs as f64 / seconds) as usize)
    ));
    Ok(vectors)
}

/// Learns the initial vectors of the embeddings, over this many epochs.
///
/// # Errors
/// As [`learn_noting`].
pub(super) fn learn_table(
    config: &Config,
    epochs: u64,
    encoder: &TextEncoder,
    texts: &[&[u32]],
    monitor: &mut dyn Monitor,
) -> Result<VectorTable> {
    let settings = VectorsConfig {
        seed: config.seed,
        dimension: config.model.embedding_size,
        epochs,
        ..VectorsConfig::default()
    };
    let vectors = learn_noting(encoder, texts, &settings, monitor)?;
    Ok(VectorTable::of_words(&vectors, encoder))
}
