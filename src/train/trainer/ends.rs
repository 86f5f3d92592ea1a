//! What a run is connected with.

use crate::train::ranks::Ranks;
use crate::train::report::Observer;
use crate::train::sink::Sink;
use std::time::Instant;

/// The observer, the sink and the ranks of a run.
pub(super) struct Ends<'a> {
    pub(super) sink: &'a mut dyn Sink,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) ranks: &'a mut dyn Ranks,
    /// Whether one of several ranks is to stop, as all of them know.
    pub(super) stop: bool,
    pub(super) clock: Clock,
}

impl Ends<'_> {
    /// Whether the run is to stop. Several ranks do so after the step before which they have agreed on it.
    pub(super) fn stop(&mut self) -> bool {
        match self.ranks.size() {
            1 => self.observer.stop(),
            _ => self.stop,
        }
    }
}

/// Time and tokens.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// Seconds of the run before it was resumed.
    before: f64,
    /// Number of tokens since it was started or resumed.
    pub(super) tokens: u64,
}

impl Clock {
    pub(super) fn new(before: f64) -> Self {
        Self {
            started: Instant::now(),
            before,
            tokens: 0,
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    pub(super) fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.started.elapsed().as_secs_f64()
    }
}
