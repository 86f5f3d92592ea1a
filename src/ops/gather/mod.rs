//! Rows of a matrix, picked by number, and the backward pass: sums of the rows that were picked from one place.

#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
mod select;
mod used;

pub(crate) use select::select_rows;
pub use used::UsedRows;
pub(crate) use used::check_ids;
