//! Why a model says what it says.

use super::super::app::App;
use super::super::compute::Failure;
use super::super::error::ApiError;
use super::super::held::Held;
use super::super::models::ServedModel;
use super::super::work::{Classify, Explain};
use super::answered::Answered;
use super::body::{Content, content, read};
use super::fields::{choice, count};
use super::hold::HoldToExplain;
use super::name::Name;
use super::predict::{list_or_one, tokenize};
use super::schema::{ExplainAnswer, InputsSchema};
use crate::inference::{ExplainSettings, ExplanationRecord, Method};
use crate::report::ExplainedText;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Texts to explain.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"inputs": "Not bad at all!"}))]
pub(super) struct ExplainRequest {
    /// A text, or a list of texts.
    #[schema(value_type = InputsSchema)]
    inputs: Value,
    /// The class that is explained; by default the predicted one.
    #[serde(default)]
    class: Option<String>,
    /// Integrated gradients, the gradient times the embedding, or leaving out each word.
    #[serde(default, deserialize_with = "choice")]
    method: Option<MethodName>,
    /// The number of points of integrated gradients.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 512)]
    points: Option<usize>,
}

impl Content for ExplainRequest {
    fn take_inputs(&mut self) -> Value {
        self.inputs.take()
    }
}

/// More points add nothing.
const MOST_POINTS: usize = 512;
/// The steps through the network that a request may need: a few seconds of two cores.
const MOST_WORK: usize = 500_000;
/// A point of integrated gradients needs a step forward and one backward, with everything kept in between.
const WORK_OF_POINT: usize = 10;

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum MethodName {
    Ig,
    Gradient,
    Occlusion,
}

/// An explanation with the text in parts.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    record: ExplanationRecord<'a>,
    /// The whole text in parts, each with how strongly it speaks for the class.
    parts: &'a [crate::report::Part],
    /// The characters at the end that are in no part.
    left_out: usize,
}

/// Explain texts with the first model.
#[utoipa::path(
    post, path = "/v1/explain", operation_id = "explain_v1", tag = "explain",
    request_body = ExplainRequest,
    responses((status = 200, description = "What each word adds", body = ExplainAnswer), super::Refusals),
    security((), ("token" = []))
)]
pub(super) async fn explain(
    State(app): State<Arc<App>>,
    HoldToExplain(held): HoldToExplain,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    answer(&app, None, &headers, body, held).await
}

/// Explain texts with the model of this name.
#[utoipa::path(
    post, path = "/v1/models/{name}/explain", operation_id = "explain_with_model", tag = "explain",
    params(("name" = String, Path, description = "The name of the model")),
    request_body = ExplainRequest,
    responses((status = 200, description = "What each word adds", body = ExplainAnswer), super::Refusals, super::NoModel),
    security((), ("token" = []))
)]
pub(super) async fn explain_with_model(
    State(app): State<Arc<App>>,
    Name(name): Name,
    HoldToExplain(held): HoldToExplain,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    answer(&app, Some(&name), &headers, body, held).await
}

async fn answer(
    app: &App,
    name: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    held: Held,
) -> Result<Response, ApiError> {
    let model = app.model(name)?;
    let held = Arc::new(held);
    let bytes = read(app, headers, body, &held).await?;
    let (request, inputs): (ExplainRequest, _) = content(app, bytes, &held).await?;
    let labels = model.classifier.labels();
    let class = match &request.class {
        None => None,
        Some(name) => Some(labels.class_of(name).ok_or_else(|| {
            ApiError::invalid(
                "no_such_class",
                format!("class: there is no class {name:?}"),
                format!("the classes are {}", labels.names().join(", ")),
            )
        })?),
    };
    let points = request.points.unwrap_or(ExplainSettings::default().points);
    if !(1..=MOST_POINTS).contains(&points) {
        return Err(ApiError::invalid(
            "wrong_field",
            format!("points: {points} is not from 1 to {MOST_POINTS}"),
            "leave it out for the default",
        ));
    }
    let settings = ExplainSettings {
        method: match request.method.unwrap_or(MethodName::Ig) {
            MethodName::Ig => Method::IntegratedGradients,
            MethodName::Gradient => Method::Gradient,
            MethodName::Occlusion => Method::Occlusion,
        },
        class,
        points,
        most_points: points,
    };
    let works = works(&model, &inputs.texts, settings, &held).await?;
    let mut answered = Answered::new(app, &model, &inputs.texts);
    let mut found = Vec::new();
    for computed in app.explain.compute(works).await {
        let computed = computed?;
        app.metrics.explanation(computed.inference);
        let reading = computed.output.0.reading;
        answered.add(reading, computed.queue, computed.inference);
        found.push(computed.output);
    }
    app.metrics.answered(&model.name, &answered.measured);
    let names = labels.names();
    let explained = inputs.texts.iter().zip(&found);
    let explained: Vec<ExplainedText> = explained
        .map(|(text, (_, explanation))| ExplainedText::new(text, explanation, names))
        .collect();
    let answers = inputs.texts.iter().zip(&found).zip(&explained);
    let answers = answers.map(|((text, (prediction, explanation)), explained)| Answer {
        record: ExplanationRecord::new(text, prediction, explanation, names, settings.method),
        parts: &explained.parts,
        left_out: explained.left_out,
    });
    let body = list_or_one(answers.collect(), inputs.is_list);
    Ok(answered.with_body(body, &held))
}

/// The texts to explain.
///
/// # Errors
/// All of them together would take too long.
async fn works(
    model: &Arc<ServedModel>,
    texts: &[String],
    settings: ExplainSettings,
    held: &Arc<Held>,
) -> Result<Vec<Explain>, ApiError> {
    let tokenized = tokenize(model, texts.to_vec(), held).await?.into_iter();
    let tokenized: crate::Result<Vec<Classify>> = tokenized.collect();
    let tokenized = tokenized.map_err(|error| ApiError::from(Failure::Error(error)))?;
    let work = |text: &Classify| match settings.method {
        Method::IntegratedGradients => WORK_OF_POINT * settings.points * text.ids.len(),
        Method::Gradient => WORK_OF_POINT * text.ids.len(),
        Method::Occlusion => text.ids.len() * text.ids.len(),
    };
    let work: usize = tokenized.iter().map(work).sum();
    if work > MOST_WORK {
        return Err(ApiError::too_large(
            "too_much_to_explain",
            "these texts would take too long to explain",
            "send fewer or shorter ones, ask for fewer points, or use the method gradient",
        ));
    }
    // So many times the points fit for all of the texts.
    let times = MOST_WORK / work.max(1);
    let settings = ExplainSettings {
        most_points: (settings.points * times).clamp(settings.points, MOST_POINTS),
        ..settings
    };
    let works = tokenized.into_iter();
    Ok(works.map(|text| text.explain(settings)).collect())
}
