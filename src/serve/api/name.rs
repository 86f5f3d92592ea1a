//! The name of a model in a path.

use super::super::app::App;
use super::super::error::ApiError;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::sync::Arc;

/// The name of a model in a path.
pub(super) struct Name(pub String);

impl FromRequestParts<Arc<App>> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, app).await {
            Ok(Path(name)) => Ok(Self(name)),
            // It is not UTF-8, and so none of the models.
            Err(_) => Err(app.no_model(parts.uri.path())),
        }
    }
}
