//! The instruction sets for which code can be compiled, and those of this machine.

use pulp::{Arch, WithSimd};
use std::fmt;
use std::sync::OnceLock;

/// An instruction set of this machine.
#[derive(Clone, Copy)]
pub struct InstructionSet(Arch);

/// The instruction set that [`InstructionSet::current`] has returned or [`InstructionSet::choose`]
/// has set.
static CURRENT: OnceLock<InstructionSet> = OnceLock::new();

impl InstructionSet {
    /// Every instruction set of this machine, the best first, plain arithmetic last.
    pub fn available() -> Vec<Self> {
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

    /// The instruction set that this process uses: the best, unless another one was chosen.
    pub fn current() -> Self {
        *CURRENT.get_or_init(|| Self::available()[0])
    }

    /// Selects the instruction set of this process. Returns `false` if another one is already in
    /// use: it must be chosen before anything is computed.
    pub fn choose(self) -> bool {
        CURRENT.get_or_init(|| self).name() == self.name()
    }

    /// The short display name: `avx512`, `avx2`, `neon`, `scalar`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => "neon",
            Arch::Scalar => "scalar",
            // `pulp` may support more.
            _ => "simd",
        }
    }

    /// Whether a multiplication and an addition are fused, with a single rounding.
    pub fn fuses(self) -> bool {
        !matches!(self.0, Arch::Scalar)
    }

    /// Runs an operation compiled for this instruction set: one that is generic over registers, or
    /// a [`pulp::NullaryFnOnce`] of plain code.
    pub fn run<Op: WithSimd>(self, operation: Op) -> Op::Output {
        self.0.dispatch(operation)
    }
}

impl fmt::Debug for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_comes_first_and_plain_arithmetic_last() {
        let names: Vec<_> = InstructionSet::available()
            .into_iter()
            .map(InstructionSet::name)
            .collect();
        assert_eq!(names.last(), Some(&"scalar"));
        assert_eq!(InstructionSet::current().name(), names[0]);
        assert!(InstructionSet::available()[0].choose());
        // Choosing too late fails.
        let last = InstructionSet::available()[names.len() - 1];
        assert_eq!(last.choose(), names.len() == 1);
    }
}
