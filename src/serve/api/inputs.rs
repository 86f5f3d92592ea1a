//! The texts of a request.

use super::super::error::ApiError;
use super::super::settings::ServeSettings;
use serde_json::Value;

/// The texts of a request, and whether they were in a list: then so are the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inputs {
    pub texts: Vec<String>,
    pub is_list: bool,
}

/// What texts may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputLimits {
    pub texts: usize,
    pub characters: usize,
}

impl InputLimits {
    pub(super) fn of(settings: &ServeSettings) -> Self {
        Self {
            texts: settings.max_texts,
            characters: settings.max_characters,
        }
    }
}

const EXAMPLE: &str = "give a text, or a list of texts: {\"inputs\": [\"one\", \"two\"]}";

impl Inputs {
    /// Reads `inputs`: a text or a list of texts, each of which may be in a list of its own, as Text Embeddings Inference
    /// has it, or the `text` of an object, as pipelines have it.
    ///
    /// # Errors
    /// Something else, a pair of texts, or too many or too long texts.
    pub(super) fn read(value: Value, limits: InputLimits) -> Result<Self, ApiError> {
        let inputs = match value {
            Value::Array(values) => {
                if values.len() > limits.texts {
                    return Err(ApiError::too_large(
                        "too_many_texts",
                        format!(
                            "there are {} texts, more than {}",
                            values.len(),
                            limits.texts
                        ),
                        "send them in several requests, or as JSON lines (Content-Type: application/x-ndjson)",
                    ));
                }
                Self {
                    texts: values.into_iter().map(text).collect::<Result<_, _>>()?,
                    is_list: true,
                }
            }
            value => Self {
                texts: vec![text(value)?],
                is_list: false,
            },
        };
        if inputs.texts.is_empty() {
            return Err(ApiError::invalid("no_texts", "there are no texts", EXAMPLE));
        }
        for (at, text) in inputs.texts.iter().enumerate() {
            check_length(text, limits.characters).map_err(|mut error| {
                if inputs.is_list {
                    error.body.error = format!("text {}: {}", at + 1, error.body.error);
                }
                error
            })?;
        }
        Ok(inputs)
    }
}

/// Refuses a text of too many characters.
pub(super) fn check_length(text: &str, limit: usize) -> Result<(), ApiError> {
    // Bytes are counted faster, and there are no fewer of them.
    if text.len() <= limit || text.chars().count() <= limit {
        return Ok(());
    }
    Err(ApiError::too_large(
        "text_too_long",
        format!("the text has more than {limit} characters"),
        "send a part of it",
    ))
}

/// One text.
pub(super) fn text(value: Value) -> Result<String, ApiError> {
    let kind = match value {
        Value::String(text) => return Ok(text),
        Value::Array(mut values) => match values.len() {
            1 => match values.remove(0) {
                Value::String(text) => return Ok(text),
                _ => "a list without a text",
            },
            2 => return Err(pair()),
            0 => "an empty list",
            _ => "a list of several texts",
        },
        Value::Object(mut fields) => match (fields.remove("text"), fields.is_empty()) {
            (Some(value @ Value::String(_)), true) => return text(value),
            (Some(_), false) if fields.contains_key("text_pair") => return Err(pair()),
            _ => "an object",
        },
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
    };
    Err(ApiError::invalid(
        "not_a_text",
        format!("a text is {kind}, not a string"),
        EXAMPLE,
    ))
}

fn pair() -> ApiError {
    ApiError::invalid(
        "pair_of_texts",
        "there is a pair of texts, but this model classifies single texts",
        "send each text alone, or join the two into one",
    )
}
