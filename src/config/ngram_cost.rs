//! The cost of the n-gram head's logistic regression.

use super::auto_or::{Auto, AutoOr};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The factor of the losses in the logistic regression over n-grams, relative to a penalty of half the squared norm of its
/// weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "AutoOr<f64>", into = "AutoOr<f64>")]
pub enum NgramCost {
    /// Chosen by cross-validation.
    Auto,
    /// This number.
    Fixed(f64),
}

impl NgramCost {
    /// Checks the number.
    pub(super) fn validate(self) -> Result<()> {
        match self {
            Self::Fixed(cost) if !(cost.is_finite() && cost > 0.0) => Err(Error::config(
                "train.ngram_cost",
                "the value is out of range",
                "use \"auto\" or a number above 0",
            )),
            _ => Ok(()),
        }
    }
}

impl From<AutoOr<f64>> for NgramCost {
    fn from(written: AutoOr<f64>) -> Self {
        match written {
            AutoOr::Auto(_) => Self::Auto,
            AutoOr::Fixed(value) => Self::Fixed(value),
        }
    }
}

impl From<NgramCost> for AutoOr<f64> {
    fn from(value: NgramCost) -> Self {
        match value {
            NgramCost::Auto => Self::Auto(Auto::Auto),
            NgramCost::Fixed(value) => Self::Fixed(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_the_word_auto() {
        let read = |json: &str| serde_json::from_str::<NgramCost>(json);
        assert_eq!(read("\"auto\"").unwrap(), NgramCost::Auto);
        assert_eq!(read("2").unwrap(), NgramCost::Fixed(2.0));
        assert_eq!(read("0.5").unwrap(), NgramCost::Fixed(0.5));
        let message = read("\"much\"").unwrap_err().to_string();
        assert!(
            message.contains("expected \"auto\" or a number"),
            "{message}"
        );
        assert_eq!(serde_json::to_string(&NgramCost::Auto).unwrap(), "\"auto\"");
        assert_eq!(
            serde_json::to_string(&NgramCost::Fixed(0.1)).unwrap(),
            "0.1"
        );
    }

    #[test]
    fn only_positive_numbers_are_costs() {
        assert!(NgramCost::Auto.validate().is_ok());
        for cost in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                NgramCost::Fixed(cost).validate().unwrap_err().to_string(),
                "configuration, train.ngram_cost: the value is out of range; use \"auto\" or a number above 0"
            );
        }
    }
}
