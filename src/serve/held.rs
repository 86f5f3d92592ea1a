//! What a request holds: its permits and its share of memory. All of it is given back when nothing of the request is left:
//! neither its texts, also those that nobody waits for any more, nor its answer.

use super::app::App;
use super::error::ApiError;
use super::metrics::Counted;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedSemaphorePermit;

/// What a request holds.
pub(super) struct Held {
    _in_flight: Arc<Counted>,
    _request: OwnedSemaphorePermit,
    _explanation: Option<OwnedSemaphorePermit>,
    /// As many permits as bytes.
    room: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Held {
    /// The permits of a request, or of one for explanations.
    ///
    /// # Errors
    /// As many requests as may be are being answered.
    pub(super) fn new(
        app: &App,
        in_flight: Arc<Counted>,
        explains: bool,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            _in_flight: in_flight,
            _request: app.permit()?,
            _explanation: explains.then(|| app.permit_to_explain()).transpose()?,
            room: Mutex::new(None),
        })
    }

    /// Takes room for so many bytes more.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn take_room(&self, app: &App, bytes: usize) -> Result<(), ApiError> {
        let more = app.room(bytes)?;
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *room {
            Some(room) => room.merge(more),
            None => *room = Some(more),
        }
        Ok(())
    }

    /// Gives back the room for all bytes but so many.
    pub(super) fn keep_room(&self, bytes: usize) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = &mut *room {
            drop(room.split(room.num_permits().saturating_sub(bytes)));
        }
    }

    /// Bytes of the answer, for which everything is held until they are sent.
    pub(super) fn bytes(self: &Arc<Self>, bytes: Vec<u8>) -> Bytes {
        struct Owned(Vec<u8>, #[expect(dead_code, reason = "held")] Arc<Held>);
        impl AsRef<[u8]> for Owned {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Owned(bytes, Arc::clone(self)))
    }
}
