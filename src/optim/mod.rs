//! From gradients to the next parameters.

mod adamw;
mod ema;
mod gradients;
mod rates;
mod weights;

pub use adamw::{AdamW, AdamWConfig};
pub use ema::Ema;
pub use gradients::{Gradient, Gradients, RowTable, clip_scale};
pub use rates::Rates;
pub use weights::Weights;
