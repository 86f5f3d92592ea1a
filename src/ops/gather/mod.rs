//! Row selection from a matrix, and its backward pass: the sum of gradients for each selected row.

#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
mod select;
mod used;

pub(crate) use select::select_rows;
pub use used::UsedRows;
pub(crate) use used::check_ids;
