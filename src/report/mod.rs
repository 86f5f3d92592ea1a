//! A page about a model, or about two: how well it classifies, where it errs, how sure it is, which labels and texts are
//! doubtful, and why it says what it says.
//!
//! Data come first, as what can be written as JSON ([`Report`]); [`Report::page`] draws them.
//!
//! | module | what it holds |
//! |---|---|
//! | `model` | everything about one model |
//! | `scores`, `classes`, `curves`, `slices`, `texts`, `doubts` | its parts, each with how it is drawn |
//! | `training` | the curves of its run |
//! | `comparison` | two models |
//! | `data` | what is in the data |
//! | `explained` | texts with their words marked |
//! | `page`, `table`, `chart` | the frame, tables and charts |

mod behaviour;
mod chart;
mod classes;
mod comparison;
mod curves;
mod data;
mod doubts;
mod explained;
mod model;
mod page;
mod scores;
mod slices;
mod table;
mod texts;
mod training;

pub use comparison::ComparisonReport;
pub use doubts::{Doubts, Heldout};
pub use explained::{ExplainedText, Part, explanations_page};
pub use model::{ModelReport, Subject};

use crate::dataset::DatasetProgress;
use crate::dataset::check::Check;
use crate::error::{Error, Result};
use crate::inference::{BehaviourReport, Bootstrap};
use maud::html;
use page::Section;
#[cfg(feature = "serve")]
pub(crate) use page::{Document, document};
use serde::Serialize;

/// How much a report shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportSettings {
    /// So many of the surest wrong texts and of the least sure ones are explained.
    pub explained: usize,
    /// So many wrong texts and doubtful labels are listed at most.
    pub listed: usize,
    /// The intervals of a comparison.
    pub bootstrap: Bootstrap,
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            explained: 20,
            listed: 500,
            bootstrap: Bootstrap::default(),
        }
    }
}

/// What is known of one or two models on the same texts.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Where the texts come from.
    pub source: String,
    /// The number of texts.
    pub texts: usize,
    /// One or two models.
    pub models: Vec<ModelReport>,
    /// Of two models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonReport>,
    /// What the models make of behaviour tests, in their order; empty if there were none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub behaviour: Vec<BehaviourReport>,
    /// What is in the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl Report {
    /// What is known of models on the same texts. `None` if `progress` stopped it.
    ///
    /// # Errors
    /// Not one or two models, other texts of the second one, none, or a text that cannot be explained.
    pub fn new(
        subjects: &[Subject],
        check: Option<Check>,
        settings: &ReportSettings,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let Some(first) = subjects.first().filter(|_| subjects.len() <= 2) else {
            let problem = format!("{} of them, but a report is about 1 or 2", subjects.len());
            return Err(Error::argument("subjects", problem));
        };
        let mut models = Vec::new();
        for subject in subjects {
            match ModelReport::new(subject, settings, progress)? {
                Some(model) => models.push(model),
                None => return Ok(None),
            }
        }
        let comparison = match subjects {
            [first, second] => Some(ComparisonReport::new(first, second, settings)?),
            _ => None,
        };
        Ok(Some(Self {
            source: first.split.origin.clone(),
            texts: first.split.records.len(),
            models,
            comparison,
            behaviour: Vec::new(),
            check,
        }))
    }

    /// The report as one page, which asks nothing of any server. The same report gives the same bytes.
    ///
    /// # Errors
    /// A chart that cannot be drawn.
    pub fn page(&self) -> Result<String> {
        let names: Vec<&str> = self
            .models
            .iter()
            .map(|model| model.name.as_str())
            .collect();
        let title = format!("birnn: {}", names.join(" and "));
        let introduction = html! {
            p.quiet { (table::grouped(self.texts as u64)) @if self.texts == 1 { " text" } @else { " texts" } " of " (self.source) }
        };
        let mut sections = Vec::new();
        let mut add = |id, title, body: maud::Markup| {
            if !body.0.is_empty() {
                sections.push(Section { id, title, body });
            }
        };
        let behaviour = self.models.iter().zip(&self.behaviour);
        let behaviour = html! {
            @for (model, behaviour) in behaviour {
                @if self.models.len() > 1 { h3 { (model.name) } }
                (behaviour::render(behaviour))
            }
        };
        let comparison = self.comparison.as_ref();
        add(
            "comparison",
            "Which is better",
            comparison.map_or_else(|| html! {}, |comparison| comparison.render()),
        );
        add(
            "scores",
            "Scores",
            self.each(|model| Ok(model.scores.render()))?,
        );
        add(
            "classes",
            "Classes",
            self.each(ModelReport::render_classes)?,
        );
        add(
            "probabilities",
            "Probabilities",
            self.each(|model| model.curves.render())?,
        );
        add(
            "slices",
            "Where it errs",
            self.each(|model| Ok(slices::render(&model.slices)))?,
        );
        add(
            "texts",
            "Texts",
            self.each(|model| Ok(model.texts.render()))?,
        );
        add(
            "labels",
            "Labels that may be wrong",
            self.each(|model| Ok(doubts::render(&model.doubts)))?,
        );
        add("behaviour", "Behaviour tests", behaviour);
        add(
            "training",
            "Training",
            self.each(|model| training::render(&model.log))?,
        );
        add(
            "data",
            "Data",
            self.check.as_ref().map_or_else(|| html! {}, data::render),
        );
        Ok(page::page(&title, &introduction, &sections))
    }

    /// A part of each model; with its name above it if there are two.
    fn each(&self, part: impl Fn(&ModelReport) -> Result<maud::Markup>) -> Result<maud::Markup> {
        let parts = self.models.iter().map(|model| {
            let body = part(model)?;
            Ok(html! {
                @if self.models.len() > 1 && !body.0.is_empty() { h3 { (model.name) } }
                (body)
            })
        });
        let parts: Vec<maud::Markup> = parts.collect::<Result<_>>()?;
        Ok(html! { @for part in parts { (part) } })
    }
}
