//! Each request in the log and in the metrics, once it is answered.

use super::super::access_log::{ClientAddress, Entry};
use super::super::app::App;
use super::super::error::Refused;
use super::super::metrics::Counted;
use super::answered::Answered;
use super::unread::Unread;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

/// A request that is not in the log yet. It comes into it when this is dropped, also if its client has left before there was
/// an answer.
pub(super) struct Begun {
    app: Arc<App>,
    began: Instant,
    route: String,
    entry: Entry,
    _in_flight: Arc<Counted>,
}

/// The status of a request whose client has left, as nginx has it.
const CLIENT_LEFT: u16 = 499;

impl Begun {
    fn finish(mut self, answered: Option<Answered>) {
        if let Some(answered) = answered {
            self.entry.model = Some(answered.model);
            self.entry.texts = answered.measured.texts;
            self.entry.tokens = answered.measured.tokens;
            self.entry.truncated = answered.measured.truncated;
            self.entry.unknown_tokens = answered.measured.unknown_tokens;
            self.entry.inputs = answered.inputs;
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut entry = std::mem::take(&mut self.entry);
        if entry.status == 0 {
            entry.status = CLIENT_LEFT;
            entry.code = Some("client_left");
        }
        let time = self.began.elapsed();
        self.app.metrics.request(&self.route, entry.status, time);
        entry.milliseconds = (time.as_secs_f64() * 1e6).round() / 1e3;
        self.app.log.write(entry);
    }
}

/// In the answer of a stream: where the request is put, since only the end of the stream finishes it.
#[derive(Clone, Default)]
pub(super) struct Deferred(Arc<Mutex<Option<Begun>>>);

impl Deferred {
    /// The request to put into the log when this stream ends.
    pub(super) fn finish(&self, answered: Answered) {
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
    let route = extensions.get::<MatchedPath>();
    let route = route.map_or("other", MatchedPath::as_str).to_owned();
    let client = extensions.get::<ClientAddress>();
    let client = client.map(|client| client.0.to_string());
    let in_flight = app.metrics.begin();
    let mut begun = Begun {
        _in_flight: Arc::clone(&in_flight),
        began: Instant::now(),
        route,
        entry: Entry {
            time: Some(SystemTime::now()),
            client: client.unwrap_or_default(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            ..Entry::default()
        },
        app: Arc::clone(&app),
    };
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(in_flight);
    let request = Request::from_parts(parts, Unread::wrap(body, &app));
    let mut response = next.run(request).await;
    begun.entry.status = response.status().as_u16();
    let extensions = response.extensions_mut();
    begun.entry.code = extensions.get::<Refused>().map(|refused| refused.0);
    match extensions.remove::<Deferred>() {
        Some(deferred) => {
            *deferred.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        }
        None => begun.finish(extensions.remove::<Answered>()),
    }
    if app.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
