//! The update of skip-gram with negative sampling for one pair of words.

use crate::instructions::InstructionSet;
use pulp::NullaryFnOnce;

/// The numbers of one cache line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(align(64))]
pub struct Line(pub [f32; LINE]);

/// Number of elements of a [`Line`].
pub const LINE: usize = 16;

/// The update for the row `v` of a word and the row `u` of a target with its label: updates `u`, and adds the update of
/// `v` to `change`.
pub fn step(
    v: &[Line],
    u: &mut [Line],
    change: &mut [Line],
    (rate, label): (f32, f32),
    sigmoid: &Sigmoid,
) {
    InstructionSet::current().run(Step {
        v,
        u,
        change,
        rate,
        label,
        sigmoid,
    });
}

struct Step<'a> {
    v: &'a [Line],
    u: &'a mut [Line],
    change: &'a mut [Line],
    rate: f32,
    label: f32,
    sigmoid: &'a Sigmoid,
}

impl NullaryFnOnce for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { v, u, change, .. } = self;
        let step = self.rate * (self.label - self.sigmoid.at(dot(u, v)));
        for ((u, v), change) in u.iter_mut().zip(v).zip(change) {
            for lane in 0..LINE {
                change.0[lane] += step * u.0[lane];
                u.0[lane] += step * v.0[lane];
            }
        }
    }
}

/// The dot product of two rows.
#[inline(always)]
fn dot(a: &[Line], b: &[Line]) -> f32 {
    let mut sums = [0.0; LINE];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.0.iter().zip(&b.0)) {
            *sum += a * b;
        }
    }
    // By halves, the order of a register's own sum.
    let mut width = LINE / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// The logistic function from a table, with an error of at most a thousandth.
#[derive(Debug)]
pub struct Sigmoid {
    values: Vec<f32>,
}

impl Sigmoid {
    /// Beyond this the function is practically 0 or 1.
    const LIMIT: f32 = 8.0;
    /// Table entries per unit.
    const DENSITY: f32 = 128.0;

    /// The table.
    pub fn new() -> Self {
        let last = (2.0 * Self::LIMIT * Self::DENSITY) as usize;
        let value = |index| {
            let x = index as f64 / f64::from(Self::DENSITY) - f64::from(Self::LIMIT);
            (1.0 / (1.0 + (-x).exp())) as f32
        };
        Self {
            values: (0..=last).map(value).collect(),
        }
    }

    /// `1 / (1 + exp(-x))`; 0 for NaN.
    #[inline(always)]
    pub fn at(&self, x: f32) -> f32 {
        // A cast to an integer saturates.
        let index = ((x + Self::LIMIT) * Self::DENSITY + 0.5) as usize;
        self.values[index.min(self.values.len() - 1)]
    }
}

impl Default for Sigmoid {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_close_and_bounded() {
        let sigmoid = Sigmoid::new();
        for x in [-7.9f32, -2.0, -0.01, 0.0, 0.3, 5.0] {
            assert!((sigmoid.at(x) - 1.0 / (1.0 + (-x).exp())).abs() < 1e-3);
        }
        assert!(sigmoid.at(-1e9) < 1e-3 && sigmoid.at(1e9) > 0.999);
        assert!(sigmoid.at(f32::NAN) < 1e-3);
    }
}
