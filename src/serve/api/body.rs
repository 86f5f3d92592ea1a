//! Reading the body of a request within the limits.

use super::super::app::App;
use super::super::compute::Failure;
use super::super::error::ApiError;
use super::super::held::Held;
use super::inputs::{InputLimits, Inputs};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::timeout;

/// Reads a body of JSON; the request holds room for it.
///
/// # Errors
/// Another type of content, a body over the limit, no room for it, or one that does not arrive in time.
pub(super) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    held: &Held,
) -> Result<Bytes, ApiError> {
    check_type(headers)?;
    check_encoding(headers)?;
    let seconds = app.settings.body_timeout.as_secs();
    timeout(app.settings.body_timeout, read_all(app, body, held))
        .await
        .unwrap_or_else(|_| Err(ApiError::timeout(seconds)))
}

async fn read_all(app: &App, mut body: Body, held: &Held) -> Result<Bytes, ApiError> {
    let limit = app.settings.max_body;
    let mut bytes = BytesMut::new();
    while let Some(data) = next(&mut body).await? {
        if bytes.len() + data.len() > limit {
            return Err(ApiError::too_large(
                "body_too_large",
                format!("the body has more than {limit} bytes"),
                "send fewer texts at once, or JSON lines (Content-Type: application/x-ndjson), which have no limit together",
            ));
        }
        held.take_room(app, data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Does this here if it is about a few bytes, else on a thread on which nobody waits for anything else.
///
/// # Errors
/// It panics.
pub(super) async fn elsewhere<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    const FEW: usize = 16 << 10;
    if bytes <= FEW {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::Panic.into())
}

/// The content of a body with its texts.
///
/// # Errors
/// It is not JSON, or not what is expected, or has too many or too long texts.
pub(super) async fn content<T: Content>(
    app: &App,
    bytes: Bytes,
    held: &Arc<Held>,
) -> Result<(T, Inputs), ApiError> {
    let (limits, held) = (InputLimits::of(&app.settings), Arc::clone(held));
    elsewhere(bytes.len(), move || {
        let _held = held;
        let mut content: T = parse(&bytes)?;
        let inputs = Inputs::read(content.take_inputs(), limits)?;
        Ok((content, inputs))
    })
    .await?
}

/// The content of a request for texts.
pub(super) trait Content: DeserializeOwned + Send + 'static {
    /// What it has as `inputs`.
    fn take_inputs(&mut self) -> Value;
}

/// The next part of a body, which is not empty; `None` at its end.
///
/// # Errors
/// The connection is broken.
pub(super) async fn next(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = match body.frame().await {
            None => return Ok(None),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                return Err(ApiError::new(
                    StatusCode::BAD_REQUEST,
                    "broken_body",
                    format!("the body cannot be read: {error}"),
                    "send it again",
                ));
            }
        };
        match frame.into_data() {
            Ok(data) if !data.is_empty() => return Ok(Some(data)),
            // Nothing, or trailers.
            _ => {}
        }
    }
}

/// The type of the content without its parameters, in small letters.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default();
    Some(kind.trim().to_ascii_lowercase())
}

/// Whether the body is a stream of JSON lines.
pub(super) fn is_lines(headers: &HeaderMap) -> bool {
    const NAMES: [&str; 4] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ];
    content_type(headers).is_some_and(|kind| NAMES.contains(&kind.as_str()))
}

/// Refuses compressed bodies, which would be taken for broken JSON.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_encoding",
            format!(
                "the body is compressed: {}",
                String::from_utf8_lossy(encoding.as_bytes())
            ),
            "send it uncompressed, without the header `Content-Encoding`",
        )),
        _ => Ok(()),
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = content_type(headers);
    let is_json = |kind: &str| {
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    };
    match &kind {
        // Pages elsewhere can send other types without asking.
        Some(kind) if is_json(kind) => Ok(()),
        kind => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            match kind {
                Some(kind) => format!("the content is {kind}, not JSON"),
                None => "the content has no type".to_owned(),
            },
            "send JSON with the header `Content-Type: application/json`",
        )),
    }
}

/// The content of a body.
///
/// # Errors
/// It is not JSON, or not what is expected.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let not_json = |error: serde_json::Error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            format!("the body is not JSON: {error}"),
            "send an object in UTF-8 such as {\"inputs\": \"a text\"}",
        )
    };
    // Some programs write it before UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let value: Value = serde_json::from_slice(bytes).map_err(not_json)?;
    if !value.is_object() {
        return Err(ApiError::invalid(
            "not_an_object",
            "the body is not a JSON object",
            "send an object such as {\"inputs\": \"a text\"}",
        ));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let problem = error.inner().to_string();
        let place = error.path().to_string();
        ApiError::invalid(
            "wrong_field",
            match place.as_str() {
                "." => problem,
                _ => format!("{place}: {problem}"),
            },
            "see /openapi.json for the fields",
        )
    })
}
