//! Devices by name, and the data on them.

#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
pub(crate) mod indices;
pub(crate) mod storage;
pub(crate) mod upload;

pub use indices::Indices;

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU8, Ordering};

/// The name that leaves the choice of device to [`device`].
pub const AUTO: &str = "auto";

/// The precision of matrix products on an NVIDIA GPU. Weights, their gradients and the accumulation within a product
/// are always in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// All 23 mantissa bits of each factor.
    #[default]
    F32,
    /// 10 mantissa bits: NVIDIA's TensorFloat-32.
    Tf32,
    /// 7 mantissa bits, bfloat16, in the recurrent layers, whose inputs and outputs within cuDNN (from version 9.13 on;
    /// before, as `tf32`) are bfloat16 too. Elsewhere as `tf32`.
    Bf16,
}

/// The current precision.
static PRECISION: AtomicU8 = AtomicU8::new(Precision::F32 as u8);

/// Sets the precision of all matrix products on NVIDIA GPUs from here on. It does not affect other devices.
pub fn set_precision(precision: Precision) {
    PRECISION.store(precision as u8, Ordering::Relaxed);
    #[cfg(feature = "cuda")]
    candle_core::cuda_backend::set_gemm_reduced_precision_f32(precision != Precision::F32);
}

/// The precision of matrix products on NVIDIA GPUs.
pub fn precision() -> Precision {
    let all = [Precision::F32, Precision::Tf32, Precision::Bf16];
    let set = PRECISION.load(Ordering::Relaxed);
    all.into_iter()
        .find(|&precision| precision as u8 == set)
        .unwrap_or_default()
}

/// The device called `cpu`, `cuda`, `cuda:N` or `metal`, or the first of [`found`] for `auto`.
///
/// # Errors
/// An unknown name, a build without support for the device, or a device that does not exist.
pub fn device(name: &str) -> Result<Device> {
    let failed = |problem: String, remedy: &str| Error::Device {
        name: name.to_owned(),
        problem,
        remedy: remedy.to_owned(),
    };
    let opened = match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") if name == "cpu" => return Ok(Device::Cpu),
        (AUTO, "0") if name == AUTO => return Ok(found().0),
        ("cuda", index) => {
            let index = index.parse().map_err(|_| {
                failed(
                    format!("{index:?} is not a number"),
                    "use cuda:0, cuda:1, ...",
                )
            })?;
            if !candle_core::utils::cuda_is_available() {
                return Err(failed(
                    "this birnn was built without CUDA".into(),
                    "build it with `--features cuda`, or use --device cpu",
                ));
            }
            // A stream of its own: the default is one stream per thread, without any order between them.
            Device::new_cuda_with_stream(index)
        }
        ("metal", "0") if name == "metal" => {
            if !candle_core::utils::metal_is_available() {
                return Err(failed(
                    "this birnn was built without Metal".into(),
                    "build it with `--features metal` on a Mac, or use --device cpu",
                ));
            }
            Device::new_metal(0)
        }
        _ => {
            return Err(failed(
                "unknown".into(),
                "use auto, cpu, cuda, cuda:N or metal",
            ));
        }
    };
    opened.map_err(|error| {
        // The following lines are Candle's backtrace, if enabled.
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let problem = format!("it cannot be opened: {line}");
        failed(problem, "check the driver, or use --device cpu")
    })
}

/// Whether this library has custom kernels for tensors like this one: single precision, on the CPU or, with the feature
/// `cuda`, on an NVIDIA GPU. All others use Candle's tensor operations.
pub(crate) fn has_kernels(tensor: &Tensor) -> bool {
    let device = tensor.device();
    let known = device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda());
    known && tensor.dtype() == DType::F32
}

/// The best available device that this build supports, its name, and the errors of better ones.
pub fn found() -> (Device, &'static str, Vec<Error>) {
    let mut problems = Vec::new();
    for (name, built) in [
        ("cuda", candle_core::utils::cuda_is_available()),
        ("metal", candle_core::utils::metal_is_available()),
    ] {
        match built.then(|| device(name)) {
            Some(Ok(device)) => return (device, name, problems),
            Some(Err(problem)) => problems.push(problem),
            None => {}
        }
    }
    (Device::Cpu, "cpu", problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(device("cpu").unwrap().is_cpu());
        for name in ["", "gpu", "cpu:0", "cpu:1", "metal:1", "auto:0"] {
            assert_eq!(
                device(name).unwrap_err().to_string(),
                format!("device {name}: unknown; use auto, cpu, cuda, cuda:N or metal")
            );
        }
        assert_eq!(
            device("cuda:x").unwrap_err().to_string(),
            "device cuda:x: \"x\" is not a number; use cuda:0, cuda:1, ..."
        );
    }

    #[test]
    fn the_precision_is_the_one_that_was_set() {
        for precision in [Precision::Bf16, Precision::Tf32, Precision::F32] {
            set_precision(precision);
            assert_eq!(super::precision(), precision);
        }
    }

    #[test]
    fn the_best_device_is_available() {
        let (found, name, problems) = found();
        assert!(found.same_device(&device(name).unwrap()) || !found.is_cpu());
        assert_eq!(found.is_cpu(), device(AUTO).unwrap().is_cpu());
        if !cfg!(any(feature = "cuda", feature = "metal")) {
            assert_eq!((name, problems.len()), ("cpu", 0));
        }
    }
}
