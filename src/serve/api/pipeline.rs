//! The interface of Hugging Face's text-classification pipeline.

use super::super::app::App;
use super::super::error::ApiError;
use super::body::{Content, content, read};
use super::fields::{choice, count, object};
use super::hold::Hold;
use super::predict::{classify, json, sorted};
use super::schema::{InputsSchema, RankedSchema};
use crate::inference::Prediction;
use crate::models::classifier::OutputKind;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Texts to classify, as Hugging Face's clients send them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"inputs": "Not bad at all!", "parameters": {"top_k": 1}}))]
pub(super) struct PipelineRequest {
    /// A text, or a list of texts.
    #[schema(value_type = InputsSchema)]
    inputs: Value,
    /// What is computed.
    #[serde(default, deserialize_with = "object")]
    parameters: Option<Parameters>,
    /// Of the service of Hugging Face; without effect.
    #[serde(default, deserialize_with = "object")]
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "it has no effect")]
    options: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// How many classes of each text are in the answer; all by default.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1)]
    top_k: Option<usize>,
    /// What turns logits into scores; by default what the model was trained with.
    #[serde(default, deserialize_with = "choice")]
    function_to_apply: Option<Function>,
    /// Whether a text of more tokens than the model reads is cut, which is the default, or refused.
    #[serde(default)]
    truncation: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Function {
    Softmax,
    Sigmoid,
    None,
}

impl Content for PipelineRequest {
    fn take_inputs(&mut self) -> Value {
        self.inputs.take()
    }
}

/// Classify texts as Hugging Face's text-classification pipeline does.
///
/// For each text the classes with their probabilities, the highest first.
#[utoipa::path(
    post, path = "/", operation_id = "pipeline", tag = "predict",
    request_body = PipelineRequest,
    responses((status = 200, description = "The classes of each text", body = Vec<RankedSchema>), super::Refusals),
    security((), ("token" = []))
)]
pub(super) async fn pipeline(
    State(app): State<Arc<App>>,
    Hold(held): Hold,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let model = app.model(None)?;
    let held = Arc::new(held);
    let bytes = read(&app, &headers, body, &held).await?;
    let (request, inputs): (PipelineRequest, _) = content(&app, bytes, &held).await?;
    let parameters = request.parameters.unwrap_or_default();
    if parameters.top_k == Some(0) {
        return Err(ApiError::invalid(
            "wrong_field",
            "parameters.top_k: 0, but at least 1 is needed",
            "leave it out for all classes",
        ));
    }
    let truncate = parameters.truncation.unwrap_or(true);
    let (predictions, answered) = classify(&app, &model, inputs.texts, truncate, &held).await?;
    let names = model.classifier.labels().names();
    let temperature = model.classifier.parts().temperature;
    let ranked = |prediction: &Prediction| {
        let scores = match parameters.function_to_apply {
            None => prediction.scores.clone(),
            Some(Function::None) => prediction.logits.clone(),
            Some(Function::Softmax) => prediction.scores_by(OutputKind::Softmax, temperature),
            Some(Function::Sigmoid) => prediction.scores_by(OutputKind::Sigmoid, temperature),
        };
        let mut ranked = sorted(names, &scores);
        ranked.truncate(parameters.top_k.unwrap_or(names.len()));
        ranked
    };
    let ranked: Vec<_> = predictions.iter().map(ranked).collect();
    Ok(answered.with_body(json(&ranked), &held))
}
