//! Ranks that are threads of one process: what several machines do, without them.

use super::Ranks;
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The time between two looks of a waiting rank whether it is to go on waiting.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// A rank that is a thread.
#[derive(Debug)]
pub struct ThreadRanks {
    rank: usize,
    meeting: Arc<Meeting>,
    received: u64,
    /// The number of the next exchange.
    next: u64,
}

#[derive(Debug)]
struct Meeting {
    size: usize,
    places: Mutex<Vec<Place>>,
    changed: Condvar,
}

/// What a rank has given, in order; as long as others need it.
#[derive(Debug, Default, Clone)]
struct Place {
    given: Vec<(u64, Arc<Vec<u8>>)>,
    /// The number of exchanges that this rank has left.
    left: u64,
    /// Whether the rank is gone, and gives no more.
    is_gone: bool,
}

/// Others need not wait for a rank that has ended, with an error for example.
impl Drop for ThreadRanks {
    fn drop(&mut self) {
        let places = self.meeting.places.lock();
        places.unwrap_or_else(PoisonError::into_inner)[self.rank].is_gone = true;
        self.meeting.changed.notify_all();
    }
}

impl ThreadRanks {
    /// This number of ranks. Each must be used in a pool of threads of its own, as ranks wait for each other.
    ///
    /// # Panics
    /// The number is 0.
    #[must_use]
    pub fn new(size: usize) -> Vec<Self> {
        assert!(size > 0, "there is at least one rank");
        let meeting = Arc::new(Meeting {
            size,
            places: Mutex::new(vec![Place::default(); size]),
            changed: Condvar::new(),
        });
        (0..size)
            .map(|rank| Self {
                rank,
                meeting: meeting.clone(),
                received: 0,
                next: 0,
            })
            .collect()
    }
}

impl Ranks for ThreadRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn all_gather(
        &mut self,
        own: &[u8],
        waiting: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u8>>> {
        let number = self.next;
        self.next += 1;
        let Meeting {
            places, changed, ..
        } = &*self.meeting;
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        places[self.rank]
            .given
            .push((number, Arc::new(own.to_vec())));
        changed.notify_all();
        let all: Vec<Arc<Vec<u8>>> = loop {
            let of = |place: &Place| {
                let found = place.given.iter().find(|(of, _)| *of == number);
                found.map(|(_, bytes)| bytes.clone())
            };
            if let Some(all) = places.iter().map(of).collect() {
                break all;
            }
            let has_given = |place: &Place| place.given.iter().any(|(of, _)| *of == number);
            if let Some(rank) = places
                .iter()
                .position(|place| place.is_gone && !has_given(place))
            {
                // Where a signal has ended that rank, this one may have received one, too.
                let _ = waiting();
                return Err(Error::Ranks {
                    problem: format!("rank {rank} has ended before the others"),
                    remedy: "see what it says itself".to_owned(),
                });
            }
            let waited = changed.wait_timeout(places, BETWEEN_LOOKS);
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
            if waiting().is_break() {
                return Err(Error::Stopped);
            }
        };
        places[self.rank].left = number + 1;
        let left = places.iter().map(|place| place.left).min().unwrap_or(0);
        for place in places.iter_mut() {
            place.given.retain(|(of, _)| *of >= left);
        }
        let others = all
            .iter()
            .enumerate()
            .filter(|(rank, _)| *rank != self.rank);
        self.received += others.map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        Ok(all.iter().map(|bytes| bytes.to_vec()).collect())
    }

    fn received(&self) -> u64 {
        self.received
    }
}
