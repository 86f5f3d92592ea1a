//! Training: one loop for all models.
//!
//! A [`Task`] is a model with its texts: it makes batches, computes gradients, and evaluates. A [`Trainer`] runs it:
//! epochs, accumulation, the best epoch, early stopping, and state for resuming. It prints and writes nothing itself:
//! an [`Observer`] follows the run and can stop it, and a [`Sink`] stores the results, in a
//! [`RunDirectory`](crate::checkpoint::RunDirectory) or only in memory ([`InMemory`]).
//!
//! All random numbers are keyed by seed and position, so that a resumed run ends with the same bytes as an
//! uninterrupted one.
//!
//! | module | what it trains |
//! |---|---|
//! | [`classifier`] | a classifier, from labels or soft labels |
//! | [`language`] | a language model, from texts alone |
//!
//! [`ranks`] is what several machines make of it.

pub mod classifier;
pub mod language;
mod log;
pub mod ranks;
mod report;
mod sink;
mod task;
mod trainer;

pub use log::read_log;
pub use report::{EpochReport, Event, FirstReport, Observer, Outcome, StepReport, TestReport};
pub use sink::{BestWeights, InMemory, Nowhere, Sink};
pub use task::{Collator, StepMetrics, Task, Validation};
pub use trainer::Trainer;
