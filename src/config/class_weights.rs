//! The weights of classes in the loss.

use crate::data::{Labels, listed};
use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The weights of classes in the loss.
///
/// With one class a text, a text weighs as much as its class, and the loss is the weighted mean over the texts, as in
/// PyTorch's `CrossEntropyLoss(weight=...)`: a class of weight 2 has the gradient of a training set that has each of its
/// texts twice. With several classes a text, the weight is that of the texts that belong to the class against those that
/// do not, as in `BCEWithLogitsLoss(pos_weight=...)`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// All classes weigh the same in sum: `texts / (classes * texts of the class)`; with several classes a text, both
    /// sides of each class do: `texts outside the class / texts of the class`.
    Balanced,
    /// By the names of the classes; the others have the weight 1.
    Table(BTreeMap<String, f64>),
}

const BALANCED: &str = "balanced";
const KEY: &str = "train.class_weights";

impl ClassWeights {
    /// Checks the numbers.
    pub(super) fn validate(&self) -> Result<()> {
        let Self::Table(weights) = self else {
            return Ok(());
        };
        match weights
            .iter()
            .find(|(_, weight)| !(weight.is_finite() && **weight > 0.0))
        {
            Some((class, weight)) => Err(Error::config(
                format!("{KEY}.{class}"),
                format!("{weight} is out of range"),
                "use a number above 0",
            )),
            None => Ok(()),
        }
    }

    /// The weight of each class, given how many of `texts` texts belong to it.
    ///
    /// # Errors
    /// The table has a name that is not that of a class, or a number that is not above 0.
    pub fn of_classes(
        &self,
        labels: &Labels,
        counts: &[u64],
        texts: usize,
        output: OutputKind,
    ) -> Result<Vec<f64>> {
        self.validate()?;
        let table = match self {
            Self::Table(table) => table,
            Self::Balanced => {
                let balanced = |&count: &u64| {
                    let (count, texts) = (count.max(1) as f64, texts as f64);
                    match output {
                        OutputKind::Softmax => texts / (counts.len() as f64 * count),
                        // A class that all texts have cannot be balanced.
                        OutputKind::Sigmoid if texts <= count => 1.0,
                        OutputKind::Sigmoid => (texts - count) / count,
                    }
                };
                return Ok(counts.iter().map(balanced).collect());
            }
        };
        if let Some(name) = table.keys().find(|name| labels.class_of(name).is_none()) {
            return Err(Error::config(
                format!("{KEY}.{name}"),
                format!("{name:?} is not a class"),
                format!("the classes are {}", listed(labels.names())),
            ));
        }
        let weight = |name: &String| table.get(name).copied().unwrap_or(1.0);
        Ok(labels.names().iter().map(weight).collect())
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str(BALANCED),
            Self::Table(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Weights;
        impl<'de> Visitor<'de> for Weights {
            type Value = ClassWeights;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"balanced\" or a table of weights by class, such as { positive = 2.0 }",
                )
            }

            fn visit_str<E: serde::de::Error>(
                self,
                text: &str,
            ) -> std::result::Result<ClassWeights, E> {
                match text {
                    BALANCED => Ok(ClassWeights::Balanced),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<M: MapAccess<'de>>(
                self,
                mut map: M,
            ) -> std::result::Result<ClassWeights, M::Error> {
                let mut weights = BTreeMap::new();
                while let Some((class, weight)) = map.next_entry::<String, f64>()? {
                    weights.insert(class, weight);
                }
                Ok(ClassWeights::Table(weights))
            }
        }
        deserializer.deserialize_any(Weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels::new(["a", "b", "c"].map(str::to_owned).to_vec()).unwrap()
    }

    #[test]
    fn balanced_classes_weigh_the_same_in_sum() {
        let counts = [6, 3, 1];
        let of = |output| {
            ClassWeights::Balanced
                .of_classes(&labels(), &counts, 10, output)
                .unwrap()
        };
        let weights = of(OutputKind::Softmax);
        for (weight, count) in weights.iter().zip(counts) {
            assert!((weight * count as f64 - 10.0 / 3.0).abs() < 1e-12);
        }
        assert_eq!(of(OutputKind::Sigmoid), [4.0 / 6.0, 7.0 / 3.0, 9.0]);
        let all =
            ClassWeights::Balanced.of_classes(&labels(), &[10, 5, 0], 10, OutputKind::Sigmoid);
        assert_eq!(all.unwrap(), [1.0, 1.0, 9.0]);
    }

    #[test]
    fn a_table_names_classes() {
        let table =
            |name: &str, weight| ClassWeights::Table(BTreeMap::from([(name.to_owned(), weight)]));
        let of =
            |weights: ClassWeights| weights.of_classes(&labels(), &[1; 3], 3, OutputKind::Softmax);
        assert_eq!(of(table("b", 2.5)).unwrap(), [1.0, 2.5, 1.0]);
        assert_eq!(
            of(table("d", 2.0)).unwrap_err().to_string(),
            "configuration, train.class_weights.d: \"d\" is not a class; the classes are \"a\", \"b\", \"c\""
        );
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let message = of(table("a", wrong)).unwrap_err().to_string();
            assert_eq!(
                message,
                format!(
                    "configuration, train.class_weights.a: {wrong} is out of range; use a number above 0"
                )
            );
        }
    }

    #[test]
    fn both_forms_are_read_and_written() {
        for text in ["\"balanced\"", "{\"a\":2.0,\"b\":0.5}"] {
            let weights: ClassWeights = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&weights).unwrap(), text);
        }
        let message = serde_json::from_str::<ClassWeights>("\"equal\"")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("expected \"balanced\" or a table of weights by class"),
            "{message}"
        );
    }
}
