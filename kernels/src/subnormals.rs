//! Numbers that are treated as zero, so that none becomes subnormal.
//!
//! A gradient that is propagated back over hundreds of steps shrinks by a factor at each. Unchecked, it ends among the
//! subnormal numbers, below 1.2e-38, which do not affect any sum but cost an Intel core over a hundred cycles per
//! operation: a training step took ten times as long there. So the values that are carried from step to step, the
//! inputs of gradient sums, and the optimizer's state are *flushed*: a magnitude below [`SMALLEST_KEPT`] becomes zero.
//!
//! The alternative, the processor's flush-to-zero mode, is not available to Rust: compiled code may assume the default
//! mode (see `std::arch::x86_64::_mm_setcsr`). It would also have to be set and restored in every task of every thread
//! pool, and would affect the caller's own operations. A comparison and a mask per register avoid all of this.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Magnitudes below this are treated as zero: 2^-95, about 2.5e-29.
///
/// It is 2^31 times the smallest normal number. So the product of a number that is kept and a weight or an activation
/// of 2^-31 (4.7e-10) or more is normal; and so is every sum and difference of numbers that are kept, as all of them
/// are multiples of 2^-118.
pub const SMALLEST_KEPT: f32 = f32::from_bits((127 - 95) << 23);

/// Zero if the magnitude is below [`SMALLEST_KEPT`], else the number unchanged, including NaN.
#[inline(always)]
pub fn flushed(value: f32) -> f32 {
    flushed_below(SMALLEST_KEPT, value)
}

/// Zero if the magnitude is below `smallest`, else the number unchanged, including NaN.
#[inline(always)]
pub fn flushed_below(smallest: f32, value: f32) -> f32 {
    if value.abs() < smallest { 0.0 } else { value }
}

/// A kind of a layer's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The activations that the forward pass saves for the backward pass: outputs, cell states, gates.
    Saved,
    /// The gradients of the state that are carried from step to step.
    Carried,
    /// The gradients of the gates' pre-activations.
    Sums,
    /// The gradients of inputs, parameters and initial states.
    Gradients,
}

/// Counts of numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All numbers.
    pub numbers: u64,
    /// The subnormal ones.
    pub subnormal: u64,
}

impl Count {
    /// Counts more numbers.
    pub fn add(&mut self, values: &[f32]) {
        self.numbers += values.len() as u64;
        self.subnormal += values.iter().filter(|value| value.is_subnormal()).count() as u64;
    }
}

impl Place {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Saved, Self::Carried, Self::Sums, Self::Gradients];
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNTS: Mutex<[Count; Place::ALL.len()]> = Mutex::new(
    [Count {
        numbers: 0,
        subnormal: 0,
    }; Place::ALL.len()],
);

/// Runs a function and counts the numbers that the layers of this process compute in the meantime; returns its result
/// and the counts in the order of [`Place::ALL`]. Only one thread may use it at a time; layers are slower while it
/// runs.
pub fn counted<T>(run: impl FnOnce() -> T) -> (T, [Count; Place::ALL.len()]) {
    let counts = || COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    *counts() = Default::default();
    COUNTING.store(true, Ordering::SeqCst);
    let result = run();
    COUNTING.store(false, Ordering::SeqCst);
    let found = *counts();
    (result, found)
}

/// Counts these numbers while [`counted`] runs.
#[inline]
pub(crate) fn note(place: Place, values: &[f32]) {
    #[cold]
    fn count(place: Place, values: &[f32]) {
        let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        counts[place as usize].add(values);
    }
    if COUNTING.load(Ordering::Relaxed) {
        count(place, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_become_zero_and_others_stay() {
        assert_eq!(SMALLEST_KEPT, 2f32.powi(-95));
        let below = SMALLEST_KEPT.next_down();
        for value in [below, -below, f32::MIN_POSITIVE / 2.0, 0.0, -0.0] {
            assert_eq!(flushed(value).to_bits(), 0);
        }
        for value in [SMALLEST_KEPT, -SMALLEST_KEPT, 1.0, f32::INFINITY] {
            assert_eq!(flushed(value), value);
        }
        assert!(flushed(f32::NAN).is_nan());
    }

    #[test]
    fn the_smallest_difference_of_what_is_kept_is_normal() {
        let difference = SMALLEST_KEPT.next_up() - SMALLEST_KEPT;
        assert!(difference.is_normal());
        assert!((SMALLEST_KEPT * 2f32.powi(-31)).is_normal());
    }

    #[test]
    fn numbers_are_counted_only_on_request() {
        note(Place::Carried, &[1e-39]);
        let values = [0.0, 1e-39, 1.0, -1e-45, f32::NAN];
        let ((), counts) = counted(|| note(Place::Carried, &values));
        let expected = Count {
            numbers: 5,
            subnormal: 2,
        };
        assert_eq!(counts[Place::Carried as usize], expected);
        assert_eq!(counts[Place::Saved as usize], Count::default());
    }
}
