//! Learning word vectors on all threads, to the same bytes on any number of them.
//!
//! The texts are shuffled for every epoch and cut into chunks, which are distributed in rounds to a
//! fixed number of shards. In a round every shard learns word by word from its chunk, on a copy of
//! the tables; then the changes of all copies are put into the common tables, always in the same
//! order. Threads only share the shards among themselves.

use super::config::VectorsConfig;
use super::counts::Counts;
use super::skip_gram::{Chunk, Rules, Run, Tables};
use super::table::Table;
use super::words::WordVectors;
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use crate::text::TextEncoder;
use birnn_kernels::skip_gram::Sigmoid;
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Copies of the tables that learn at the same time, whatever the number of threads.
const SHARDS: usize = 4;
/// The words of a chunk, at least, except for the last one of an epoch. The longer it is, the older
/// are the rows that copies work on; at 65,536 words the sum of their changes diverges.
const CHUNK_WORDS: usize = 1 << 12;

/// Learns a vector for each word of the tokenizer's vocabulary that occurs in the texts, given as
/// token ids. A text's words are related to each other only, and unknown ones to nothing.
///
/// `progress` is called with the number of words that have been read and that of all epochs; if it
/// breaks off, the result is `None`.
///
/// # Errors
/// A setting out of range, an id that is not in the vocabulary, texts without a known word, or a
/// learning rate at which the vectors grow without bounds.
pub fn learn_vectors(
    encoder: &TextEncoder,
    texts: &[&[u32]],
    config: &VectorsConfig,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Option<WordVectors>> {
    config.validate()?;
    let rows = encoder.vocabulary_size();
    let counts = counted(texts, rows, encoder.unknown_id())?;
    let words_per_epoch: u64 = texts.iter().map(|text| text.len() as u64).sum();
    let rules = Rules {
        config,
        kept: counts.kept(config.threshold),
        negatives: counts.negatives(),
        sigmoid: Sigmoid::new(),
        total: words_per_epoch * config.epochs,
    };
    let mut common = initial(rows, config);
    let mut shards = vec![common.clone(); SHARDS];
    let mut excerpts: Vec<&[u32]> = texts
        .iter()
        .flat_map(|text| text.chunks(CHUNK_WORDS))
        .collect();
    let (mut before, mut number) = (0, 0);
    for epoch in 0..config.epochs {
        Rng::new(config.seed, Stream::Shuffle, epoch, 0).shuffle(&mut excerpts);
        let chunked = chunked(&excerpts);
        for round in chunked.chunks(SHARDS) {
            let mut runs = Vec::with_capacity(SHARDS);
            for (excerpts, tables) in round.iter().zip(&mut shards) {
                let chunk = Chunk {
                    excerpts,
                    before,
                    number,
                };
                before += excerpts.iter().map(|text| text.len() as u64).sum::<u64>();
                number += 1;
                runs.push((chunk, tables));
            }
            learn_at_once(&rules, runs);
            merge_copies(&mut common, &mut shards);
            if progress(before, rules.total).is_break() {
                return Ok(None);
            }
        }
    }
    let row = |id| common.input.row(id).iter().flat_map(|line| line.0);
    if !(0..rows as u32).flat_map(row).all(f32::is_finite) {
        return Err(Error::config(
            "learning_rate",
            format!(
                "with {} the vectors grow without bounds",
                config.learning_rate
            ),
            "use a lower one",
        ));
    }
    let vectors = WordVectors::new(encoder, counts.of_word(), config.dimension, row);
    Ok(Some(vectors))
}

/// How often each word of the vocabulary occurs in the texts.
///
/// # Errors
/// An id that is not in the vocabulary, or texts without a known word.
fn counted(texts: &[&[u32]], rows: usize, unknown: Option<u32>) -> Result<Counts> {
    if let Some(id) = texts
        .iter()
        .copied()
        .flatten()
        .find(|&&id| id as usize >= rows)
    {
        return Err(Error::argument(
            "texts",
            format!("token {id}, but the vocabulary has {rows}"),
        ));
    }
    let counts = Counts::new(texts, rows, unknown);
    if counts.total() == 0 {
        return Err(Error::argument(
            "texts",
            format!("{} texts without a word of the vocabulary", texts.len()),
        ));
    }
    Ok(counts)
}

/// Learns from the chunks of a round at the same time, from each on a copy of the tables.
fn learn_at_once(rules: &Rules, runs: Vec<(Chunk, &mut Tables)>) {
    runs.into_par_iter().for_each(|(chunk, tables)| {
        let run = Run {
            rules,
            rng: Rng::new(rules.config.seed, Stream::Vectors, 1, chunk.number),
            chunk,
            tables,
        };
        run.run();
    });
}

/// Merges the changes of all copies into the common tables, and copies these back.
fn merge_copies(common: &mut Tables, shards: &mut [Tables]) {
    let copies: Vec<&Table> = shards.iter().map(|shard| &shard.input).collect();
    common.input.put_together(&copies);
    let copies: Vec<&Table> = shards.iter().map(|shard| &shard.output).collect();
    common.output.put_together(&copies);
    shards.par_iter_mut().for_each(|shard| {
        shard.input.refresh(&common.input);
        shard.output.refresh(&common.output);
    });
}

/// The tables before the first step: small random vectors, and zeros for the output side.
fn initial(rows: usize, config: &VectorsConfig) -> Tables {
    let mut rng = Rng::new(config.seed, Stream::Vectors, 0, 0);
    let mut input = Table::zeros(rows, config.dimension);
    let width = 1.0 / config.dimension as f64;
    for row in 0..rows as u32 {
        let numbers = input.change(row).iter_mut().flat_map(|line| &mut line.0);
        for number in numbers.take(config.dimension) {
            *number = ((rng.uniform() - 0.5) * width) as f32;
        }
    }
    Tables {
        input,
        output: Table::zeros(rows, config.dimension),
    }
}

/// Cuts a list of excerpts into chunks of [`CHUNK_WORDS`] words or a few more.
fn chunked<'a, 'b>(excerpts: &'b [&'a [u32]]) -> Vec<&'b [&'a [u32]]> {
    let mut chunked = Vec::new();
    let (mut start, mut words) = (0, 0);
    for (index, excerpt) in excerpts.iter().enumerate() {
        words += excerpt.len();
        if words >= CHUNK_WORDS || index + 1 == excerpts.len() {
            chunked.push(&excerpts[start..=index]);
            (start, words) = (index + 1, 0);
        }
    }
    chunked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of words, each in contexts of its own.
    fn texts() -> Vec<String> {
        let groups = [
            ["red", "green", "blue", "black"],
            ["one", "two", "three", "four"],
        ];
        let mut rng = Rng::new(3, Stream::Vectors, 9, 9);
        (0..600)
            .map(|text| {
                let words = (0..12).map(|_| groups[text % 2][rng.below(4)]);
                words.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    fn learnt(threads: usize) -> WordVectors {
        let texts = texts();
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let config = VectorsConfig {
            dimension: 10,
            threshold: 0.0,
            epochs: 3,
            ..VectorsConfig::default()
        };
        let encoder = TextEncoder::train(&views, &config.text(), &mut |_, _| ()).unwrap();
        let ids: Vec<Vec<u32>> = views
            .iter()
            .map(|text| encoder.encode(text).unwrap())
            .collect();
        let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let learn = || {
            learn_vectors(&encoder, &ids, &config, &mut |_, _| {
                ControlFlow::Continue(())
            })
        };
        pool.install(learn).unwrap().unwrap()
    }

    #[test]
    fn words_of_the_same_contexts_are_near_on_any_number_of_threads() {
        let vectors = learnt(1);
        assert_eq!(vectors.words().len(), 8);
        let near: Vec<&str> = vectors
            .nearest("red", 3)
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        for word in ["green", "blue", "black"] {
            assert!(near.contains(&word), "{near:?}");
        }
        assert_eq!(learnt(2), vectors);
        assert_eq!(learnt(3), vectors);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let vectors = learnt(2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words.vec");
        vectors.save(&path).unwrap();
        let vocabulary: Vec<(String, u32)> = vectors.words().iter().cloned().zip(0..).collect();
        let mut on_progress = |_, _| ControlFlow::Continue(());
        let read = crate::vectors::read_vectors(&path, &vocabulary, &mut on_progress);
        let read = read.unwrap().unwrap();
        assert_eq!((read.found, read.dimension), (8, 10));
        for (id, vector) in (0..).zip(vectors.vectors()) {
            assert_eq!(read.row(id), Some(vector));
        }
    }

    #[test]
    fn texts_without_a_known_word_are_refused() {
        let encoder = TextEncoder::train(
            &["a a b b"],
            &VectorsConfig::default().text(),
            &mut |_, _| (),
        );
        let unknown = encoder.as_ref().unwrap().unknown_id().unwrap();
        let mut on_progress = |_, _| ControlFlow::Continue(());
        let config = VectorsConfig::default();
        let found = learn_vectors(&encoder.unwrap(), &[&[unknown]], &config, &mut on_progress);
        assert_eq!(
            found.unwrap_err().to_string(),
            "texts: 1 texts without a word of the vocabulary"
        );
    }
}
