//! Layers whose cells are not those of the kernels: with a projection, layer normalisation, zoneout, dropout in the
//! recurrence, hard gates, or a reset gate before the product.
//!
//! The equations of a step are written once, in tensor operations ([`cell`]), and Candle differentiates them, one step
//! at a time: a layer is one graph node ([`node`]) that keeps the small graph of each step, and goes through them from
//! the last to the first. So the cost grows with the number of steps, not with its square as that of one graph over
//! all steps. They run on every device, in every floating-point type.

mod cell;
mod node;
mod weights;

pub(super) use cell::{Masks, Rules};
pub(super) use node::VariantLayer;
pub(super) use weights::{LayerNorm, Norms, VariantWeights};
