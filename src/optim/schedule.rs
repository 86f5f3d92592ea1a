//! Learning rates as functions of the step.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate from the end of the warm-up to the end of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleKind {
    /// Constant.
    Constant,
    /// Decays linearly to zero.
    Linear,
    /// Decays to zero along half a cosine (Loshchilov and Hutter 2017, one period).
    Cosine,
    /// Rises from 1/25 of the peak over the warm-up and decays to 1/250,000 of it, both along half
    /// a cosine (Smith 2018, with the constants of PyTorch's `OneCycleLR`).
    OneCycle,
}

/// A learning rate over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The shape.
    pub kind: ScheduleKind,
    /// The highest learning rate.
    pub peak: f64,
    /// The share of all steps for warm-up, over which the rate rises linearly from zero, except for
    /// [`ScheduleKind::OneCycle`].
    pub warmup: f64,
    /// Number of steps.
    pub steps: u64,
}

impl Schedule {
    /// The learning rate of optimizer step `step`, from 0.
    pub fn rate(&self, step: u64) -> f64 {
        let warmup = self.warmup * self.steps as f64;
        let step = step as f64;
        if step < warmup {
            let share = (step + 1.0) / (warmup + 1.0);
            return match self.kind {
                ScheduleKind::OneCycle => blend(self.peak / 25.0, self.peak, share),
                _ => self.peak * share,
            };
        }
        let rest = (self.steps as f64 - warmup).max(1.0);
        let share = ((step - warmup) / rest).min(1.0);
        match self.kind {
            ScheduleKind::Constant => self.peak,
            ScheduleKind::Linear => self.peak * (1.0 - share),
            ScheduleKind::Cosine => blend(self.peak, 0.0, share),
            ScheduleKind::OneCycle => blend(self.peak, self.peak / 25.0 / 1e4, share),
        }
    }
}

/// From `start` to `end` along half a cosine.
fn blend(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) * (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learning_rates(kind: ScheduleKind, warmup: f64, steps: &[u64]) -> Vec<f64> {
        let schedule = Schedule {
            kind,
            peak: 1.0,
            warmup,
            steps: 10,
        };
        steps.iter().map(|&step| schedule.rate(step)).collect()
    }

    fn assert_rates(actual: Vec<f64>, expected: &[f64]) {
        for (actual, expected) in actual.iter().zip(expected) {
            assert!((actual - expected).abs() < 1e-6, "{actual} for {expected}");
        }
    }

    #[test]
    fn worked_out_by_hand() {
        let steps = [0, 5, 9];
        assert_rates(
            learning_rates(ScheduleKind::Constant, 0.0, &steps),
            &[1., 1., 1.],
        );
        assert_rates(
            learning_rates(ScheduleKind::Linear, 0.0, &steps),
            &[1., 0.5, 0.1],
        );
        let cosine_9 = (1.0 + (0.9 * std::f64::consts::PI).cos()) / 2.0;
        assert_rates(
            learning_rates(ScheduleKind::Cosine, 0.0, &steps),
            &[1., 0.5, cosine_9],
        );
        // Two of ten steps of warm-up: 1/3, 2/3, then the peak.
        let steps = [0, 1, 2, 6, 10];
        assert_rates(
            learning_rates(ScheduleKind::Linear, 0.2, &steps),
            &[1. / 3., 2. / 3., 1., 0.5, 0.],
        );
        let rising = 0.04 + 0.96 * 0.25; // half a cosine at 1/3 is a quarter of the way
        assert_rates(
            learning_rates(ScheduleKind::OneCycle, 0.2, &steps),
            &[rising, 0.04 + 0.96 * 0.75, 1., 0.500002, 0.000004],
        );
    }
}
