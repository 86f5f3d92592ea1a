//! The most probable class.

use crate::error::Result;
use candle_core::Tensor;

/// The class with the highest logit in each row of [B, classes]; the first one if there are
/// several.
///
/// # Errors
/// A tensor of another rank or type.
pub fn argmax_rows(logits: &Tensor) -> Result<Vec<usize>> {
    let rows: Vec<Vec<f32>> = logits.to_vec2()?;
    Ok(rows.iter().map(|row| argmax(row)).collect())
}

/// The index of the highest value; the first one if there are several.
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
