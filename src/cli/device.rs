//! The device that a command runs on.

use super::tell;
use birnn::device::{AUTO, device, found};
use candle_core::Device;

/// The device of this name. Says which one it is where there was a choice.
///
/// # Errors
/// As [`device`].
pub(super) fn open(name: &str) -> birnn::Result<Device> {
    if name != AUTO {
        return device(name);
    }
    let (device, name, problems) = found();
    for problem in &problems {
        tell(&problem.to_string());
    }
    if !device.is_cpu() || !problems.is_empty() {
        tell(&format!("device: {name}"));
    }
    Ok(device)
}
