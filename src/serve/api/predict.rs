//! Classes of texts.

use super::super::app::App;
use super::super::compute::Failure;
use super::super::error::ApiError;
use super::super::held::Held;
use super::super::models::ServedModel;
use super::super::work::Classify;
use super::answered::Answered;
use super::body::{Content, check_encoding, content, elsewhere, is_lines, read};
use super::hold::Hold;
use super::lines;
use super::name::Name;
use super::schema::{InputsSchema, PredictAnswer};
use crate::inference::{Prediction, PredictionRecord};
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Texts to classify.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"inputs": ["Not bad at all!", "I want my money back."]}))]
pub(super) struct PredictRequest {
    /// A text, or a list of texts.
    #[schema(value_type = InputsSchema)]
    inputs: Value,
    /// Whether a text of more tokens than the model reads is cut, which is the default, or refused.
    #[serde(default)]
    truncate: Option<bool>,
    /// Whether the scores are the logits instead of probabilities.
    #[serde(default)]
    raw_scores: Option<bool>,
    /// Whether each answer is everything that is known of the text.
    #[serde(default)]
    details: Option<bool>,
}

impl Content for PredictRequest {
    fn take_inputs(&mut self) -> Value {
        self.inputs.take()
    }
}

/// Classify texts with the first model.
///
/// The classes of each text with their probabilities, the highest first: of a text a list, of a list of texts a list of
/// lists. With `Content-Type: application/x-ndjson` texts and answers are streams of JSON lines without a limit of their
/// number.
#[utoipa::path(
    post, path = "/v1/predict", operation_id = "predict_v1", tag = "predict",
    request_body(content((PredictRequest = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "The classes", content((PredictAnswer = "application/json"), (String = "application/x-ndjson"))), super::Refusals),
    security((), ("token" = []))
)]
pub(super) async fn predict(
    State(app): State<Arc<App>>,
    Hold(held): Hold,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    answer(&app, None, &headers, body, held).await
}

/// Classify texts with the model of this name.
#[utoipa::path(
    post, path = "/v1/models/{name}/predict", operation_id = "predict_with_model", tag = "predict",
    params(("name" = String, Path, description = "The name of the model")),
    request_body(content((PredictRequest = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "The classes", content((PredictAnswer = "application/json"), (String = "application/x-ndjson"))), super::Refusals, super::NoModel),
    security((), ("token" = []))
)]
pub(super) async fn predict_with_model(
    State(app): State<Arc<App>>,
    Name(name): Name,
    Hold(held): Hold,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    answer(&app, Some(&name), &headers, body, held).await
}

async fn answer(
    app: &Arc<App>,
    name: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    held: Held,
) -> Result<Response, ApiError> {
    let model = app.model(name)?;
    let held = Arc::new(held);
    if is_lines(headers) {
        check_encoding(headers)?;
        return Ok(lines::answer(app, model, body, held));
    }
    let bytes = read(app, headers, body, &held).await?;
    let (request, inputs): (PredictRequest, _) = content(app, bytes, &held).await?;
    let truncate = request.truncate.unwrap_or(true);
    let is_list = inputs.is_list;
    let (predictions, answered) = classify(app, &model, inputs.texts, truncate, &held).await?;
    let names = model.classifier.labels().names();
    let body = match (
        request.details == Some(true),
        request.raw_scores == Some(true),
    ) {
        (true, _) => {
            let several = model.classifier.parts().thresholds.is_some();
            let records = predictions.iter();
            let records =
                records.map(|prediction| PredictionRecord::new(prediction, names, several));
            list_or_one(records.collect(), is_list)
        }
        (false, true) => ranked(
            names,
            predictions.iter().map(|found| &found.logits[..]),
            is_list,
        ),
        (false, false) => ranked(
            names,
            predictions.iter().map(|found| &found.scores[..]),
            is_list,
        ),
    };
    Ok(answered.with_body(body, &held))
}

/// A class with its score.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct ScoredLabel<'a> {
    label: &'a str,
    score: f32,
}

/// The classes by their scores, the highest first; equal ones in the order of the classes.
pub(super) fn sorted<'a>(names: &'a [String], scores: &[f32]) -> Vec<ScoredLabel<'a>> {
    let scored = names.iter().zip(scores);
    let mut scored: Vec<ScoredLabel> = scored
        .map(|(label, &score)| ScoredLabel { label, score })
        .collect();
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    scored
}

fn ranked<'a>(names: &[String], scores: impl Iterator<Item = &'a [f32]>, is_list: bool) -> Vec<u8> {
    list_or_one(
        scores.map(|scores| sorted(names, scores)).collect(),
        is_list,
    )
}

/// The answers, or the only one.
pub(super) fn list_or_one<T: Serialize>(answers: Vec<T>, is_list: bool) -> Vec<u8> {
    match &answers[..] {
        [answer] if !is_list => json(answer),
        answers => json(answers),
    }
}

/// Content as JSON. Numbers are written as they are on the command line.
pub(super) fn json(content: &(impl Serialize + ?Sized)) -> Vec<u8> {
    // Strings and numbers cannot fail to be written to memory.
    serde_json::to_vec(content).unwrap_or_default()
}

/// The predictions for texts.
///
/// # Errors
/// A text that is too long if none is to be cut, or that cannot be classified.
pub(super) async fn classify(
    app: &App,
    model: &Arc<ServedModel>,
    texts: Vec<String>,
    truncate: bool,
    held: &Arc<Held>,
) -> Result<(Vec<Prediction>, Answered), ApiError> {
    let mut answered = Answered::new(app, model, &texts);
    let tokenized = tokenize(model, texts, held).await?.into_iter().enumerate();
    let works: Result<Vec<Classify>, ApiError> = tokenized
        .map(|(at, work)| work.map_err(|error| of_text(at, Failure::Error(error))))
        .collect();
    let works = works?;
    if !truncate {
        for (at, work) in works.iter().enumerate() {
            check_whole(at, work)?;
        }
    }
    let mut predictions = Vec::with_capacity(works.len());
    for (at, found) in app.classify.compute(works).await.into_iter().enumerate() {
        let computed = found.map_err(|failure| of_text(at, failure))?;
        app.metrics.queue(computed.queue);
        answered.add(computed.output.reading, computed.queue, computed.inference);
        predictions.push(computed.output);
    }
    app.metrics.answered(&model.name, &answered.measured);
    Ok((predictions, answered))
}

fn check_whole(at: usize, work: &Classify) -> Result<(), ApiError> {
    if !work.reading.is_truncated() {
        return Ok(());
    }
    Err(ApiError::too_large(
        "too_many_tokens",
        format!(
            "text {} has {} tokens, but the model reads {}",
            at + 1,
            work.reading.tokens,
            work.reading.read
        ),
        "send a shorter one, or \"truncate\": true",
    ))
}

/// Why the text at this place has no answer.
fn of_text(at: usize, failure: Failure) -> ApiError {
    let mut error = ApiError::from(failure);
    error.body.error = format!("text {}: {}", at + 1, error.body.error);
    error
}

/// Texts with their tokens.
///
/// # Errors
/// The tokenizer panics.
pub(super) async fn tokenize(
    model: &Arc<ServedModel>,
    texts: Vec<String>,
    held: &Arc<Held>,
) -> Result<Vec<crate::Result<Classify>>, ApiError> {
    let bytes: usize = texts.iter().map(String::len).sum();
    let (model, held) = (Arc::clone(model), Arc::clone(held));
    let tokenize = move || {
        let texts = texts.into_iter();
        texts
            .map(|text| Classify::new(&model, text, &held))
            .collect()
    };
    elsewhere(bytes, tokenize).await
}
