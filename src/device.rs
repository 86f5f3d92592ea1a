//! Devices by name.

use crate::error::{Error, Result};
use candle_core::Device;

/// The device called `cpu`, `cuda`, `cuda:N` or `metal`.
///
/// # Errors
/// An unknown name, a build without support for the device, or a device that is not there.
pub fn device(name: &str) -> Result<Device> {
    let failed = |problem: String, remedy: &str| Error::Device {
        name: name.to_owned(),
        problem,
        remedy: remedy.to_owned(),
    };
    let opened = match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") if name == "cpu" => return Ok(Device::Cpu),
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
            Device::new_cuda(index)
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
        _ => return Err(failed("unknown".into(), "use cpu, cuda, cuda:N or metal")),
    };
    opened.map_err(|error| {
        let problem = format!("it cannot be opened: {error}");
        failed(problem, "check the driver, or use --device cpu")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(device("cpu").unwrap().is_cpu());
        for name in ["", "gpu", "cpu:0", "cpu:1", "metal:1"] {
            assert_eq!(
                device(name).unwrap_err().to_string(),
                format!("device {name}: unknown; use cpu, cuda, cuda:N or metal")
            );
        }
        assert_eq!(
            device("cuda:x").unwrap_err().to_string(),
            "device cuda:x: \"x\" is not a number; use cuda:0, cuda:1, ..."
        );
    }
}
