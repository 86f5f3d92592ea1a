//! What trainings say about texts on which they were not trained.

use super::beginning::Start;
use super::ngrams::spread;
use super::notes::grouped;
use super::shared::SharedInputs;
use super::{ClassifierRecipe, Monitor, Step};
use crate::config::{Config, Folds};
use crate::data::{Labels, Split};
use crate::dataset::{Dataset, RunSplits, read_labels};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::inference::{Ensemble, Scored, score};
use crate::text::{Coverage, Reading};
use candle_core::Device;
use std::sync::Arc;

/// The probabilities that trainings give to the texts that each of them left out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutOfFold {
    /// The texts, with names of classes for labels; those that no training left out are not there.
    pub split: Split,
    /// The classes.
    pub labels: Labels,
    /// What is said about the texts.
    pub scored: Scored,
}

/// Trains so many times with a config, each time without one part of the texts, and says what is made of that part. The
/// part also chooses the epoch and the temperature. A text that alone has its class is in no part: without it, the class
/// could not be learnt.
///
/// # Errors
/// Fewer than two parts, more of them than texts, several labels a text, or as training; [`Error::Stopped`] if the monitor
/// stopped it.
pub fn out_of_fold(
    config: &Config,
    mut texts: Split,
    parts: usize,
    device: &Device,
    monitor: &mut dyn Monitor,
) -> Result<OutOfFold> {
    let labels = read_labels(config, &mut texts, &mut Split::default(), None, monitor)?;
    let of_texts = labels.encode_texts(&texts, false)?;
    let mut counts = vec![0usize; labels.len()];
    let classes: Vec<u32> = (0..of_texts.len())
        .map(|text| of_texts.of(text)[0])
        .collect();
    classes
        .iter()
        .for_each(|class| counts[*class as usize] += 1);
    let is_judged: Vec<bool> = classes
        .iter()
        .map(|class| counts[*class as usize] > 1)
        .collect();
    let judged = is_judged.iter().filter(|is_judged| **is_judged).count();
    if parts < 2 || parts > judged {
        let problem =
            format!("{parts}, but there are {judged} texts to divide; at least 2 are needed");
        return Err(Error::argument("parts", problem));
    }
    if judged < classes.len() {
        monitor.note(&format!(
            "{} texts are not judged, as no other one has their class",
            grouped(classes.len() - judged)
        ));
    }
    let part_of = spread(&of_texts, parts, config.seed);
    let config = of_parts(config, &labels);
    let start = Arc::new(Start::of(&config, device)?);
    // Of each text the logarithms of the probabilities, and how much of it was read.
    let mut said = vec![(Vec::new(), Reading::default()); classes.len()];
    let mut coverage = Coverage::default();
    for part in 0..parts {
        monitor.note(&format!("part {} of {parts}", part + 1));
        let (held_out, others): (Vec<usize>, Vec<usize>) =
            (0..classes.len()).partition(|&text| is_judged[text] && part_of[text] == part);
        let held_out_texts = some(&texts, &held_out);
        let splits = RunSplits {
            train: some(&texts, &others),
            validation: held_out_texts.clone(),
            folds: 0,
        };
        monitor.begins(Step::Data);
        let beginning = start.classifier().map(|beginning| &beginning.encoder);
        let dataset = Dataset::prepare(
            &config,
            splits,
            None,
            Vec::new(),
            beginning,
            &Cache::off(),
            monitor,
        )?;
        let dataset = dataset.ok_or(Error::Stopped)?;
        let mut inputs = SharedInputs::new(&config, start.clone(), dataset);
        let recipe = ClassifierRecipe::begin_sharing(&config, &mut inputs, device, None, monitor)?;
        let model = Ensemble::from(recipe.train_in_memory(monitor)?);
        let scored = score(&model, &held_out_texts, &Cache::off(), monitor)?;
        let scored = scored.ok_or(Error::Stopped)?;
        let of_part = scored.log_probabilities.into_iter().zip(scored.readings);
        for (text, found) in held_out.into_iter().zip(of_part) {
            coverage.add(found.1);
            said[text] = found;
        }
    }
    let judged: Vec<usize> = (0..classes.len()).filter(|&text| is_judged[text]).collect();
    let mut scored = Scored {
        labels: judged.iter().map(|&text| classes[text]).collect(),
        coverage,
        ..Scored::default()
    };
    for &text in &judged {
        let (row, reading) = std::mem::take(&mut said[text]);
        scored.log_probabilities.push(row);
        scored.readings.push(reading);
    }
    Ok(OutOfFold {
        split: some(&texts, &judged),
        labels,
        scored,
    })
}

/// The config of a training on parts of texts whose labels are already names of these classes.
fn of_parts(config: &Config, labels: &Labels) -> Config {
    let mut config = config.clone();
    config.train.folds = Folds::Fixed(0);
    config.data.label_map.clear();
    config.data.label_names = Some(labels.names().to_vec());
    config
}

/// Some texts of a split.
fn some(split: &Split, texts: &[usize]) -> Split {
    Split {
        origin: split.origin.clone(),
        records: texts
            .iter()
            .map(|&text| split.records[text].clone())
            .collect(),
        ..Split::default()
    }
}
