//! The textbook's character language model: one-hot input, 256 hidden units, segments of 35 characters in 32
//! rows, on the first 10,000 characters of a text.
//!
//! ```sh
//! cargo run --release --example characters -- TEXT.txt            # an RNN
//! cargo run --release --example characters -- TEXT.txt lstm 100   # an LSTM, 100 epochs
//! ```
//!
//! It prints the perplexity, the number of characters per second in training, and a continuation of the text.
//! `benches/peers/characters.py` does the same with PyTorch, from the same weights: a fifth argument names a file to
//! which the initial ones are written.

use anyhow::{Context, ensure};
use birnn::models::language::{LanguageConfig, RnnModel, Sampling, generate, perplexity};
use birnn::parameters::Parameters;
use birnn::rnn::CellType;
use birnn::train::language::{LanguageLearner, LanguageTraining, Stream};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;
use std::time::Instant;

const CHARACTERS: usize = 10_000;
const BATCH: usize = 32;
const STEPS: usize = 35;
/// The letters, the space, and a symbol for anything else.
const VOCABULARY: &[u8; 28] = b" abcdefghijklmnopqrstuvwxyz?";

/// Lower-case letters and single spaces, as numbers: everything else becomes a space.
fn ids(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    for character in text.chars() {
        let id = match character.to_ascii_lowercase() {
            letter @ 'a'..='z' => letter as u32 - 'a' as u32 + 1,
            _ => 0,
        };
        if id > 0 || ids.last().is_some_and(|&last| last > 0) {
            ids.push(id);
        }
    }
    ids
}

fn text(ids: &[u32]) -> String {
    let characters = ids.iter().filter_map(|&id| VOCABULARY.get(id as usize));
    characters.map(|&character| char::from(character)).collect()
}

fn learner(cell: CellType, seed: u64) -> birnn::Result<LanguageLearner> {
    let config = LanguageConfig {
        cell,
        ..LanguageConfig::default()
    };
    let build = |vb: VarBuilder| RnnModel::new(&config, VOCABULARY.len(), vb);
    let model = Parameters::create(seed, &Device::Cpu, build)?;
    let training = LanguageTraining {
        learning_rate: 2e-3,
        ..LanguageTraining::default()
    };
    Ok(LanguageLearner::new(model, training))
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().context("give a text file")?;
    let cell = match arguments.next().as_deref().unwrap_or("rnn") {
        "rnn" => CellType::RnnTanh,
        "gru" => CellType::Gru,
        "lstm" => CellType::Lstm,
        other => anyhow::bail!("{other} is not one of rnn, gru, lstm"),
    };
    let number = |text: Option<String>, default: u64| -> anyhow::Result<u64> {
        Ok(text.map_or(Ok(default), |text| text.parse())?)
    };
    let epochs = number(arguments.next(), 50).context("the number of epochs")?;
    let seed = number(arguments.next(), 0).context("the seed")?;
    ensure!(epochs > 0, "at least one epoch is needed");
    let content = std::fs::read_to_string(&file).with_context(|| file.clone())?;
    let mut ids = ids(&content);
    ids.truncate(CHARACTERS);
    let stream = Stream::new(&ids, BATCH, STEPS).with_context(|| file.clone())?;

    birnn::rnn::kernels::cpu::keep_freed_memory();
    let mut learner = learner(cell, seed)?;
    if let Some(file) = arguments.next() {
        let tensors: HashMap<String, Tensor> = learner
            .weights()
            .parameters()
            .tensors()
            .into_iter()
            .collect();
        candle_core::safetensors::save(&tensors, &file).with_context(|| file.clone())?;
    }
    let started = Instant::now();
    let mut loss = 0.0;
    for _ in 0..epochs {
        loss = learner.epoch(&stream, &Device::Cpu)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let characters = epochs as usize * stream.segments() * BATCH * STEPS;
    println!(
        "perplexity {:.4}, {:.0} characters/s",
        perplexity(loss),
        characters as f64 / seconds
    );
    let beginning = &ids[..STEPS];
    let sampling = Sampling {
        temperature: 0.5,
        ..Sampling::default()
    };
    let made = generate(learner.model(), beginning, 100, sampling, &Device::Cpu)?;
    println!("{}|{}", text(beginning), text(&made));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_single_spaces_remain() {
        assert_eq!(text(&ids("  It's 5 o'clock, NOW.")), "it s o clock now ");
    }

    #[test]
    fn every_cell_learns_a_text() {
        let ids = ids(&"the cat sat on the mat and the dog sat on the cat ".repeat(40));
        let stream = Stream::new(&ids, 8, 35).unwrap();
        for cell in [CellType::RnnTanh, CellType::Gru, CellType::Lstm] {
            let mut learner = learner(cell, 0).unwrap();
            let first = perplexity(learner.epoch(&stream, &Device::Cpu).unwrap());
            let mut last = first;
            for _ in 0..12 {
                last = perplexity(learner.epoch(&stream, &Device::Cpu).unwrap());
            }
            assert!(
                first > 10.0 && last < 0.5 * first,
                "{cell:?}: {first}, {last}"
            );
        }
    }
}
