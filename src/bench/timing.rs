//! Time measurements.

use crate::error::Result;
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// The times of repeated measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// The median time.
    pub median_seconds: f64,
    /// The minimum time, which is the least disturbed by other processes.
    pub minimum_seconds: f64,
    /// Number of measurements.
    pub repeats: usize,
}

impl Timing {
    /// Runs `task` unmeasured `warm_ups` times, then measures it `repeats` times (at least once).
    ///
    /// # Errors
    /// The first error of `task`.
    pub fn measure<T>(
        warm_ups: usize,
        repeats: usize,
        mut task: impl FnMut() -> Result<T>,
    ) -> Result<Self> {
        for _ in 0..warm_ups {
            black_box(task()?);
        }
        let mut seconds = Vec::new();
        for _ in 0..repeats.max(1) {
            let started = Instant::now();
            black_box(task()?);
            seconds.push(started.elapsed().as_secs_f64());
        }
        Ok(Self::of(seconds))
    }

    /// The statistics of at least one time.
    pub(super) fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_unstable_by(f64::total_cmp);
        let repeats = seconds.len();
        Self {
            median_seconds: (seconds[(repeats - 1) / 2] + seconds[repeats / 2]) / 2.0,
            minimum_seconds: seconds[0],
            repeats,
        }
    }

    /// The rate per second, if the median time is that of `count` items.
    pub fn rate(&self, count: usize) -> f64 {
        count as f64 / self.median_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_minimum() {
        let odd = Timing::of(vec![3.0, 1.0, 2.0]);
        assert_eq!(
            (odd.median_seconds, odd.minimum_seconds, odd.repeats),
            (2.0, 1.0, 3)
        );
        let even = Timing::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!(even.median_seconds, 2.5);
        assert_eq!(even.rate(10), 4.0);
    }

    #[test]
    fn warm_ups_are_run_but_not_measured() {
        let mut runs = 0;
        let timing = Timing::measure(2, 3, || {
            runs += 1;
            Ok(())
        });
        assert_eq!(timing.unwrap().repeats, 3);
        assert_eq!(runs, 5);
    }
}
