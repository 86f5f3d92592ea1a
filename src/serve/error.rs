//! What a refused request is answered.

use super::compute::Failure;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub status: StatusCode,
    pub body: ErrorBody,
}

/// Why a request is refused, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// The problem, as a sentence.
    pub error: String,
    /// The kind of error as Text Embeddings Inference names it.
    pub error_type: &'static str,
    /// The problem, for programs.
    pub code: &'static str,
    /// What to do.
    pub remedy: String,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        error: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let error_type = match status {
            StatusCode::TOO_MANY_REQUESTS => "Overloaded",
            StatusCode::SERVICE_UNAVAILABLE => "Unhealthy",
            StatusCode::UNAUTHORIZED => "Unauthorized",
            status if status.is_server_error() => "Backend",
            _ => "Validation",
        };
        Self {
            status,
            body: ErrorBody {
                error: error.into(),
                error_type,
                code,
                remedy: remedy.into(),
            },
        }
    }

    /// The body is not what it should be.
    pub(super) fn invalid(
        code: &'static str,
        error: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, error, remedy)
    }

    /// Something is over a limit of the server.
    pub(super) fn too_large(
        code: &'static str,
        error: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, error, remedy)
    }

    /// The server has too much to do.
    pub(super) fn overloaded(what: &str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "overloaded",
            format!("the server has too many {what} at the moment"),
            "try again after the seconds of the header Retry-After",
        )
    }

    /// The body or a part of it took too long.
    pub(super) fn timeout(seconds: u64) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the body has not arrived within {seconds} seconds"),
            "send it faster, or in smaller requests",
        )
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the token is missing or wrong",
            "send the header `Authorization: Bearer TOKEN` with the token of the server",
        )
    }

    pub(super) fn no_model(name: &str, names: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_model",
            format!("there is no model {name:?}"),
            format!("the models are {names}"),
        )
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let bug = "report it, with the text if you can";
        match failure {
            Failure::Ended => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ended",
                "the server is ending",
                "try again when it is back",
            ),
            Failure::Error(error) => Self::invalid("failed", error.to_string(), bug),
            Failure::Panic => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "bug",
                "this is a bug in birnn",
                bug,
            ),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let code = self.body.code;
        let mut response = (status, axum::Json(self.body)).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // The rest of the body is still on its way.
            StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Refused(code));
        response
    }
}

/// The code of the error, for log and metrics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(pub &'static str);
