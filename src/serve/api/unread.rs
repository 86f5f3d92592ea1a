//! What is left of a body when its request is answered.
//!
//! Its sender may be sending still, and only then read the answer. Without anybody who reads, the connection would be closed
//! and the answer lost; so the rest is read and thrown away, for some time and up to some length.

use super::super::app::App;
use super::body::next;
use axum::Error;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// So many times the limit of a body.
const LENGTH: usize = 8;
const TIME: Duration = Duration::from_secs(5);

/// A body that is read to its end, also if nobody wants it.
pub(super) struct Unread {
    body: Option<Body>,
    app: Arc<App>,
}

impl Unread {
    pub(super) fn wrap(body: Body, app: &Arc<App>) -> Body {
        if body.is_end_stream() {
            return body;
        }
        Body::new(Self {
            body: Some(body),
            app: Arc::clone(app),
        })
    }
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.as_ref();
        body.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else {
            return;
        };
        if let (Some(place), Ok(runtime)) = (self.app.place_to_discard(), Handle::try_current()) {
            let most = self.app.settings.max_body.saturating_mul(LENGTH);
            runtime.spawn(discard(body, most, place));
        }
    }
}

async fn discard(mut body: Body, most: usize, _place: OwnedSemaphorePermit) {
    let read = async {
        let mut length = 0;
        while let Ok(Some(data)) = next(&mut body).await {
            length += data.len();
            if length > most {
                return;
            }
        }
    };
    let _ = timeout(TIME, read).await;
}
