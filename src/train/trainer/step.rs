//! One optimizer step, of all ranks.

use super::Trainer;
use super::ends::Ends;
use super::finite::check_finite;
use crate::error::Result;
use crate::optim::{Gradients, Schedule};
use crate::train::ranks::{StepBatches, agree, check_parameters, gradients};
use crate::train::report::StepReport;
use crate::train::task::{StepMetrics, Task};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// The number of steps after which the ranks of a run compare their parameters again.
const BETWEEN_COMPARISONS: u64 = 100;
/// How long a rank that is to stop waits for others before it gives them up.
const PATIENCE: Duration = Duration::from_secs(5);

impl<T: Task> Trainer<T> {
    /// One optimizer step over some batches.
    pub(super) fn step(
        &mut self,
        batches: &StepBatches<T::Batch>,
        schedule: &Schedule,
        ends: &mut Ends,
    ) -> Result<StepReport> {
        let step = self.state.step + 1;
        let (gradients, metrics) = self.gradients(batches, ends)?;
        check_finite("loss", metrics.loss, step)?;
        let learning_rate = schedule.rate(self.state.step);
        let epochs = self.state.step as f64 / schedule.steps as f64 * self.config.epochs as f64;
        let gradient_norm = self.task.update(gradients, learning_rate, epochs)?;
        check_finite("gradient norm", gradient_norm, step)?;
        let StepMetrics {
            loss,
            examples,
            correct,
            tokens,
        } = metrics;
        ends.clock.tokens += tokens;
        let state = &mut self.state;
        state.step = step;
        state.batches += batches.all as u64;
        state.batch_in_epoch += batches.all as u64;
        state.epoch_loss += loss;
        state.epoch_correct += correct.unwrap_or_default();
        state.epoch_examples += examples;
        Ok(StepReport {
            epoch: state.epoch + 1,
            step,
            steps: schedule.steps,
            loss: state.mean_loss(),
            accuracy: correct.map(|_| state.accuracy()),
            gradient_norm,
            learning_rate,
            tokens_per_second: ends.clock.tokens_per_second(),
        })
    }

    /// The gradients of a step, of which each rank computes its part, and the sums over its batches.
    fn gradients(
        &self,
        batches: &StepBatches<T::Batch>,
        ends: &mut Ends,
    ) -> Result<(Gradients, StepMetrics)> {
        let Ends {
            sink,
            observer,
            ranks,
            clock,
            ..
        } = ends;
        let is_first = ranks.rank() == 0;
        let stop = observer.stop();
        // While others are waited for, the parameters are those after the last step. What has sent the signal may end this
        // process soon, so they are saved at once.
        let mut is_saved = false;
        let mut to_stop: Option<Instant> = None;
        let mut waiting = || {
            if !observer.stop() {
                return ControlFlow::Continue(());
            }
            let since = *to_stop.get_or_insert_with(|| {
                is_saved = is_first && self.save_snapshot(*sink, clock).is_ok();
                Instant::now()
            });
            if since.elapsed() < PATIENCE {
                return ControlFlow::Continue(());
            }
            if is_saved {
                observer.left_alone(self.state.step);
            }
            ControlFlow::Break(())
        };
        if self.state.step.is_multiple_of(BETWEEN_COMPARISONS) && self.state.step > 0 {
            check_parameters(&self.task, self.state.step, *ranks, &mut waiting)?;
        }
        let agreed = agree(&self.task, batches, stop, *ranks, &mut waiting)?;
        let device = self.task.weights().parameters().device();
        let found = gradients(
            &self.task,
            batches,
            &agreed.weights,
            device,
            *ranks,
            &mut waiting,
        )?;
        ends.stop |= agreed.stop;
        Ok(found)
    }
}
