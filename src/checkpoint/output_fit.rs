//! What is fitted to a model's output on the validation split.

use super::model_directory::ModelFile;
use super::weights::WeightFile;
use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;
use serde::{Deserialize, Serialize};

/// What is fitted to a classifier's output on the validation split. It belongs to the weights and changes with them, so
/// it is stored in the metadata of their file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputFit {
    /// The divisor of the logits, above 0; 1 if absent.
    pub temperature: Option<f64>,
    /// With several labels a text, the probability of each class from which on a text belongs to it; 0.5 if absent.
    pub thresholds: Option<Vec<f64>>,
}

impl From<f64> for OutputFit {
    fn from(temperature: f64) -> Self {
        Some(temperature).into()
    }
}

impl From<Option<f64>> for OutputFit {
    fn from(temperature: Option<f64>) -> Self {
        Self {
            temperature,
            thresholds: None,
        }
    }
}

/// The threshold of a class to which none was fitted.
const EVEN: f64 = 0.5;

/// The keys of the metadata: of a temperature alone, and of a whole [`OutputFit`] as JSON. There is never more than one
/// entry, as their order would not always be the same.
const TEMPERATURE: &str = "temperature";
const CALIBRATION: &str = "calibration";

impl OutputFit {
    /// The entry of the metadata, if there is anything to store.
    pub(super) fn to_metadata(&self) -> Option<(String, String)> {
        match (&self.thresholds, self.temperature) {
            // The shortest text that is read back as the same number.
            (None, temperature) => Some((TEMPERATURE.to_owned(), temperature?.to_string())),
            (Some(_), _) => {
                let json = serde_json::to_string(self).ok()?;
                Some((CALIBRATION.to_owned(), json))
            }
        }
    }

    /// From the entries of the metadata; the error names the entry.
    pub(super) fn from_metadata<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
    ) -> std::result::Result<Self, String> {
        let named = |key: &'static str| move |problem: String| format!("{key}: {problem}");
        if let Some(json) = get(CALIBRATION) {
            let fit: Self = serde_json::from_str(json)
                .map_err(|error| named(CALIBRATION)(error.to_string()))?;
            fit.check().map_err(named(CALIBRATION))?;
            return Ok(fit);
        }
        let Some(written) = get(TEMPERATURE) else {
            return Ok(Self::default());
        };
        let temperature = written
            .parse()
            .map_err(|_| format!("{written:?} is not a number"));
        let fit = temperature.map(|temperature: f64| Self::from(temperature));
        fit.and_then(|fit| fit.check().map(|()| fit))
            .map_err(named(TEMPERATURE))
    }

    /// Checks the ranges of the numbers.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if let Some(temperature) = self.temperature {
            check_temperature(temperature)?;
        }
        check_thresholds(self.thresholds.as_deref().unwrap_or_default())
    }
}

pub(super) fn check_temperature(temperature: f64) -> std::result::Result<(), String> {
    match temperature.is_finite() && temperature > 0.0 {
        true => Ok(()),
        false => Err(format!("{temperature} is not a number above 0")),
    }
}

pub(super) fn check_thresholds(thresholds: &[f64]) -> std::result::Result<(), String> {
    match thresholds
        .iter()
        .find(|threshold| !(0.0..=1.0).contains(*threshold))
    {
        Some(threshold) => Err(format!("{threshold} is not a probability")),
        None => Ok(()),
    }
}

/// What is stored with the weights.
pub(super) fn output_fit_of(weights: &WeightFile) -> Result<OutputFit> {
    OutputFit::from_metadata(|key| weights.metadata(key))
        .map_err(|problem| wrong_metadata(weights, &problem))
}

fn wrong_metadata(weights: &WeightFile, problem: &str) -> Error {
    Error::model(
        weights.path(),
        format!("its metadata, {problem}"),
        "replace it by an intact copy, or train again",
    )
}

/// The threshold of each class, if texts may have several.
pub(super) fn thresholds(
    file: &ModelFile,
    stored: Option<Vec<f64>>,
    weights: &WeightFile,
) -> Result<Option<Vec<f64>>> {
    if file.model.output == OutputKind::Softmax {
        return Ok(None);
    }
    if file.thresholds.is_some() {
        return Ok(file.thresholds.clone());
    }
    let classes = file.labels.len();
    let thresholds = stored.unwrap_or_else(|| vec![EVEN; classes]);
    match thresholds.len() == classes {
        true => Ok(Some(thresholds)),
        false => {
            let problem = format!("{} thresholds for {classes} classes", thresholds.len());
            Err(wrong_metadata(weights, &problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let several = OutputFit {
            temperature: Some(1.25),
            thresholds: Some(vec![0.1, 1.0 / 3.0]),
        };
        for fit in [OutputFit::default(), OutputFit::from(0.3), several] {
            let entry = fit.to_metadata();
            let get = |key: &str| {
                entry
                    .as_ref()
                    .filter(|(name, _)| name == key)
                    .map(|(_, value)| &**value)
            };
            assert_eq!(OutputFit::from_metadata(get).unwrap(), fit);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let read = |name: &'static str, value: &'static str| {
            OutputFit::from_metadata(|key| (key == name).then_some(value)).unwrap_err()
        };
        assert_eq!(
            read("temperature", "-1"),
            "temperature: -1 is not a number above 0"
        );
        assert_eq!(
            read("temperature", "x"),
            "temperature: \"x\" is not a number"
        );
        assert_eq!(
            read("calibration", "{\"temperature\":1,\"thresholds\":[0.5,2]}"),
            "calibration: 2 is not a probability"
        );
        assert!(read("calibration", "[]").starts_with("calibration: "));
    }
}
