//! The cost of the n-gram head's logistic regression.

use crate::error::{Error, Result};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The factor of the losses in the logistic regression over n-grams, relative to a penalty of half the squared norm of its
/// weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NgramCost {
    /// Chosen by cross-validation.
    Auto,
    /// This number.
    Fixed(f64),
}

const AUTO: &str = "auto";

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

impl Serialize for NgramCost {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str(AUTO),
            Self::Fixed(cost) => serializer.serialize_f64(*cost),
        }
    }
}

impl<'de> Deserialize<'de> for NgramCost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Cost;

        impl Visitor<'_> for Cost {
            type Value = NgramCost;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("\"auto\" or a number above 0")
            }

            fn visit_str<E: serde::de::Error>(
                self,
                word: &str,
            ) -> std::result::Result<NgramCost, E> {
                match word {
                    AUTO => Ok(NgramCost::Auto),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_f64<E>(self, cost: f64) -> std::result::Result<NgramCost, E> {
                Ok(NgramCost::Fixed(cost))
            }

            fn visit_i64<E>(self, cost: i64) -> std::result::Result<NgramCost, E> {
                Ok(NgramCost::Fixed(cost as f64))
            }

            fn visit_u64<E>(self, cost: u64) -> std::result::Result<NgramCost, E> {
                Ok(NgramCost::Fixed(cost as f64))
            }
        }

        deserializer.deserialize_any(Cost)
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
            message.contains("expected \"auto\" or a number above 0"),
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
