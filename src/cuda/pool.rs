//! Poolings of a ragged batch on a GPU.

use super::{Argument, Passed, Source};

/// `struct Pool` of `pool.cu`, where its fields are explained.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Pool {
    pub(crate) output: u64,
    pub(crate) pooled: u64,
    pub(crate) winners: u64,
    pub(crate) offsets: u64,
    pub(crate) lengths: u64,
    pub(crate) batch: u32,
    pub(crate) width: u32,
    pub(crate) hidden: u32,
    pub(crate) total: u32,
    pub(crate) column: u32,
    pub(crate) kind: u32,
    pub(crate) add: u32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl Passed for Pool {}

impl Argument for Pool {
    const SOURCE: Source = Source {
        name: "pool",
        text: include_str!("pool.cu"),
        argument: "Pool",
    };

    fn threads(&self) -> usize {
        self.batch as usize * self.width as usize
    }
}
