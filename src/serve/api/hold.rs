//! The permits of a request, which it gets before its body is read.

use super::super::app::App;
use super::super::error::ApiError;
use super::super::held::Held;
use super::super::metrics::Counted;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;

/// The permits of a request.
pub(super) struct Hold(pub Held);

/// The permits of a request for explanations.
pub(super) struct HoldToExplain(pub Held);

fn held(parts: &Parts, app: &App, explains: bool) -> Result<Held, ApiError> {
    let in_flight = parts.extensions.get::<Arc<Counted>>();
    let in_flight = in_flight.map_or_else(|| app.metrics.begin(), Arc::clone);
    Held::new(app, in_flight, explains)
}

impl FromRequestParts<Arc<App>> for Hold {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        held(parts, app, false).map(Self)
    }
}

impl FromRequestParts<Arc<App>> for HoldToExplain {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        held(parts, app, true).map(Self)
    }
}
