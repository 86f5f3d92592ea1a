//! Each request in the log and in the metrics, once it is answered.

use super::super::access_log::{ClientAddress, Entry};
use super::super::app::App;
use super::super::error::Refused;
use super::answered::Answered;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

/// Counts a request for as long as it is being answered.
struct InFlight(Arc<App>);

impl InFlight {
    fn new(app: &Arc<App>) -> Self {
        app.metrics.in_flight.inc();
        Self(Arc::clone(app))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

/// A request that is not in the log yet.
pub(super) struct Begun {
    app: Arc<App>,
    began: Instant,
    route: String,
    entry: Entry,
    _in_flight: InFlight,
}

impl Begun {
    fn finish(mut self, answered: Option<&Answered>) {
        let time = self.began.elapsed();
        self.app
            .metrics
            .request(&self.route, self.entry.status, time);
        self.entry.milliseconds = (time.as_secs_f64() * 1e6).round() / 1e3;
        if let Some(answered) = answered {
            self.entry.model = Some(answered.model.clone());
            self.entry.texts = answered.measured.texts;
            self.entry.tokens = answered.measured.tokens;
            self.entry.truncated = answered.measured.truncated;
            self.entry.unknown_tokens = answered.measured.unknown_tokens;
            self.entry.inputs = answered.inputs.clone();
        }
        self.app.log.write(self.entry);
    }
}

/// In the answer of a stream: where the request is put, since only the end of the stream finishes it.
#[derive(Clone, Default)]
pub(super) struct Deferred(Arc<Mutex<Option<Begun>>>);

impl Deferred {
    /// The request to put into the log when this stream ends.
    pub(super) fn finish(&self, answered: &Answered) {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(begun) = begun {
            begun.finish(Some(answered));
        }
    }
}

/// Puts each request into the log and the metrics, and says to clients of a server that is going to end that this answer is
/// the last one of their connection.
pub(super) async fn logged(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let route = extensions
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let client = extensions.get::<ClientAddress>();
    let mut begun = Begun {
        _in_flight: InFlight::new(&app),
        began: Instant::now(),
        route: route.unwrap_or_else(|| "other".to_owned()),
        entry: Entry {
            time: Some(SystemTime::now()),
            client: client
                .map(|client| client.0.to_string())
                .unwrap_or_default(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            ..Entry::default()
        },
        app: Arc::clone(&app),
    };
    let mut response = next.run(request).await;
    begun.entry.status = response.status().as_u16();
    begun.entry.code = response
        .extensions()
        .get::<Refused>()
        .map(|refused| refused.0);
    if app.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    match response.extensions().get::<Deferred>() {
        Some(deferred) => {
            *deferred.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        }
        None => begun.finish(response.extensions().get::<Answered>()),
    }
    response
}
