//! How long a search goes on.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of a search, at least one of which is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The time in minutes. Of a resumed search, all parts count.
    pub minutes: Option<f64>,
    /// The number of trials, that of the starting configuration included.
    pub trials: Option<usize>,
}

impl Budget {
    /// Checks the numbers.
    ///
    /// # Errors
    /// There is no limit, or one that is not above 0.
    pub(super) fn validate(&self) -> Result<()> {
        let is_time =
            |minutes: f64| minutes > 0.0 && Duration::try_from_secs_f64(60.0 * minutes).is_ok();
        let problem = match (self.minutes, self.trials) {
            (None, None) => "a search needs a number of minutes or of trials",
            (Some(minutes), _) if !is_time(minutes) => {
                "the number of minutes must be above 0 and finite"
            }
            (_, Some(0)) => "the number of trials must be above 0",
            _ => return Ok(()),
        };
        Err(Error::argument("budget", problem))
    }

    /// The time that is left after some seconds, if time is limited.
    pub(super) fn left(&self, spent: f64) -> Option<Duration> {
        let seconds = (60.0 * self.minutes? - spent).max(0.0);
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}
