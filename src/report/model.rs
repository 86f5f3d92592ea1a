//! Everything about one model.

use super::ReportSettings;
use super::classes::{self, ClassReport};
use super::curves::Curves;
use super::doubts::{Doubts, Heldout};
use super::scores::Scores;
use super::slices::{self, Slices};
use super::texts::Texts;
use super::training::RunLog;
use crate::data::Split;
use crate::dataset::{DatasetProgress, Stage};
use crate::error::{Error, Result};
use crate::inference::{Confusion, Ensemble, Evaluation, Predictor, RankingCurve, Scored};
use crate::train::Event;
use maud::Markup;
use serde::Serialize;

/// A model and what it says about texts.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The model.
    pub model: &'a Ensemble,
    /// The texts, whose labels are names of its classes.
    pub split: &'a Split,
    /// What it says about them.
    pub scored: &'a Scored,
    /// Why what is said about the texts does not know their labels.
    pub heldout: Heldout,
    /// What happened in its training; empty if that is not known.
    pub log: &'a [Event],
}

impl Subject<'_> {
    /// The names of the classes.
    pub(super) fn names(&self) -> &[String] {
        self.model.labels().names()
    }

    /// What is right and wrong.
    pub(super) fn evaluation(&self) -> Result<Evaluation> {
        Evaluation::of(self.scored, self.names().len())
    }
}

/// What is known of a model.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModelReport {
    /// What it is called.
    pub name: String,
    /// Its scores.
    pub scores: Scores,
    /// Its classes.
    pub classes: Vec<ClassReport>,
    /// `confusion[label][prediction]`.
    pub confusion: Confusion,
    /// How good its probabilities are.
    pub curves: Curves,
    /// Where it errs.
    pub slices: Vec<Slices>,
    /// The texts that are worth reading.
    pub texts: Texts,
    /// The labels that may be wrong, by split.
    pub doubts: Vec<Doubts>,
    /// The curves of its run.
    pub log: RunLog,
}

impl ModelReport {
    /// What is known of a model. `None` if `progress` stopped it.
    ///
    /// # Errors
    /// No texts, texts without what is said about them, or a text that cannot be explained.
    pub(super) fn new(
        subject: &Subject,
        settings: &ReportSettings,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let (scored, names) = (subject.scored, subject.names());
        let texts = subject.split.records.len();
        if texts == 0 || texts != scored.labels.len() || texts != scored.readings.len() {
            let problem = format!("{texts} texts, of which {} are scored", scored.labels.len());
            return Err(Error::argument("subject", problem));
        }
        let evaluation = subject.evaluation()?;
        let curves: Vec<RankingCurve> =
            (0..names.len()).map(|class| curve(scored, class)).collect();
        let groups = evaluation.groups(subject.split, subject.model.labels());
        let mut on_text = |done, total| {
            progress
                .texts(Stage::Explanations, done, total)
                .is_continue()
        };
        let Some(texts) = Texts::new(subject, &evaluation, settings, &mut on_text)? else {
            return Ok(None);
        };
        let texts_scored = (subject.split, scored);
        let doubts = vec![Doubts::new(
            texts_scored,
            subject.heldout,
            names,
            settings.listed,
        )?];
        Ok(Some(Self {
            name: subject.name.to_owned(),
            scores: Scores::new(&evaluation, &curves),
            classes: classes::reports(names, &evaluation.confusion, &curves),
            curves: Curves::new(&evaluation, names, &curves),
            slices: slices::of(&evaluation, scored, subject.split, &groups),
            confusion: evaluation.confusion,
            texts,
            doubts,
            log: RunLog::new(subject.log),
        }))
    }

    pub(super) fn render_classes(&self) -> Result<Markup> {
        Ok(classes::render(&self.classes, &self.confusion))
    }
}

/// The curve of a class against all others.
fn curve(scored: &Scored, class: usize) -> RankingCurve {
    let rows = scored.log_probabilities.iter().zip(&scored.labels);
    RankingCurve::new(rows.map(|(row, label)| (row[class], *label as usize == class)))
}
