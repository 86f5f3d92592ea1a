//! Training: one loop for every model.
//!
//! A [`Task`] is a model with its texts: it makes batches, takes gradients, and evaluates. A [`Trainer`] runs it: epochs,
//! accumulation, the best epoch, patience, states to go on from. It prints and writes nothing itself: an [`Observer`]
//! follows the run and may end it, and a [`Sink`] takes what it produces, into a
//! [`RunDirectory`](crate::checkpoint::RunDirectory) or only into memory ([`InMemory`]).
//!
//! Everything random is keyed by seed and position, so that a resumed run ends with the bytes of an uninterrupted one.
//!
//! | module | what it trains |
//! |---|---|
//! | [`classifier`] | a classifier, from labels or soft labels |
//! | [`language`] | a language model, from texts alone |

pub mod classifier;
pub mod language;
mod report;
mod sink;
mod task;
mod trainer;

pub use report::{EpochReport, Event, Observer, Outcome, StepReport};
pub use sink::{BestWeights, InMemory, Sink};
pub use task::{Collator, StepMetrics, Task, Validation};
pub use trainer::Trainer;
