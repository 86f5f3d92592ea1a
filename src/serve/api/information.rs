//! What the server is and how it is.

use super::super::app::App;
use super::super::error::ApiError;
use super::super::models::ServedModel;
use super::name::Name;
use super::predict::json;
use crate::inference::Predictor;
use crate::text::Truncation;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// `ok`, or `draining` before it ends.
    status: &'static str,
}

/// A model that is served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelInformation {
    /// Its name in addresses.
    name: String,
    /// The classes, by number.
    labels: Vec<String>,
    /// Whether a text may have several of them.
    several_labels: bool,
    /// From which probability on a text has each class, where it may have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    thresholds: Option<Vec<f64>>,
    /// So many tokens of a text are read; 0 for all.
    max_tokens: usize,
    /// Which tokens of a longer text are read.
    #[schema(value_type = String)]
    truncation: Truncation,
    /// The size of the vocabulary.
    vocabulary_size: usize,
    /// The divisor of the logits before the softmax.
    temperature: f64,
    /// The SHA-256 of its files.
    fingerprint: String,
    /// When it was loaded.
    loaded: String,
    /// Why the files that are in its folder now are not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl ModelInformation {
    fn new(model: &ServedModel, refusal: Option<&str>) -> Self {
        let parts = model.classifier.parts();
        let (max_tokens, truncation) = parts.encoder.limits();
        Self {
            name: model.name.clone(),
            labels: parts.labels.names().to_vec(),
            several_labels: parts.thresholds.is_some(),
            thresholds: model.classifier.thresholds().map(<[f64]>::to_vec),
            max_tokens,
            truncation,
            vocabulary_size: parts.encoder.vocabulary_size(),
            temperature: parts.temperature,
            fingerprint: model.fingerprint.clone(),
            loaded: humantime::format_rfc3339_seconds(model.loaded).to_string(),
            refused: refusal.map(str::to_owned),
        }
    }
}

/// The models that are served.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    models: Vec<ModelInformation>,
}

/// What the server is: the first model with the fields of Text Embeddings Inference, all models, and the limits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Information {
    /// The name of the first model.
    model_id: String,
    /// The SHA-256 of its files.
    model_sha: String,
    model_dtype: &'static str,
    model_type: ModelType,
    max_concurrent_requests: usize,
    /// So many tokens of a text are read.
    max_input_length: usize,
    max_batch_tokens: usize,
    max_client_batch_size: usize,
    /// Longer texts are cut, unless the request says not to.
    auto_truncate: bool,
    max_characters: usize,
    max_body_bytes: usize,
    max_connections: usize,
    /// Whether the texts are in the access log.
    log_texts: bool,
    /// The version of birnn.
    version: &'static str,
    models: Vec<ModelInformation>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ModelType {
    classifier: Labels,
}

#[derive(Debug, Serialize, ToSchema)]
struct Labels {
    #[schema(value_type = BTreeMap<String, String>)]
    id2label: BTreeMap<usize, String>,
    label2id: BTreeMap<String, usize>,
}

/// Whether the server runs.
#[utoipa::path(
    get, path = "/health", operation_id = "health", tag = "operation",
    responses((status = 200, description = "It runs", body = Status))
)]
pub(super) async fn health() -> Response {
    status(StatusCode::OK, "ok")
}

/// Whether the server takes requests: not when it is going to end.
#[utoipa::path(
    get, path = "/ready", operation_id = "ready", tag = "operation",
    responses((status = 200, description = "It does", body = Status), (status = 503, description = "It is going to end", body = Status))
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.is_draining() {
        false => status(StatusCode::OK, "ok"),
        true => status(StatusCode::SERVICE_UNAVAILABLE, "draining"),
    }
}

/// What the server is.
#[utoipa::path(
    get, path = "/info", operation_id = "info", tag = "operation",
    responses((status = 200, description = "Models and limits", body = Information), super::Unauthorized),
    security((), ("token" = []))
)]
pub(super) async fn info(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let first = app.model(None)?;
    let labels = first.classifier.labels().names();
    let numbered = labels.iter().cloned().enumerate();
    let models = models(&app);
    let settings = &app.settings;
    Ok(answer(&Information {
        model_id: first.name.clone(),
        model_sha: first.fingerprint.clone(),
        model_dtype: "float32",
        model_type: ModelType {
            classifier: Labels {
                label2id: numbered.clone().map(|(id, label)| (label, id)).collect(),
                id2label: numbered.collect(),
            },
        },
        max_concurrent_requests: settings.max_requests,
        max_input_length: first.classifier.parts().encoder.limits().0,
        max_batch_tokens: settings.batch_tokens,
        max_client_batch_size: settings.max_texts,
        auto_truncate: true,
        max_characters: settings.max_characters,
        max_body_bytes: settings.max_body,
        max_connections: settings.max_connections,
        log_texts: app.log.is_on() && settings.log_texts,
        version: env!("CARGO_PKG_VERSION"),
        models,
    }))
}

/// The models that are served; the first one answers where no name is given.
#[utoipa::path(
    get, path = "/v1/models", operation_id = "models", tag = "operation",
    responses((status = 200, description = "The models", body = ModelList), super::Unauthorized),
    security((), ("token" = []))
)]
pub(super) async fn list_models(State(app): State<Arc<App>>) -> Response {
    answer(&ModelList {
        models: models(&app),
    })
}

/// The model of this name.
#[utoipa::path(
    get, path = "/v1/models/{name}", operation_id = "model", tag = "operation",
    params(("name" = String, Path, description = "The name of the model")),
    responses((status = 200, description = "The model", body = ModelInformation), super::Unauthorized, super::NoModel),
    security((), ("token" = []))
)]
pub(super) async fn one_model(
    State(app): State<Arc<App>>,
    Name(name): Name,
) -> Result<Response, ApiError> {
    app.model(Some(&name))?;
    let found = models(&app).into_iter().find(|model| model.name == name);
    Ok(answer(&found))
}

/// What the server measures, as Prometheus reads it.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "operation",
    responses((status = 200, description = "The measures", content_type = "application/openmetrics-text", body = String), super::Unauthorized),
    security((), ("token" = []))
)]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let kind = HeaderValue::from_static(kind);
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

fn models(app: &App) -> Vec<ModelInformation> {
    let models = app.models.all();
    models
        .map(|(model, refusal)| {
            ModelInformation::new(&model, refusal.as_ref().map(|refusal| refusal.as_str()))
        })
        .collect()
}

fn status(code: StatusCode, status: &'static str) -> Response {
    (code, answer(&Status { status })).into_response()
}

fn answer(content: &impl Serialize) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], json(content)).into_response()
}
