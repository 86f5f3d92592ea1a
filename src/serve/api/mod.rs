//! The interface: what is asked and answered.

mod answered;
mod body;
mod explain;
mod fields;
mod hold;
mod information;
mod inputs;
mod lines;
mod logged;
mod name;
mod openapi;
mod pipeline;
mod predict;
mod schema;
mod token;
mod unread;

use openapi::{NoModel, Refusals, Unauthorized};

use super::app::App;
use super::error::ApiError;
use super::settings::ServeSettings;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any as AnyOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All routes.
pub(super) fn router(app: &Arc<App>) -> Router {
    let (router, api) = OpenApiRouter::new()
        .routes(routes!(predict::predict))
        .routes(routes!(predict::predict_with_model))
        .routes(routes!(pipeline::pipeline))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::explain_with_model))
        .routes(routes!(information::info))
        .routes(routes!(information::list_models))
        .routes(routes!(information::one_model))
        .routes(routes!(information::metrics))
        // As other servers have them, without a version.
        .route(openapi::PREDICT, post(predict::predict))
        .route(openapi::EXPLAIN, post(explain::explain))
        .split_for_parts();
    let (open, open_api) = OpenApiRouter::new()
        .routes(routes!(information::health))
        .routes(routes!(information::ready))
        .routes(routes!(page))
        .split_for_parts();
    let document = openapi::document(api.merge_from(open_api), &app.settings);
    let document = predict::json(&document);
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let document = get(move || async move { ([kind], document).into_response() });
    let router = router
        .layer(from_fn_with_state(Arc::clone(app), token::check))
        // The page and the description have nothing that needs a token.
        .merge(open)
        .route("/openapi.json", document)
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(with_headers));
    let router = match cors(&app.settings) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(Arc::clone(app), logged::logged))
        .with_state(Arc::clone(app))
}

/// A page to try it.
#[utoipa::path(
    get, path = "/", operation_id = "page", tag = "operation",
    responses((status = 200, description = "The page", content_type = "text/html", body = String))
)]
async fn page(State(app): State<Arc<App>>) -> Response {
    app.page.response()
}

async fn not_found(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is nothing at {}", request.uri().path()),
        "see /openapi.json for what there is",
    )
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        format!("{} is not possible here", request.method()),
        "see the header Allow, and /openapi.json",
    )
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::from(super::compute::Failure::Panic).into_response()
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Pages of which origins may ask; `None` for none but the server's own.
fn cors(settings: &ServeSettings) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .expose_headers(
            (answered::HEADERS.into_iter().map(HeaderName::from_static))
                .chain([header::RETRY_AFTER])
                .collect::<Vec<_>>(),
        )
        .max_age(Duration::from_secs(600));
    match &settings.cors_origins[..] {
        [] => None,
        origins if origins.iter().any(|origin| origin == "*") => {
            Some(layer.allow_origin(AnyOrigin))
        }
        origins => {
            let origins = origins
                .iter()
                .filter_map(|origin| HeaderValue::from_str(origin).ok());
            Some(layer.allow_origin(AllowOrigin::list(origins)))
        }
    }
}
