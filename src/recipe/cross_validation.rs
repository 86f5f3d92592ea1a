//! Cross-validation of a classifier's training.

use super::beginning::Start;
use super::classes::class_weights;
use super::ngrams::{TextHead, spread};
use super::{Monitor, Step};
use crate::checkpoint::RunState;
use crate::config::{Config, TrainerConfig};
use crate::dataset::{Dataset, Stage};
use crate::error::{Error, Result};
use crate::train::Validation;
use crate::train::classifier::{
    ClassifierTask, TrainingTexts, initial_model, judge, logits_of_epochs,
};
use crate::vectors::VectorTable;
use candle_core::Device;

/// Of one part alone, a text in so many is left out.
const TENTHS: usize = 10;

/// What a training with these settings is worth after each epoch, by trainings that leave out one part of the texts each;
/// the temperature and the share of the network are fitted to the parts that were left out, all together.
///
/// # Errors
/// [`Error::Stopped`] if the monitor stopped it; otherwise as training.
pub(super) fn cross_validate(
    config: &Config,
    start: &Start,
    dataset: &Dataset,
    vectors: Option<&VectorTable>,
    head: Option<&TextHead>,
    device: &Device,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Validation>> {
    monitor.begins(Step::CrossValidation);
    let texts = &dataset.train;
    let classes = dataset.labels.len();
    let parts = match dataset.folds {
        1 => spread(&texts.labels, TENTHS, config.seed),
        parts => spread(&texts.labels, parts, config.seed),
    };
    let number = match dataset.folds {
        1 => 1,
        _ => parts.iter().max().map_or(0, |last| last + 1),
    };
    // [epochs][texts][classes].
    let mut logits = vec![vec![Vec::new(); texts.len()]; config.train.epochs as usize];
    for part in 0..number {
        let (held_out, others): (Vec<usize>, Vec<usize>) =
            (0..texts.len()).partition(|&text| parts[text] == part);
        let (train, validation) = (texts.subset(&others), texts.subset(&held_out));
        let scores = head.map(|head| head.of_texts(&others, classes));
        let model = initial_model(
            config,
            dataset.encoder.vocabulary_size(),
            classes,
            vectors,
            device,
        )?;
        start.initialise(config, dataset, &model.1)?;
        let texts = TrainingTexts {
            labelled: &train,
            unlabelled: None,
            head_scores: scores.as_deref(),
        };
        let unknown = dataset.encoder.unknown_id().unwrap_or(0);
        let mut task = ClassifierTask::new(config, model, texts, &validation, classes, unknown)?;
        if let Some(weights) = class_weights(config, dataset)? {
            task = task.with_class_weights(&weights)?;
        }
        let trained = logits_of_epochs(task, &TrainerConfig::classifier(config), &mut |share| {
            let done = (part as f64 + share) * 1000.0;
            monitor.texts(Stage::CrossValidation, done as usize, number * 1000)
        })?;
        let trained = trained.ok_or(Error::Stopped)?;
        for (all, of_part) in logits.iter_mut().zip(trained) {
            for (&text, row) in held_out.iter().zip(of_part) {
                all[text] = row;
            }
        }
    }
    let judged: Vec<usize> = (0..parts.len())
        .filter(|&text| parts[text] < number)
        .collect();
    let head: Option<Vec<Vec<f32>>> = head.map(|head| {
        let scores = head.of_texts(&judged, classes);
        scores.chunks_exact(classes).map(<[f32]>::to_vec).collect()
    });
    let labels = dataset.train.labels.subset(&judged);
    let judge = |logits: Vec<Vec<f32>>| {
        let rows = logits.into_iter().zip(&parts);
        let rows = rows.filter(|(_, part)| **part < number).map(|(row, _)| row);
        judge(rows.collect(), head.as_deref(), &labels, classes)
    };
    logits.into_iter().map(judge).collect()
}

/// The best epoch, from 1.
pub(super) fn best_epoch(config: &Config, epochs: &[Validation]) -> u64 {
    let mut state = RunState::default();
    for (epoch, validation) in (1..).zip(epochs) {
        let is_better = state.is_better(
            config.train.metric,
            validation.accuracy,
            validation.macro_f1,
            validation.loss,
        );
        if is_better {
            state.best_accuracy = validation.accuracy;
            state.best_macro_f1 = validation.macro_f1;
            state.best_loss = Some(validation.loss);
            state.best_epoch = epoch;
        }
    }
    state.best_epoch
}
