//! Optimisation: updates parameters from gradients.

pub(crate) mod adamw;
mod ema;
mod gradients;
mod learning_rates;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod norm_cuda;
#[cfg(test)]
mod row_table;
pub mod schedule;
mod weights;

pub use adamw::{AdamW, AdamWConfig};
pub use ema::Ema;
pub use gradients::{Gradient, Gradients, clip_scale};
pub use learning_rates::LearningRates;
#[cfg(test)]
pub(crate) use row_table::RowTable;
pub use schedule::{Schedule, ScheduleKind};
pub use weights::Weights;
