//! Vectorised loops over slices, for the operations besides the layers.

use crate::instructions::InstructionSet;
use pulp::NullaryFnOnce;

/// `to += from`, up to the shorter length.
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

/// Where a number of `values` is larger than that of `best`, replaces the latter by it and the entry of `argmax` by
/// `index`.
pub fn take_larger(best: &mut [f32], argmax: &mut [u32], values: &[f32], index: u32) {
    InstructionSet::current().run(TakeLarger {
        best,
        argmax,
        values,
        index,
    });
}

struct TakeLarger<'a> {
    best: &'a mut [f32],
    argmax: &'a mut [u32],
    values: &'a [f32],
    index: u32,
}

impl NullaryFnOnce for TakeLarger<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let best = self.best.iter_mut().zip(self.argmax);
        for ((best, index), &value) in best.zip(self.values) {
            // The first NaN is larger than every number.
            let is_larger = (value > *best) | (value.is_nan() & !best.is_nan());
            *best = if is_larger { value } else { *best };
            *index = if is_larger { self.index } else { *index };
        }
    }
}

/// The sum of the squares in double precision, in the same order on every processor.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    InstructionSet::current().run(SumOfSquares(values))
}

struct SumOfSquares<'a>(&'a [f32]);

impl NullaryFnOnce for SumOfSquares<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        /// Number of parallel partial sums.
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
        let (mut best, mut argmax) = ([1.0, 5.0, f32::NEG_INFINITY], [7; 3]);
        take_larger(&mut best, &mut argmax, &[2.0, 5.0, 0.0], 8);
        assert_eq!((best, argmax), ([2.0, 5.0, 0.0], [8, 7, 8]));
        let values: Vec<f32> = (1..=37).map(|value| value as f32).collect();
        assert_eq!(sum_of_squares(&values), f64::from(37 * 38 * 75 / 6));
    }
}
