//! A step of AdamW on a GPU.

use super::{Argument, Passed, Source};

/// `struct Step` of `adamw.cu`, where its fields are explained; address 0 for none.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Step {
    pub(crate) parameter: u64,
    pub(crate) first: u64,
    pub(crate) second: u64,
    pub(crate) difference: u64,
    pub(crate) gradient: u64,
    pub(crate) rows: u64,
    pub(crate) count: u64,
    pub(crate) width: u32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) epsilon: f32,
    pub(crate) step_size: f32,
    pub(crate) root_correction: f32,
    pub(crate) keep: f32,
    pub(crate) scale: f32,
    pub(crate) average: f32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl Passed for Step {}

impl Argument for Step {
    const SOURCE: Source = Source {
        name: "adamw",
        text: include_str!("adamw.cu"),
        argument: "Step",
    };

    fn threads(&self) -> usize {
        self.count as usize
    }
}
