//! Numbers that are not finite: a run ends with them.

use crate::config::TrainerConfig;
use crate::error::{Error, Result};
use crate::train::sink::Sink;

pub(super) fn check_finite(quantity: &'static str, value: f64, step: u64) -> Result<()> {
    match value.is_finite() {
        true => Ok(()),
        false => Err(Error::NotFinite {
            quantity,
            value,
            step,
            // Added by `explain`.
            remedy: String::new(),
        }),
    }
}

/// Adds the remedy and the remaining state to an error about numbers that are not finite.
pub(super) fn explain(error: Error, config: &TrainerConfig, sink: &dyn Sink) -> Error {
    let Error::NotFinite {
        quantity,
        value,
        step,
        ..
    } = error
    else {
        return error;
    };
    let TrainerConfig {
        section, clip_norm, ..
    } = config;
    let kept = match sink.folder() {
        Some(folder) => format!("; the last good checkpoint is kept in {}", folder.display()),
        None => String::new(),
    };
    Error::NotFinite {
        quantity,
        value,
        step,
        remedy: format!(
            "try a lower {section}.learning_rate (now {:?}), a {section}.clip_norm (now {clip_norm:?}) or \
             another seed{kept}",
            config.schedule.peak,
        ),
    }
}
