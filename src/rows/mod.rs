//! Rows of a matrix, picked by number, and the way back: sums of the rows that were picked from one place.

mod select;
mod used;

pub(crate) use select::{check_ids, select_rows};
pub use used::UsedRows;
