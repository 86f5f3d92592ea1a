//! Atomic writing of files, and a cache of results that can be computed again.
//!
//! | module | what it holds |
//! |---|---|
//! | `atomic` | files and folders that are written atomically |
//! | `disk` | the underlying operations, which can fail in tests |
//! | `mapped` | files as bytes in memory |
//! | `temporary` | bytes that wait in a file instead of memory |
//! | `unpack` | decompression |
//! | [`cache`] | results computed from texts, looked up by their hash |

pub(crate) mod atomic;
pub mod cache;
pub(crate) mod disk;
pub(crate) mod mapped;
pub(crate) mod temporary;
pub(crate) mod unpack;
