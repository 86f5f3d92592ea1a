//! Files that are written whole or not at all, and a folder for what can be made again.
//!
//! | module | what it holds |
//! |---|---|
//! | `atomic` | files and folders that appear as a whole |
//! | `disk` | the operations beneath, which tests let fail |
//! | `gzip` | unpacking |
//! | [`cache`] | what was computed from texts, found again by its hash |

pub(crate) mod atomic;
pub mod cache;
pub(crate) mod disk;
pub(crate) mod gzip;
