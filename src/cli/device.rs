//! The device on which a command runs.

use super::note;
use birnn::device::{AUTO, device, found};
use candle_core::Device;

/// Opens the device of this name, and prints which one was chosen if there was a choice.
///
/// # Errors
/// As [`device`].
pub(super) fn open(name: &str) -> birnn::Result<Device> {
    if name != AUTO {
        return device(name);
    }
    let (device, name, problems) = found();
    for problem in &problems {
        note(&problem.to_string());
    }
    if !device.is_cpu() || !problems.is_empty() {
        note(&format!("device: {name}"));
    }
    Ok(device)
}
