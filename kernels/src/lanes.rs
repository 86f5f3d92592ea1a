//! A few vectors of numbers, each as wide as the processor's registers, with arithmetic operators.
//!
//! An exponential is a chain of a dozen operations, each of which waits for the previous one. With two registers at a
//! time the processor always has another one to work on.

#![allow(unsafe_code, reason = "registers are loaded without bounds checks")]

use crate::subnormals::SMALLEST_KEPT;
use pulp::Simd;
use std::ops::{Add, Div, Mul, Sub};

/// As many numbers as fit in `N` registers of the instruction set `S`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes<S: Simd, const N: usize> {
    simd: S,
    values: [S::f32s; N],
}

/// Evaluates an expression for each register. Not a function with a closure argument: if the compiler does not inline
/// the closure, it compiles it without the instruction set.
macro_rules! each {
    ($lanes:expr, |$simd:ident, $index:ident, $values:ident| $body:expr) => {{
        let mut lanes = $lanes;
        let $simd = lanes.simd;
        let mut $index = 0;
        while $index < N {
            let $values = lanes.values[$index];
            lanes.values[$index] = $body;
            $index += 1;
        }
        lanes
    }};
}

impl<S: Simd, const N: usize> Lanes<S, N> {
    /// Number of lanes.
    pub(super) const WIDTH: usize = N * S::F32_LANES;

    #[inline(always)]
    pub(super) fn splat(simd: S, value: f32) -> Self {
        let values = [simd.splat_f32s(value); N];
        Self { simd, values }
    }

    /// The first numbers of a slice that has at least [`Self::WIDTH`].
    #[inline(always)]
    pub(super) fn load(simd: S, from: &[f32]) -> Self {
        let (whole, _) = S::as_simd_f32s(&from[..Self::WIDTH]);
        let mut lanes = Self::splat(simd, 0.0);
        lanes.values.copy_from_slice(whole);
        lanes
    }

    /// The first numbers of a slice; the remaining lanes are zero.
    #[inline(always)]
    pub(super) fn load_some(simd: S, from: &[f32]) -> Self {
        if from.len() >= Self::WIDTH {
            return Self::load(simd, from);
        }
        let mut lanes = Self::splat(simd, 0.0);
        for (index, values) in lanes.values.iter_mut().enumerate() {
            let from = &from[from.len().min(index * S::F32_LANES)..];
            let count = from.len().min(S::F32_LANES);
            let some = simd.mask_between_m32s(0, count as u32);
            // SAFETY: the mask only selects lanes for which `from` has a number.
            *values = unsafe { simd.mask_load_ptr_f32s(some, from.as_ptr()) };
        }
        lanes
    }

    /// Writes all lanes to the start of a slice.
    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32]) {
        let (whole, _) = S::as_mut_simd_f32s(&mut to[..Self::WIDTH]);
        for (to, values) in whole.iter_mut().zip(self.values) {
            *to = values;
        }
    }

    /// Writes as many lanes as the slice has room for.
    #[inline(always)]
    pub(super) fn store_some(self, to: &mut [f32]) {
        if to.len() >= Self::WIDTH {
            return self.store(to);
        }
        for (to, values) in to.chunks_mut(S::F32_LANES).zip(self.values) {
            let some = self.simd.mask_between_m32s(0, to.len() as u32);
            // SAFETY: the mask only selects lanes for which `to` has room.
            unsafe {
                self.simd.mask_store_ptr_f32s(some, to.as_mut_ptr(), values);
            }
        }
    }

    /// `self * factor + addend`, rounded once if the processor supports it.
    #[inline(always)]
    pub(super) fn mul_add(self, factor: Self, addend: Self) -> Self {
        each!(self, |simd, index, values| simd.mul_add_e_f32s(
            values,
            factor.values[index],
            addend.values[index]
        ))
    }

    #[inline(always)]
    pub(super) fn constant(self, value: f32) -> Self {
        Self::splat(self.simd, value)
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        each!(self, |simd, index, values| simd.abs_f32s(values))
    }

    /// This magnitude with the sign of `sign`; `self` must not be negative.
    #[inline(always)]
    pub(super) fn with_sign_of(self, sign: Self) -> Self {
        each!(self, |simd, index, values| {
            let sign = simd.and_f32s(sign.values[index], simd.splat_f32s(-0.0));
            simd.or_f32s(values, sign)
        })
    }

    /// In each lane, `yes` if this lane is below `bound`, else `no`. A NaN is not below anything.
    #[inline(always)]
    pub(super) fn if_below(self, bound: f32, yes: Self, no: Self) -> Self {
        each!(self, |simd, index, values| {
            let below = simd.less_than_f32s(values, simd.splat_f32s(bound));
            simd.select_f32s(below, yes.values[index], no.values[index])
        })
    }

    /// Zero in each lane whose magnitude is below [`SMALLEST_KEPT`], else the lane unchanged, including NaN.
    #[inline(always)]
    pub(super) fn flushed(self) -> Self {
        let magnitude = self.abs();
        magnitude.if_below(SMALLEST_KEPT, self.constant(0.0), self)
    }

    /// Adds to the bits of each lane, then shifts them left by 23: from an integer in the low bits to a power of two.
    #[inline(always)]
    pub(super) fn exponent_from_low_bits(self, added: u32) -> Self {
        each!(self, |simd, index, values| {
            let bits = simd.transmute_u32s_f32s(values);
            let bits = simd.add_u32s(bits, simd.splat_u32s(added));
            simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)))
        })
    }
}

impl<S: Simd, const N: usize> Add for Lanes<S, N> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        each!(self, |simd, index, values| simd
            .add_f32s(values, other.values[index]))
    }
}

impl<S: Simd, const N: usize> Sub for Lanes<S, N> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        each!(self, |simd, index, values| simd
            .sub_f32s(values, other.values[index]))
    }
}

impl<S: Simd, const N: usize> Mul for Lanes<S, N> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        each!(self, |simd, index, values| simd
            .mul_f32s(values, other.values[index]))
    }
}

impl<S: Simd, const N: usize> Div for Lanes<S, N> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        each!(self, |simd, index, values| simd
            .div_f32s(values, other.values[index]))
    }
}
