//! A vector of numbers, as wide as the processor's registers, with a number's operators.

use pulp::Simd;
use std::ops::{Add, Div, Mul, Sub};

/// As many numbers as a register of the instruction set `S` holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    values: S::f32s,
}

impl<S: Simd> Lanes<S> {
    /// How many numbers.
    pub(super) const WIDTH: usize = S::F32_LANES;

    #[inline(always)]
    pub(super) fn splat(simd: S, value: f32) -> Self {
        let values = simd.splat_f32s(value);
        Self { simd, values }
    }

    /// The first numbers of a slice that has at least [`Self::WIDTH`].
    #[inline(always)]
    pub(super) fn load(simd: S, from: &[f32]) -> Self {
        let (whole, _) = S::as_simd_f32s(&from[..Self::WIDTH]);
        Self {
            simd,
            values: whole[0],
        }
    }

    /// The first numbers of a slice; zeros in the lanes for which there are none.
    #[inline(always)]
    pub(super) fn load_some(simd: S, from: &[f32]) -> Self {
        if from.len() >= Self::WIDTH {
            return Self::load(simd, from);
        }
        let some = simd.mask_between_m32s(0, from.len() as u32);
        // SAFETY: the mask has only lanes for which `from` has a number.
        let values = unsafe { simd.mask_load_ptr_f32s(some, from.as_ptr()) };
        Self { simd, values }
    }

    /// Writes all lanes to the start of a slice.
    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32]) {
        let (whole, _) = S::as_mut_simd_f32s(&mut to[..Self::WIDTH]);
        whole[0] = self.values;
    }

    /// Writes as many lanes as the slice has room for.
    #[inline(always)]
    pub(super) fn store_some(self, to: &mut [f32]) {
        if to.len() >= Self::WIDTH {
            return self.store(to);
        }
        let some = self.simd.mask_between_m32s(0, to.len() as u32);
        // SAFETY: the mask has only lanes for which `to` has room.
        unsafe {
            self.simd
                .mask_store_ptr_f32s(some, to.as_mut_ptr(), self.values);
        }
    }

    #[inline(always)]
    fn map(self, f: impl FnOnce(S, S::f32s) -> S::f32s) -> Self {
        Self {
            simd: self.simd,
            values: f(self.simd, self.values),
        }
    }

    /// `self * factor + summand`, rounded once where the processor can.
    #[inline(always)]
    pub(super) fn mul_add(self, factor: Self, summand: Self) -> Self {
        self.map(|simd, values| simd.mul_add_e_f32s(values, factor.values, summand.values))
    }

    #[inline(always)]
    pub(super) fn constant(self, value: f32) -> Self {
        Self::splat(self.simd, value)
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        self.map(|simd, values| simd.abs_f32s(values))
    }

    /// This magnitude with the sign of `sign`; `self` is not negative.
    #[inline(always)]
    pub(super) fn with_sign_of(self, sign: Self) -> Self {
        self.map(|simd, values| {
            simd.or_f32s(values, simd.and_f32s(sign.values, simd.splat_f32s(-0.0)))
        })
    }

    /// In each lane, `yes` where this lane is below `bound`, else `no`. NaN is below nothing.
    #[inline(always)]
    pub(super) fn if_below(self, bound: f32, yes: Self, no: Self) -> Self {
        self.map(|simd, values| {
            let below = simd.less_than_f32s(values, simd.splat_f32s(bound));
            simd.select_f32s(below, yes.values, no.values)
        })
    }

    /// Adds to the bits of each lane, then moves them 23 places up: from an integer in the low bits
    /// to a power of two.
    #[inline(always)]
    pub(super) fn exponent_from_low_bits(self, added: u32) -> Self {
        self.map(|simd, values| {
            let bits = simd.transmute_u32s_f32s(values);
            let bits = simd.add_u32s(bits, simd.splat_u32s(added));
            simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(bits, simd.splat_u32s(23)))
        })
    }
}

impl<S: Simd> Add for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map(|simd, values| simd.add_f32s(values, other.values))
    }
}

impl<S: Simd> Sub for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map(|simd, values| simd.sub_f32s(values, other.values))
    }
}

impl<S: Simd> Mul for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map(|simd, values| simd.mul_f32s(values, other.values))
    }
}

impl<S: Simd> Div for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.map(|simd, values| simd.div_f32s(values, other.values))
    }
}
