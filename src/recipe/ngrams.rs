//! The n-gram head of a classifier's run, which is fitted before the network is trained.

use super::classes::class_weights;
use super::notes::grouped;
use super::{Monitor, Step};
use crate::config::{Config, NgramCost};
use crate::data::{Text, TextLabels};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::inference::{
    Evaluation, MultiLabelEvaluation, fit_sigmoid_temperature, fit_temperature, log_probabilities,
};
use crate::models::ngrams::{NgramFit, NgramTexts, Targets, TextNgrams, fit};
use crate::rng::{Rng, Stream};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// The costs that cross-validation tries: neighbours differ little.
const COSTS: [f64; 6] = [0.5, 2.0, 8.0, 32.0, 128.0, 512.0];

/// The number of parts of cross-validation, and the larger one for fewer than [`FEW_TEXTS`] texts, of which each part is
/// missed more.
const FOLDS: usize = 5;
const FOLDS_OF_FEW: usize = 10;
const FEW_TEXTS: usize = 1000;

/// All costs are tried for as many parts of cross-validation as have at most this many values of texts times classes, but
/// for one at least.
const MOST_WORK: usize = 1 << 24;

/// How precisely regressions are fitted during cross-validation, and at the end.
const ROUGHLY: f64 = 0.05;
const PRECISELY: f64 = 0.01;

/// Takes the n-grams out of a config for which the training texts are too long, and the line that says so.
pub(super) fn limit_ngrams(config: &mut Config, characters: usize) -> Option<String> {
    let (limit, word_limit) = (
        config.train.ngram_text_limit,
        config.train.ngram_word_limit(),
    );
    let ngrams = &mut config.model.ngrams;
    let is_over = |limit: u64| characters as u64 > limit;
    let (what, limit) = if is_over(word_limit) {
        (ngrams.order, ngrams.characters) = (0, 0);
        ("no n-grams", word_limit)
    } else if is_over(limit) && ngrams.characters > 0 {
        ngrams.characters = 0;
        match ngrams.order {
            0 => ("no n-grams", limit),
            _ => ("n-grams of words only", limit),
        }
    } else {
        return None;
    };
    Some(format!(
        "{what}: the training texts have {} characters, more than {} (train.ngram_text_limit)",
        grouped(characters),
        grouped(usize::try_from(limit).unwrap_or(usize::MAX))
    ))
}

/// A head that reads the texts, and its scores.
#[derive(Debug)]
pub(super) struct TextHead {
    pub(super) fit: NgramFit,
    /// For each training text the scores of a head that was fitted without it, [texts, classes], row after row. The scores
    /// of the head itself are too good on the texts that it was fitted to: a network beside them would learn little.
    pub(super) train: Vec<f32>,
    /// For each validation text, `[texts][classes]`.
    pub(super) validation: Vec<Vec<f32>>,
    /// For each unlabelled text, [texts, classes], row after row.
    pub(super) unlabelled: Vec<f32>,
}

impl TextHead {
    /// The scores of some training texts, [texts, classes], row after row.
    pub(super) fn of_texts(&self, texts: &[usize], classes: usize) -> Vec<f32> {
        let row = |&text: &usize| &self.train[text * classes..(text + 1) * classes];
        texts.iter().flat_map(row).copied().collect()
    }
}

/// Calls `fit` with a function that checks for a stop request, from several threads.
fn stoppable<T>(
    monitor: &mut dyn Monitor,
    fit: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> Option<T>,
) -> Result<T> {
    let monitor = Mutex::new(monitor);
    let keep_going = || {
        let mut monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        !monitor.stop()
    };
    fit(&keep_going).ok_or(Error::Stopped)
}

/// Fits the head of the tokens.
pub(super) fn fit_tokens(
    config: &Config,
    dataset: &Dataset,
    monitor: &mut dyn Monitor,
) -> Result<NgramFit> {
    monitor.begins(Step::Ngrams);
    monitor.note("fitting n-grams");
    // The n-grams of a sentence are already in its text.
    let ids: Vec<&[u32]> = dataset.train.ids.iter().take(dataset.whole_texts).collect();
    let texts = (&ids[..], &dataset.train.labels);
    let weights = class_weights(config, dataset)?;
    let NgramCost::Fixed(cost) = config.train.ngram_cost else {
        return Err(Error::argument("train.ngram_cost", "it is not a number"));
    };
    stoppable(monitor, |keep_going| {
        fit(
            config.model.ngrams,
            cost,
            config.seed,
            texts,
            dataset.labels.len(),
            weights.as_deref(),
            keep_going,
        )
    })
}

/// Fits the head that reads the texts.
pub(super) fn fit_texts(
    config: &Config,
    dataset: &Dataset,
    monitor: &mut dyn Monitor,
) -> Result<TextHead> {
    monitor.begins(Step::Ngrams);
    let texts: Vec<&str> = dataset.train_texts.iter().map(Text::as_str).collect();
    let ngrams = NgramTexts::new(&texts, config.model.ngrams);
    let weights = class_weights(config, dataset)?.map(|weights| relative(weights, dataset));
    let problem = CrossValidation {
        ngrams: &ngrams,
        targets: Targets {
            labels: &dataset.train.labels,
            classes: dataset.labels.len(),
            class_weights: weights.as_deref(),
        },
        folds: folds(&dataset.train.labels, config.seed),
    };
    let costs = match config.train.ngram_cost {
        NgramCost::Auto => &COSTS[..],
        NgramCost::Fixed(cost) => &[cost],
    };
    let found = stoppable(monitor, |keep_going| problem.run(costs, keep_going))?;
    let all: Vec<usize> = (0..texts.len()).collect();
    let mut fitting = ngrams.begin(&all, problem.targets);
    stoppable(monitor, |keep_going| {
        fitting.fit(&all, problem.targets, found.cost, PRECISELY, keep_going)
    })?;
    let fit = ngrams.head(&fitting, found.temperature);
    monitor.note(&problem.description(config, &found));
    let head = TextNgrams::of_fit(config.model.ngrams, &fit)?;
    let scores = |texts: &[Text]| {
        let texts: Vec<&str> = texts.iter().map(Text::as_str).collect();
        head.scores(&texts)
    };
    let scaled = |score: f32| (f64::from(score) / found.temperature) as f32;
    Ok(TextHead {
        train: found.scores.concat().into_iter().map(scaled).collect(),
        validation: scores(&dataset.validation_texts)?,
        unlabelled: scores(&dataset.unlabelled_texts)?.concat(),
        fit,
    })
}

/// Weights of classes with the same ratios with which a text weighs 1 in the mean, so that only their ratios matter beside
/// the cost. Where a text may have several classes, they are already relative to the texts outside the class.
fn relative(weights: Vec<f64>, dataset: &Dataset) -> Vec<f64> {
    let TextLabels::One(labels) = &dataset.train.labels else {
        return weights;
    };
    let sum: f64 = labels.iter().map(|&label| weights[label as usize]).sum();
    let scale = labels.len() as f64 / sum;
    weights.into_iter().map(|weight| weight * scale).collect()
}

/// The part of cross-validation to which each text belongs.
fn folds(labels: &TextLabels, seed: u64) -> Vec<usize> {
    let number = match labels.len() < FEW_TEXTS {
        true => FOLDS_OF_FEW,
        false => FOLDS,
    };
    spread(labels, number, seed)
}

/// The part of so many parts to which each text belongs, or of as many as there are texts. The texts of a class, by the
/// first one that a text has, are spread over the parts.
pub(super) fn spread(labels: &TextLabels, number: usize, seed: u64) -> Vec<usize> {
    let texts = labels.len();
    let mut order: Vec<usize> = (0..texts).collect();
    Rng::new(seed, Stream::Folds, 0, 0).shuffle(&mut order);
    order.sort_by_key(|&text| labels.of(text).first().copied());
    let mut folds = vec![0; texts];
    for (turn, text) in order.into_iter().enumerate() {
        folds[text] = turn % number.min(texts);
    }
    folds
}

/// Cross-validation of the head's cost.
struct CrossValidation<'a> {
    ngrams: &'a NgramTexts,
    targets: Targets<'a>,
    /// The part to which each text belongs.
    folds: Vec<usize>,
}

/// Texts with their scores.
type Scored = Vec<(usize, Vec<f32>)>;

/// What cross-validation found.
struct Found {
    cost: f64,
    /// The divisor with which the scores are probabilities.
    temperature: f64,
    /// The scores of each text by a head that was fitted without it, before division.
    scores: Vec<Vec<f32>>,
}

impl CrossValidation<'_> {
    /// The cost with the highest accuracy, of equal ones that with the lower loss, each with a temperature of its own. `None` if `keep_going` returns false.
    fn run(&self, costs: &[f64], keep_going: &(dyn Fn() -> bool + Sync)) -> Option<Found> {
        let parts = self.folds.iter().max().map_or(0, |last| last + 1);
        let work = self.ngrams.values() * self.targets.classes;
        let searched = (MOST_WORK / work.max(1)).clamp(1, parts);
        let all = |part| self.of_part(part, costs, keep_going);
        let found: Option<Vec<Vec<Scored>>> = (0..searched).into_par_iter().map(all).collect();
        let mut found = found?;
        let mut of_cost = |cost: usize| -> Scored {
            let parts = found.iter_mut();
            parts
                .flat_map(|costs| std::mem::take(&mut costs[cost]))
                .collect()
        };
        let tried: Vec<Scored> = (0..costs.len()).map(&mut of_cost).collect();
        let tried_quality: Vec<Quality> = tried.iter().map(|scores| self.quality(scores)).collect();
        let best = (0..costs.len()).min_by(|&a, &b| {
            let (a, b) = (&tried_quality[a], &tried_quality[b]);
            let by_accuracy = b.accuracy.total_cmp(&a.accuracy);
            by_accuracy.then(a.loss.total_cmp(&b.loss))
        })?;
        let one = |part| self.of_part(part, &costs[best..=best], keep_going);
        let others: Option<Vec<Vec<Scored>>> = (searched..parts).into_par_iter().map(one).collect();
        let mut scores = tried.into_iter().nth(best)?;
        scores.extend(others?.into_iter().flatten().flatten());
        scores.sort_by_key(|(text, _)| *text);
        Some(Found {
            cost: costs[best],
            temperature: self.quality(&scores).temperature,
            scores: scores.into_iter().map(|(_, scores)| scores).collect(),
        })
    }

    /// For each cost, in ascending order, the scores of the texts of a part by a fit to the others.
    fn of_part(
        &self,
        part: usize,
        costs: &[f64],
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<Scored>> {
        let (held_out, texts): (Vec<usize>, Vec<usize>) =
            (0..self.folds.len()).partition(|&text| self.folds[text] == part);
        let mut fitting = self.ngrams.begin(&texts, self.targets);
        let mut of_cost = |&cost: &f64| {
            fitting.fit(&texts, self.targets, cost, ROUGHLY, keep_going)?;
            let scores = self.ngrams.scores(&held_out, &fitting);
            Some(held_out.iter().copied().zip(scores).collect())
        };
        costs.iter().map(&mut of_cost).collect()
    }

    /// How good the scores of some texts are.
    fn quality(&self, scores: &[(usize, Vec<f32>)]) -> Quality {
        let rows: Vec<Vec<f32>> = scores.iter().map(|(_, row)| row.clone()).collect();
        let labels = self.targets.labels;
        let classes = self.targets.classes;
        let (temperature, found) = match labels {
            TextLabels::One(labels) => {
                let labels: Vec<u32> = scores.iter().map(|(text, _)| labels[*text]).collect();
                let temperature = fit_temperature(&rows, &labels);
                let rows: Vec<Vec<f64>> = rows
                    .iter()
                    .map(|row| log_probabilities(row, temperature))
                    .collect();
                let found = Evaluation::new(&rows, &labels, classes);
                let found = found.map(|found| (found.loss, found.confusion.accuracy()));
                (temperature, found)
            }
            TextLabels::Several(sets) => {
                let sets = scores.iter().map(|(text, _)| sets[*text].clone()).collect();
                let labels = TextLabels::Several(sets);
                let temperature = fit_sigmoid_temperature(&rows, &labels);
                let even = vec![0.5; classes];
                let found = MultiLabelEvaluation::of_logits(&rows, temperature, &labels, &even);
                let found = found.map(|found| (found.loss, found.accuracy()));
                (temperature, found)
            }
        };
        // There are as many labels as rows.
        let (loss, accuracy) = found.unwrap_or((f64::INFINITY, None));
        Quality {
            temperature,
            loss,
            accuracy: accuracy.unwrap_or_default(),
        }
    }

    /// A line about the head.
    fn description(&self, config: &Config, found: &Found) -> String {
        let scores: Vec<(usize, Vec<f32>)> = found.scores.iter().cloned().enumerate().collect();
        let quality = self.quality(&scores);
        let parts = self.folds.iter().max().map_or(0, |last| last + 1);
        let ngrams = config.model.ngrams;
        let kinds = [(ngrams.order, "words"), (ngrams.characters, "characters")]
            .into_iter()
            .filter(|(longest, _)| *longest > 0)
            .map(|(longest, of)| format!("up to {longest} {of}"));
        let chosen = match config.train.ngram_cost {
            NgramCost::Auto => format!("cost {}, chosen by", found.cost),
            NgramCost::Fixed(cost) => format!("cost {cost};"),
        };
        format!(
            "{} n-grams of {}: {chosen} cross-validation in {parts} parts (accuracy {:.2} %, loss {:.4})",
            grouped(self.ngrams.features()),
            kinds.collect::<Vec<_>>().join(" and "),
            100.0 * quality.accuracy,
            quality.loss
        )
    }
}

/// How good scores are.
struct Quality {
    /// The temperature at which their loss is lowest.
    temperature: f64,
    /// The loss at that temperature.
    loss: f64,
    accuracy: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_have_fewer_kinds_of_ngrams() {
        let limited = |order, characters, length: usize| {
            let mut config = Config::default();
            config.train.ngram_text_limit = 100;
            (config.model.ngrams.order, config.model.ngrams.characters) = (order, characters);
            let note = limit_ngrams(&mut config, length);
            let ngrams = config.model.ngrams;
            (ngrams.order, ngrams.characters, note.unwrap_or_default())
        };
        assert_eq!(limited(2, 5, 100), (2, 5, String::new()));
        let line = "n-grams of words only: the training texts have 102 characters, more than 100 \
                    (train.ngram_text_limit)";
        assert_eq!(limited(2, 5, 102), (2, 0, line.to_owned()));
        assert_eq!(limited(2, 0, 1000), (2, 0, String::new()));
        let line = "no n-grams: the training texts have 1,002 characters, more than 1,000 \
                    (train.ngram_text_limit)";
        assert_eq!(limited(2, 5, 1002), (0, 0, line.to_owned()));
        assert_eq!(limited(0, 5, 102).1, 0);
    }

    #[test]
    fn the_texts_of_a_class_are_spread_over_all_parts() {
        let labels: Vec<u32> = (0..200).map(|text| u32::from(text % 10 == 0)).collect();
        let labels = TextLabels::One(labels);
        let folds = folds(&labels, 3);
        for part in 0..FOLDS_OF_FEW {
            let texts: Vec<usize> = (0..200).filter(|&text| folds[text] == part).collect();
            assert_eq!(texts.len(), 20);
            assert_eq!(texts.iter().filter(|&&text| labels.has(text, 1)).count(), 2);
        }
        assert_ne!(folds, super::folds(&labels, 4));
        assert_eq!(super::folds(&vec![0, 1].into(), 0).iter().max(), Some(&1));
    }
}
