//! Loops over slices for the widest instructions: what the operations beside the layers spend their time in.

use crate::instructions::InstructionSet;
use pulp::NullaryFnOnce;

/// `to += from`, as far as both go.
pub fn add(to: &mut [f32], from: &[f32]) {
    InstructionSet::current().run(Add { to, from });
}

struct Add<'a> {
    to: &'a mut [f32],
    from: &'a [f32],
}

impl NullaryFnOnce for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to += from;
        }
    }
}

/// Replaces each number of `best` by that of `values` if it is larger, and then the entry of `places` by
/// `place`.
pub fn take_larger(best: &mut [f32], places: &mut [u32], values: &[f32], place: u32) {
    InstructionSet::current().run(TakeLarger {
        best,
        places,
        values,
        place,
    });
}

struct TakeLarger<'a> {
    best: &'a mut [f32],
    places: &'a mut [u32],
    values: &'a [f32],
    place: u32,
}

impl NullaryFnOnce for TakeLarger<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let best = self.best.iter_mut().zip(self.places);
        for ((best, place), &value) in best.zip(self.values) {
            let wins = value > *best;
            *best = if wins { value } else { *best };
            *place = if wins { self.place } else { *place };
        }
    }
}

/// The sum of the squares in double precision, in one order whatever the processor.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    InstructionSet::current().run(SumOfSquares(values))
}

struct SumOfSquares<'a>(&'a [f32]);

impl NullaryFnOnce for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        /// Sums that run side by side.
        const LANES: usize = 16;
        let mut sums = [0.0; LANES];
        let blocks = self.0.chunks_exact(LANES);
        for (sum, &value) in sums.iter_mut().zip(blocks.remainder()) {
            *sum = f64::from(value) * f64::from(value);
        }
        for block in blocks {
            for (sum, &value) in sums.iter_mut().zip(block) {
                *sum += f64::from(value) * f64::from(value);
            }
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_out_by_hand() {
        let mut to = [1.0, 2.0, 3.0];
        add(&mut to, &[10.0, 20.0]);
        assert_eq!(to, [11.0, 22.0, 3.0]);
        let (mut best, mut places) = ([1.0, 5.0, f32::NEG_INFINITY], [7; 3]);
        take_larger(&mut best, &mut places, &[2.0, 5.0, 0.0], 8);
        assert_eq!((best, places), ([2.0, 5.0, 0.0], [8, 7, 8]));
        let values: Vec<f32> = (1..=37).map(|value| value as f32).collect();
        assert_eq!(sum_of_squares(&values), f64::from(37 * 38 * 75 / 6));
    }
}
