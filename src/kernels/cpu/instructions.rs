//! The instruction sets that a kernel can be compiled for, and which of them this machine has.

use pulp::{Arch, WithSimd};

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub(super) struct InstructionSet(Arch);

impl InstructionSet {
    /// Every instruction set of this machine, the best first, plain arithmetic last.
    pub(super) fn available() -> Vec<Self> {
        let best = Arch::new();
        let mut sets = vec![best];
        #[cfg(target_arch = "x86_64")]
        if let (Arch::V4(_), Some(avx2)) = (best, pulp::x86::V3::try_new()) {
            sets.push(Arch::V3(avx2));
        }
        if !matches!(best, Arch::Scalar) {
            sets.push(Arch::Scalar);
        }
        sets.into_iter().map(Self).collect()
    }

    /// The short name for people: `avx512`.
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => "neon",
            Arch::Scalar => "scalar",
            // There may be more.
            _ => "simd",
        }
    }

    /// Runs an operation compiled for this instruction set.
    pub(super) fn run<Op: WithSimd>(self, operation: Op) -> Op::Output {
        self.0.dispatch(operation)
    }
}
