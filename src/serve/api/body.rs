//! Reading the body of a request within the limits.

use super::super::app::App;
use super::super::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A body that was read, and its share of the memory that all of them may have.
pub(super) struct ReadBody {
    pub bytes: Bytes,
    _room: Vec<OwnedSemaphorePermit>,
}

/// So many times the limit are read and thrown away of a body that is too large, so that its sender reads the answer
/// instead of finding the connection closed.
const DISCARDED: usize = 8;

/// Reads a body of JSON.
///
/// # Errors
/// Another type of content, a body over the limit, no room for it, or one that does not arrive in time.
pub(super) async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<ReadBody, ApiError> {
    check_type(headers)?;
    let seconds = app.settings.body_timeout.as_secs();
    timeout(app.settings.body_timeout, read_all(app, body))
        .await
        .unwrap_or_else(|_| Err(ApiError::timeout(seconds)))
}

async fn read_all(app: &App, mut body: Body) -> Result<ReadBody, ApiError> {
    let limit = app.settings.max_body;
    let (mut bytes, mut room) = (BytesMut::new(), Vec::new());
    let mut length = 0;
    while let Some(data) = next(&mut body).await? {
        length += data.len();
        if length > limit {
            bytes = BytesMut::new();
            room.clear();
            if length > limit.saturating_mul(DISCARDED) {
                break;
            }
            continue;
        }
        room.push(app.room(data.len())?);
        bytes.extend_from_slice(&data);
    }
    if length > limit {
        return Err(ApiError::too_large(
            "body_too_large",
            format!("the body has more than {limit} bytes"),
            "send fewer texts at once, or JSON lines (Content-Type: application/x-ndjson), which have no limit together",
        ));
    }
    Ok(ReadBody {
        bytes: bytes.freeze(),
        _room: room,
    })
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
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let not_json = |error: serde_json::Error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            format!("the body is not JSON: {error}"),
            "send an object such as {\"inputs\": \"a text\"}",
        )
    };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(not_json)?;
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
