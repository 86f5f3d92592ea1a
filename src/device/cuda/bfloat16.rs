//! Conversion between single precision and bfloat16 on a GPU.

use super::{Fields, KernelArgs, KernelParam, Source, fields};

/// `struct ConvertArgs` of `bfloat16.cu`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct ConvertArgs {
    pub(crate) single: u64,
    pub(crate) upper: u64,
    pub(crate) count: u64,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for ConvertArgs {}

impl KernelArgs for ConvertArgs {
    const SOURCE: Source = Source {
        name: "bfloat16",
        text: include_str!("bfloat16.cu"),
        argument: "ConvertArgs",
    };
    const FIELDS: Fields = fields!(ConvertArgs: single, upper, count);

    fn threads(&self) -> usize {
        self.count as usize
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::device::cuda::emulated::Emulated;
    use candle_core::{DType, Device, Tensor};

    /// Compared with Candle: numbers of all magnitudes, ties in both directions, and NaN.
    #[test]
    fn conversions_are_those_of_candle() {
        let Some(machine) = Emulated::new::<ConvertArgs>() else {
            return;
        };
        let special = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, -0.0];
        let halves = [0x3F80_8000u32, 0x3F81_8000, 0xBF80_8000, 0x0000_8000, 1];
        let spread = (0..2_000u32).map(|number| number.wrapping_mul(0x9E37_79B9));
        let bits = halves.into_iter().chain(spread);
        let mut single: Vec<f32> = bits.map(f32::from_bits).chain(special).collect();
        let expected = Tensor::new(single.as_slice(), &Device::Cpu).unwrap();
        let expected = expected.to_dtype(DType::BF16).unwrap();
        let expected: Vec<f32> = expected.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        let mut upper = vec![0u16; single.len()];
        let mut back = vec![0f32; single.len()];
        let mut convert = ConvertArgs {
            single: single.as_mut_ptr() as u64,
            upper: upper.as_mut_ptr() as u64,
            count: single.len() as u64,
        };
        // SAFETY: the arrays belong to this test.
        unsafe { machine.run("narrow", &convert) };
        convert.single = back.as_mut_ptr() as u64;
        // SAFETY: as above.
        unsafe { machine.run("widen", &convert) };
        for ((upper, back), expected) in upper.into_iter().zip(back).zip(expected) {
            assert_eq!(back.to_bits(), u32::from(upper) << 16);
            let same = back.to_bits() == expected.to_bits();
            assert!(
                same || back.is_nan() && expected.is_nan(),
                "{back} for {expected}"
            );
        }
    }
}
