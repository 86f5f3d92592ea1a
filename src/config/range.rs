//! Ranges of config values.

use crate::error::{Error, Result};

/// A key without its section, whether its value is in range, and a description of the range.
pub(super) type Check = (&'static str, bool, &'static str);

/// At least 1.
pub(super) fn positive(key: &'static str, value: u64) -> Check {
    (key, value >= 1, "at least 1")
}

/// A number from 0.
pub(super) fn from_zero(key: &'static str, value: f64) -> Check {
    let holds = value >= 0.0 && value.is_finite();
    (key, holds, "a number from 0")
}

/// A number above 0.
pub(super) fn above_zero(key: &'static str, value: f64) -> Check {
    let holds = value > 0.0 && value.is_finite();
    (key, holds, "a number above 0")
}

/// A number from 0 to below 1.
pub(super) fn share(key: &'static str, value: f64) -> Check {
    let holds = (0.0..1.0).contains(&value);
    (key, holds, "a number from 0 to below 1")
}

/// Any number.
pub(super) fn finite(key: &'static str, value: f64) -> Check {
    (key, value.is_finite(), "a finite number")
}

/// The number as the steps use it: 0 if it is too small for single precision, infinite if it is too large.
pub(super) fn in_single_precision(value: f64) -> f64 {
    f64::from(value as f32)
}

/// Checks that all values of a section are in range.
///
/// # Errors
/// The first key whose value is out of its range.
pub(super) fn hold(section: &str, checks: &[Check]) -> Result<()> {
    match checks.iter().find(|(_, holds, _)| !holds) {
        None => Ok(()),
        Some(&(key, _, range)) => Err(Error::config(
            format!("{section}.{key}"),
            "the value is out of range",
            format!("use {range}"),
        )),
    }
}
