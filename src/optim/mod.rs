//! From gradients to the next parameters.

mod adamw;
mod ema;
mod gradients;

pub use adamw::{AdamW, AdamWConfig};
pub use ema::Ema;
pub use gradients::{Gradient, Gradients, RowTable, clip_scale};
