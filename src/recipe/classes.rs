//! The classes of a classifier's run: their weights, and what is said about them.

use super::Monitor;
use crate::config::Config;
use crate::data::{TextLabels, listed};
use crate::dataset::Dataset;
use crate::error::Result;

/// The number of training texts of each class.
fn counts(dataset: &Dataset) -> Vec<u64> {
    let (labels, texts) = (&dataset.train.labels, dataset.whole_texts);
    labels.counts(texts, dataset.labels.len())
}

/// The weight of each class in the loss, if the config asks for weights.
pub(super) fn class_weights(config: &Config, dataset: &Dataset) -> Result<Option<Vec<f64>>> {
    let Some(weights) = &config.train.class_weights else {
        return Ok(None);
    };
    let (labels, texts) = (&dataset.labels, dataset.whole_texts);
    let output = config.model.output;
    weights
        .of_classes(labels, &counts(dataset), texts, output)
        .map(Some)
}

/// The names of the classes, at most twenty, and how many of them a text has if it may have several.
pub(super) fn class_list(dataset: &Dataset) -> String {
    const MOST: usize = 20;
    let names = dataset.labels.names();
    let shown: Vec<String> = names.iter().take(MOST).map(|name| short(name)).collect();
    let mut list = shown.join(", ");
    if names.len() > MOST {
        list.push_str(&format!(", {} more", names.len() - MOST));
    }
    if let TextLabels::Several(_) = dataset.train.labels {
        let sum: u64 = counts(dataset).iter().sum();
        let mean = sum as f64 / dataset.whole_texts.max(1) as f64;
        list.push_str(&format!(" ({mean:.2} a text)"));
    }
    list
}

/// A name, or the beginning of one that is a sentence.
fn short(name: &str) -> String {
    const LONGEST: usize = 40;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}

/// Notes the classes of which the best epoch recognises no validation text.
pub(super) fn describe_missed(
    missed: &[u32],
    dataset: &Dataset,
    config: &Config,
    monitor: &mut dyn Monitor,
) {
    let all = dataset.labels.names();
    let names = missed.iter().map(|&class| short(&all[class as usize]));
    let names: Vec<String> = names.collect();
    let what = match &names[..] {
        [] => return,
        [name] => {
            format!("no validation text of the class {name:?} is recognised (its recall is 0)")
        }
        several => format!(
            "no validation text of {} classes is recognised (their recall is 0): {}",
            several.len(),
            listed(several)
        ),
    };
    // Weights help where a class is missed because others are more frequent.
    let counts = counts(dataset);
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let is_rare = missed
        .iter()
        .any(|&class| (counts[class as usize] as f64) < mean);
    let remedy = match config.train.class_weights {
        None if is_rare => "; --set train.class_weights=balanced gives rare classes more weight",
        _ => "",
    };
    monitor.note(&format!("{what}{remedy}"));
}
