//! Views that split the results of a bidirectional stack.
//!
//! The two halves are views of the same memory; nothing is copied. For a single step the split
//! output equals the split state of the last layer.

use crate::error::{Error, Result};
use candle_core::Tensor;

/// An output [.., D*H] as [.., D, H]: index 0 is the forward direction, 1 the reverse one.
///
/// # Errors
/// A last dimension that is not a multiple of `directions`.
pub fn split_output(output: &Tensor, directions: usize) -> Result<Tensor> {
    let mut dims = output.dims().to_vec();
    match dims.pop() {
        Some(width) if directions > 0 && width % directions == 0 => {
            dims.extend([directions, width / directions]);
            Ok(output.reshape(dims)?)
        }
        _ => Err(Error::argument(
            "output",
            format!(
                "shape {:?} cannot be split into {directions} directions",
                output.dims()
            ),
        )),
    }
}

/// A state [L*D, B, H] as [L, D, B, H].
///
/// # Errors
/// A first dimension that is not a multiple of `directions`.
pub fn split_state(state: &Tensor, directions: usize) -> Result<Tensor> {
    let Ok((rows, batch, hidden)) = state.dims3() else {
        let problem = format!("shape {:?}, expected [L*D, B, H]", state.dims());
        return Err(Error::argument("state", problem));
    };
    if directions == 0 || rows % directions != 0 {
        return Err(Error::argument(
            "state",
            format!(
                "shape {:?} cannot be split into {directions} directions",
                state.dims()
            ),
        ));
    }
    Ok(state.reshape((rows / directions, directions, batch, hidden))?)
}
