//! Predictions and explanations as JSON has them, on the command line and behind a URL.

use super::explain::{Contribution, Explanation, Method};
use super::predict::Prediction;
use serde::{Serialize, Serializer};

/// Everything that is known of a text, with the names of the classes.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct PredictionRecord<'a> {
    /// The most probable class.
    pub label: &'a str,
    /// All predicted labels; absent if each text has one class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<&'a str>>,
    /// Its probability.
    pub score: f32,
    /// The probability of each class, in the order of the classes.
    pub scores: NamedScores<'a>,
    /// The model's output for each class; of several models, the logarithms of the scores.
    pub logits: &'a [f32],
    /// The number of tokens of the text.
    pub tokens: usize,
    /// Whether only a part of them was read.
    pub truncated: bool,
    /// The number of tokens read that are not in the vocabulary.
    pub unknown_tokens: usize,
}

/// A number for each class: an object of names and numbers.
#[derive(Debug)]
pub struct NamedScores<'a>(&'a [String], &'a [f32]);

impl Serialize for NamedScores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

impl<'a> PredictionRecord<'a> {
    /// A prediction by a model with classes of these names; `several` if a text may have several of them.
    pub fn new(prediction: &'a Prediction, names: &'a [String], several: bool) -> Self {
        Self {
            label: &names[prediction.class],
            labels: several.then(|| {
                let classes = prediction.classes.iter();
                classes.map(|&class| names[class].as_str()).collect()
            }),
            score: prediction.score(),
            scores: NamedScores(names, &prediction.scores),
            logits: &prediction.logits,
            tokens: prediction.reading.tokens,
            truncated: prediction.reading.is_truncated(),
            unknown_tokens: prediction.reading.unknown,
        }
    }
}

/// Why a classifier says what it says of a text, with the names of the classes.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ExplanationRecord<'a> {
    /// The text.
    pub text: &'a str,
    /// The predicted classes.
    pub predicted: Vec<&'a str>,
    /// The probability of each class, in the order of `classes`.
    pub scores: &'a [f32],
    /// The classes, by number.
    pub classes: &'a [String],
    /// The class that is explained.
    pub class: &'a str,
    /// The other class whose logit is subtracted.
    pub other: Option<&'a str>,
    /// `ig`, `gradient` or `occlusion`.
    pub method: &'static str,
    /// See [`Explanation::output`].
    pub output: f64,
    /// See [`Explanation::baseline`].
    pub baseline: f64,
    /// See [`Explanation::head_bias`].
    pub head_bias: f64,
    /// See [`Explanation::gap`].
    pub gap: f64,
    /// See [`Explanation::points`].
    pub points: usize,
    /// What each token that is read adds.
    pub tokens: Vec<ContributionRecord<'a>>,
    /// What each n-gram adds.
    pub ngrams: Vec<ContributionRecord<'a>>,
}

/// What a token or an n-gram adds.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct ContributionRecord<'a> {
    /// As written at its first place.
    pub text: &'a str,
    /// The first byte of each place, and the one after its last.
    pub places: Vec<[usize; 2]>,
    /// What it adds.
    pub contribution: f64,
}

impl<'a> ExplanationRecord<'a> {
    /// The explanation of a prediction by a model with classes of these names.
    pub fn new(
        text: &'a str,
        prediction: &'a Prediction,
        explanation: &'a Explanation,
        names: &'a [String],
        method: Method,
    ) -> Self {
        let named = |class: usize| names[class].as_str();
        let records = |parts: &'a [Contribution]| {
            let parts = parts.iter();
            parts
                .map(|part| ContributionRecord::new(text, part))
                .collect()
        };
        Self {
            text,
            predicted: prediction
                .classes
                .iter()
                .map(|&class| named(class))
                .collect(),
            scores: &prediction.scores,
            classes: names,
            class: named(explanation.class),
            other: explanation.other.map(named),
            method: match method {
                Method::IntegratedGradients => "ig",
                Method::Gradient => "gradient",
                Method::Occlusion => "occlusion",
            },
            output: explanation.output,
            baseline: explanation.baseline,
            head_bias: explanation.head_bias,
            gap: explanation.gap,
            points: explanation.points,
            tokens: records(&explanation.tokens),
            ngrams: records(&explanation.ngrams),
        }
    }
}

impl<'a> ContributionRecord<'a> {
    fn new(text: &'a str, part: &Contribution) -> Self {
        let first = part.places.first().cloned().unwrap_or(0..0);
        let places = part.places.iter();
        Self {
            text: text.get(first).unwrap_or_default(),
            places: places.map(|place| [place.start, place.end]).collect(),
            contribution: part.contribution,
        }
    }
}
