//! The description of the interface, made from the code that answers.

use super::super::error::ErrorBody;
use super::super::settings::ServeSettings;
use serde_json::{Value, json};
use utoipa::{IntoResponses, PartialSchema};

/// What a request with a body may be answered besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum Refusals {
    /// The body is not JSON.
    #[response(status = 400)]
    NotJson(ErrorBody),
    /// The token is missing or wrong.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The body has not arrived in time.
    #[response(status = 408)]
    Timeout(ErrorBody),
    /// The body, a text or a list of texts is over a limit.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The content is not of type `application/json`.
    #[response(status = 415)]
    ContentType(ErrorBody),
    /// The content is not what the interface has.
    #[response(status = 422)]
    Invalid(ErrorBody),
    /// The server has too much to do: try again after the seconds of `Retry-After`.
    #[response(status = 429)]
    Overloaded(ErrorBody),
    /// A bug.
    #[response(status = 500)]
    Bug(ErrorBody),
    /// The server is going to end.
    #[response(status = 503)]
    Ending(ErrorBody),
}

/// Where a token is needed.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum Unauthorized {
    /// The token is missing or wrong.
    #[response(status = 401)]
    Token(ErrorBody),
}

/// Where a model is named.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum NoModel {
    /// There is no model of this name.
    #[response(status = 404)]
    Name(ErrorBody),
}

/// Paths without a version, which are the same as those of version 1.
pub(super) const PREDICT: &str = "/predict";
pub(super) const EXPLAIN: &str = "/explain";

/// The document, with the limits of this server.
pub(super) fn document(api: utoipa::openapi::OpenApi, settings: &ServeSettings) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    for alias in [PREDICT, EXPLAIN] {
        let mut operations = document["paths"][format!("/v1{alias}")].clone();
        operations["post"]["operationId"] = json!(alias.trim_start_matches('/'));
        document["paths"][alias] = operations;
    }
    document["info"] = json!({
        "title": "birnn",
        "description": "Classes of texts by bidirectional recurrent networks, and the words that made them",
        "version": env!("CARGO_PKG_VERSION"),
        "license": {"name": "MIT", "identifier": "MIT"},
    });
    document["components"]["securitySchemes"] =
        json!({"token": {"type": "http", "scheme": "bearer"}});
    // What is only in refusals is not collected.
    document["components"]["schemas"]["ErrorBody"] = json!(ErrorBody::schema());
    let text = json!({"type": "string", "maxLength": settings.max_characters});
    let object = json!({
        "type": "object",
        "properties": {"text": text},
        "required": ["text"],
        "additionalProperties": false,
    });
    let alone = json!({"type": "array", "items": text, "minItems": 1, "maxItems": 1});
    document["components"]["schemas"]["Inputs"] = json!({
        "description": "A text, or a list of texts",
        "oneOf": [
            text,
            {
                "type": "array",
                "items": {"oneOf": [text, alone, object]},
                "minItems": 1,
                "maxItems": settings.max_texts,
            },
            object,
        ],
    });
    require_token(&mut document, settings.token.is_some());
    document
}

/// Says of what may need a token that it does, or that it does not.
fn require_token(document: &mut Value, is_needed: bool) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.filter_map(|(_, path)| path.as_object_mut()).flatten();
    for (_, operation) in operations {
        if let Some(operation) = operation.as_object_mut()
            && operation.contains_key("security")
        {
            match is_needed {
                true => operation.insert("security".to_owned(), json!([{"token": []}])),
                false => operation.remove("security"),
            };
        }
    }
}
