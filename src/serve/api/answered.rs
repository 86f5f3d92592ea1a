//! What an answer says of itself, in headers and in the log.

use super::super::app::App;
use super::super::held::Held;
use super::super::metrics::Measured;
use super::super::models::ServedModel;
use crate::text::Reading;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;

/// The headers of an answer; a stream has the first two.
pub(super) const HEADERS: [&str; 8] = [
    "x-model",
    "x-model-fingerprint",
    "x-compute-characters",
    "x-compute-tokens",
    "x-truncated-texts",
    "x-unknown-tokens",
    "x-queue-time",
    "x-inference-time",
];

/// How texts were answered.
#[derive(Debug, Clone, Default)]
pub(in crate::serve) struct Answered {
    pub model: String,
    /// The SHA-256 of the model's files.
    pub fingerprint: String,
    pub measured: Measured,
    /// The longest time that a text waited, and in which its batch was computed.
    pub queue: Duration,
    pub inference: Duration,
    /// The texts, if the log has them.
    pub inputs: Option<Vec<String>>,
}

impl Answered {
    /// Texts that are not answered yet.
    pub(super) fn new(app: &App, model: &ServedModel, texts: &[String]) -> Self {
        let characters = texts.iter().map(|text| text.chars().count() as u64).sum();
        Self {
            model: model.name.clone(),
            fingerprint: model.fingerprint.clone(),
            measured: Measured {
                characters,
                ..Measured::default()
            },
            inputs: (app.log.is_on() && app.settings.log_texts).then(|| texts.to_vec()),
            ..Self::default()
        }
    }

    /// A text was answered.
    pub(super) fn add(&mut self, reading: Reading, queue: Duration, inference: Duration) {
        let measured = &mut self.measured;
        measured.texts += 1;
        measured.tokens += reading.read as u64;
        measured.truncated += u64::from(reading.is_truncated());
        measured.unknown_tokens += reading.unknown as u64;
        self.queue = self.queue.max(queue);
        self.inference = self.inference.max(inference);
    }

    /// The answer with this body of JSON, for which the request holds what it holds until it is sent.
    pub(super) fn with_body(self, body: Vec<u8>, held: &Arc<Held>) -> Response {
        let kind = HeaderValue::from_static("application/json");
        let mut response = ([(header::CONTENT_TYPE, kind)], held.bytes(body)).into_response();
        let milliseconds = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
        let measured = self.measured;
        let values = [
            self.model.clone(),
            self.fingerprint.clone(),
            measured.characters.to_string(),
            measured.tokens.to_string(),
            measured.truncated.to_string(),
            measured.unknown_tokens.to_string(),
            milliseconds(self.queue),
            milliseconds(self.inference),
        ];
        for (name, value) in HEADERS.into_iter().zip(values) {
            if let Ok(value) = HeaderValue::try_from(value) {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, value);
            }
        }
        response.extensions_mut().insert(self);
        response
    }
}
