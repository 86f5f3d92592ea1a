//! What the OpenAPI document says of contents that are not read and written by derived code.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A text, or a list of texts.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Inputs)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum InputsSchema {
    Text(String),
    Texts(Vec<String>),
}

/// A class with its score, and nothing else: by that it differs from a `Prediction`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScoredLabel)]
pub(super) struct ScoredLabelSchema {
    label: String,
    score: f32,
}

/// The classes of a text by their scores, the highest first.
#[derive(Serialize, ToSchema)]
#[schema(as = RankedLabels)]
pub(super) struct RankedSchema(Vec<ScoredLabelSchema>);

/// Everything that is known of a text.
#[derive(Serialize, ToSchema)]
#[schema(as = Prediction)]
pub(super) struct PredictionSchema {
    /// The most probable class.
    label: String,
    /// All predicted classes, where a text may have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<String>>,
    /// Its probability.
    score: f32,
    /// The probability of each class.
    scores: BTreeMap<String, f32>,
    /// The output for each class before temperature and softmax or sigmoid.
    logits: Vec<f32>,
    /// The number of tokens of the text.
    tokens: usize,
    /// Whether only a part of them was read.
    truncated: bool,
    /// The number of tokens read that are not in the vocabulary.
    unknown_tokens: usize,
}

/// Of one text its classes or everything that is known of it, of a list of texts a list of these.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum PredictAnswer {
    Ranked(RankedSchema),
    RankedTexts(Vec<RankedSchema>),
    Details(PredictionSchema),
    DetailsOfTexts(Vec<PredictionSchema>),
}

/// What each word and each n-gram of a text adds.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(super) struct ExplanationSchema {
    /// The text.
    text: String,
    /// The predicted classes.
    predicted: Vec<String>,
    /// The probability of each class, in the order of `classes`.
    scores: Vec<f32>,
    classes: Vec<String>,
    /// The class that is explained, and the other one whose logit is subtracted.
    class: String,
    other: Option<String>,
    method: String,
    /// What is explained: the difference of the logits, or the logit.
    output: f64,
    /// The network's part of it for embeddings of zero.
    baseline: f64,
    /// The n-gram head's part of it for a text without n-grams.
    head_bias: f64,
    /// By how much the contributions of the tokens miss the network's part.
    gap: f64,
    /// The number of points of integrated gradients.
    points: usize,
    /// What each token that is read adds.
    tokens: Vec<ContributionSchema>,
    /// What each n-gram adds.
    ngrams: Vec<ContributionSchema>,
    /// The text in parts, each with how strongly it speaks for the class.
    parts: Vec<PartSchema>,
    /// The characters at the end that are in no part.
    left_out: usize,
}

/// What a part of a text adds.
#[derive(Serialize, ToSchema)]
#[schema(as = Contribution)]
pub(super) struct ContributionSchema {
    /// As written at its first place.
    text: String,
    /// The first byte of each place, and the one after its last.
    places: Vec<[usize; 2]>,
    contribution: f64,
}

/// A part of a text.
#[derive(Serialize, ToSchema)]
#[schema(as = Part)]
pub(super) struct PartSchema {
    text: String,
    /// From -3, strongly against the class, to 3, strongly for it.
    #[schema(minimum = -3, maximum = 3)]
    level: i8,
}

/// The explanation of one text, or those of a list of texts.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum ExplainAnswer {
    One(Box<ExplanationSchema>),
    Several(Vec<ExplanationSchema>),
}
