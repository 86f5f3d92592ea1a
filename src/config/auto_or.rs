//! Values that may be left to the program.

use serde::{Deserialize, Serialize};

/// The word `auto` or a number, as a config file has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\" or a number")]
pub(super) enum AutoOr<T> {
    Auto(Auto),
    Fixed(T),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Auto {
    Auto,
}
