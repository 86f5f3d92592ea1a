//! AdamW's step on the elements of a parameter: its moments and its difference from the average in one pass.

use crate::instructions::InstructionSet;
use crate::subnormals::{flushed, flushed_below};
use pulp::NullaryFnOnce;

/// The scalars of one step.
#[derive(Debug, Clone, Copy)]
pub struct Scalars {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the square root of the second moment.
    pub epsilon: f32,
    /// Learning rate divided by the first moment's bias correction.
    pub step_size: f32,
    /// Reciprocal of the square root of the second moment's bias correction.
    pub root_correction: f32,
    /// The factor of weight decay: one minus learning rate times decay.
    pub keep: f32,
    /// The factor of the gradient.
    pub scale: f32,
    /// The factor of a weight's change, which is then subtracted from its difference from the average.
    pub average: f32,
}

/// The same range of elements of a parameter, its moments, and its difference from the average (or an empty slice).
#[derive(Default)]
pub struct Span<'a> {
    /// The parameter.
    pub parameter: &'a mut [f32],
    /// Its first moment.
    pub first: &'a mut [f32],
    /// Its second moment.
    pub second: &'a mut [f32],
    /// Its difference from the average, or an empty slice.
    pub difference: &'a mut [f32],
}

impl<'a> Span<'a> {
    /// Splits after the first `len` elements.
    #[must_use]
    pub fn split(self, len: usize) -> (Self, Self) {
        let averaged = len.min(self.difference.len());
        let (parameter, parameter_rest) = self.parameter.split_at_mut(len);
        let (first, first_rest) = self.first.split_at_mut(len);
        let (second, second_rest) = self.second.split_at_mut(len);
        let (difference, difference_rest) = self.difference.split_at_mut(averaged);
        let start = Self {
            parameter,
            first,
            second,
            difference,
        };
        let rest = Span {
            parameter: parameter_rest,
            first: first_rest,
            second: second_rest,
            difference: difference_rest,
        };
        (start, rest)
    }
}

/// The work of one task: the slices of a span that begin at `starts`, each as long as its part of the gradient.
pub struct Block<'a> {
    /// The elements.
    pub span: Span<'a>,
    /// The offsets of the slices.
    pub starts: Vec<usize>,
    /// Their gradients, concatenated.
    pub gradient: &'a [f32],
}

impl Block<'_> {
    /// Performs the step.
    ///
    /// # Panics
    /// The slices do not lie within the span.
    pub fn update(self, scalars: &Scalars) {
        let block = self;
        InstructionSet::current().run(Update { block, scalars });
    }
}

/// Gradients below this, 2^-55, are ignored in the second moment: the square root of their contribution is below a
/// tenth of the rounding error of an epsilon of 1e-8, and their squares may be subnormal.
const SMALLEST_SQUARED: f32 = f32::from_bits((127 - 55) << 23);

/// Second moments below its square, 2^-110, are treated as zero.
const SMALLEST_SQUARE: f32 = SMALLEST_SQUARED * SMALLEST_SQUARED;

/// The update of a block. Not a closure, as code that calls a closure may be compiled separately, without the selected
/// instruction set.
struct Update<'a> {
    block: Block<'a>,
    scalars: &'a Scalars,
}

impl NullaryFnOnce for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { block, scalars } = self;
        let span = block.span;
        let width = block.gradient.len() / block.starts.len();
        let rows = block.gradient.chunks_exact(width);
        for (&start, gradient) in block.starts.iter().zip(rows) {
            let range = start..start + width;
            let parameter = &mut span.parameter[range.clone()];
            let first = &mut span.first[range.clone()];
            let second = &mut span.second[range.clone()];
            match span.difference.get_mut(range) {
                Some(difference) => {
                    scalars.move_averaged(parameter, first, second, difference, gradient)
                }
                None => scalars.move_all(parameter, first, second, gradient),
            }
        }
    }
}

impl Scalars {
    #[inline(always)]
    fn move_all(&self, w: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let elements = w.iter_mut().zip(first).zip(second).zip(gradient);
        for (((w, first), second), g) in elements {
            *w = self.next(*w, first, second, *g);
        }
    }

    #[inline(always)]
    fn move_averaged(
        &self,
        w: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        difference: &mut [f32],
        gradient: &[f32],
    ) {
        let elements = w.iter_mut().zip(first).zip(second);
        let elements = elements.zip(difference).zip(gradient);
        for ((((w, first), second), difference), g) in elements {
            let next = self.next(*w, first, second, *g);
            *difference = flushed(*difference - self.average * (next - *w));
            *w = next;
        }
    }

    /// The next value of a weight; updates and flushes its moments.
    #[inline(always)]
    fn next(&self, w: f32, first: &mut f32, second: &mut f32, g: f32) -> f32 {
        let g = flushed(g * self.scale);
        let square = {
            let g = flushed_below(SMALLEST_SQUARED, g);
            g * g
        };
        *first = flushed(self.beta1 * *first + (1.0 - self.beta1) * g);
        let moment = self.beta2 * *second + (1.0 - self.beta2) * square;
        *second = flushed_below(SMALLEST_SQUARE, moment);
        let root = second.sqrt() * self.root_correction;
        w * self.keep - self.step_size * *first / (root + self.epsilon)
    }
}
