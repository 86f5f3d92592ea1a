//! Numbers that are treated as zero, so that none becomes subnormal.
//!
//! A gradient that passes back over hundreds of steps shrinks by a factor at each. Left alone it
//! ends among the subnormal numbers, below 1.2e-38, which carry no weight in any sum but cost an
//! Intel core over a hundred cycles for each operation: a training step took ten times as long there.
//! So what is carried from step to step, what gradients are summed from, and the optimizer's state
//! are *flushed*: a magnitude below [`SMALLEST_KEPT`] becomes zero.
//!
//! The other way, the processor's own flush-to-zero mode, is not open to Rust: compiled code may assume
//! that the mode is the default one (`std::arch::x86_64::_mm_setcsr` says so). It would also have to
//! be set and restored in every task of every thread pool, and would change what a caller's own operations
//! compute. A comparison and a mask for each register need
//! nothing of that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Magnitudes below this are treated as zero: 2^-95, about 2.5e-29.
///
/// It is 2^31 times the smallest normal number. So a product of a number that is kept and a weight or
/// an activation of 2^-31 (4.7e-10) or more is normal; and so is every sum and difference of
/// numbers that are kept, as all of them are multiples of 2^-118.
pub const SMALLEST_KEPT: f32 = f32::from_bits((127 - 95) << 23);

/// Zero if the magnitude is below [`SMALLEST_KEPT`], else the number as it is, NaN too.
#[inline(always)]
pub fn flushed(value: f32) -> f32 {
    flushed_below(SMALLEST_KEPT, value)
}

/// Zero if the magnitude is below `smallest`, else the number as it is, NaN too.
#[inline(always)]
pub fn flushed_below(smallest: f32, value: f32) -> f32 {
    if value.abs() < smallest { 0.0 } else { value }
}

/// Which of a layer's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What the forward pass keeps for the backward pass: outputs, cell states, gates.
    Saved,
    /// The gradients of the state on their way from step to step.
    Carried,
    /// The gradients of the gates' sums.
    Sums,
    /// The gradients of inputs, parameters and initial states.
    Gradients,
}

/// How many numbers were counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub numbers: u64,
    /// Those that are subnormal.
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
    /// Every place.
    pub const ALL: [Self; 4] = [Self::Saved, Self::Carried, Self::Sums, Self::Gradients];
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static COUNTS: Mutex<[Count; Place::ALL.len()]> = Mutex::new(
    [Count {
        numbers: 0,
        subnormal: 0,
    }; Place::ALL.len()],
);

/// What a function returns, and the counts of the numbers that layers of this process computed meanwhile,
/// in the order of [`Place::ALL`]. It is for one thread at a time; layers are slower as long as it runs.
pub fn counted<T>(run: impl FnOnce() -> T) -> (T, [Count; Place::ALL.len()]) {
    let counts = || COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    *counts() = Default::default();
    COUNTING.store(true, Ordering::SeqCst);
    let result = run();
    COUNTING.store(false, Ordering::SeqCst);
    let found = *counts();
    (result, found)
}

/// Counts these numbers if [`counted`] runs.
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
    fn numbers_are_counted_while_it_is_asked_for() {
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
