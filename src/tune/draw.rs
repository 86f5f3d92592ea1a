//! Drawing trials from a space.

use super::space::{Choices, Overrides, Space};
use crate::rng::{Rng, Stream};
use toml::Value;

impl Space {
    /// The values of a trial, determined by the three numbers; `attempt` is for another draw in place of one that cannot
    /// be used. One key at random is drawn anew, and each of the others with a probability of one half: a config that
    /// differs from a good one in all keys is rarely better.
    ///
    /// The space must not be empty.
    pub(super) fn draw(&self, seed: u64, trial: u64, attempt: u64) -> Overrides {
        let mut rng = Rng::new(seed, Stream::Trials, trial, attempt);
        let sure = rng.below(self.keys().len());
        let mut drawn = Overrides::new();
        for (index, (key, choices)) in self.keys().enumerate() {
            // Both numbers for every key, so that the keys do not depend on each other.
            let is_drawn = rng.uniform() < 0.5 || index == sure;
            let value = choices.at(rng.uniform());
            if is_drawn {
                drawn.insert(key.to_owned(), value);
            }
        }
        drawn
    }
}

impl Choices {
    /// The value at a share from 0 to below 1 of all.
    fn at(&self, share: f64) -> Value {
        match self {
            Self::Values(values) => {
                let index = (share * values.len() as f64) as usize;
                values[index.min(values.len() - 1)].clone()
            }
            &Self::Integers { min, max, log } => {
                // Up to the next integer, so that the last one is as frequent as others.
                let number = between(min as f64, max as f64 + 1.0, log, share).floor();
                Value::Integer((number as i64).clamp(min, max))
            }
            &Self::Numbers { min, max, log } => {
                let number = between(min, max, log, share);
                Value::Float(rounded(number).clamp(min, max))
            }
        }
    }
}

fn between(min: f64, max: f64, log: bool, share: f64) -> f64 {
    match log {
        true => min * (max / min).powf(share),
        false => min + (max - min) * share,
    }
}

/// Three significant digits, which are read more easily and lose nothing.
fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn space(text: &str) -> Space {
        Space::from_toml(Path::new("space.toml"), text, &mut |_| ()).unwrap()
    }

    const THREE: &str = "model.num_layers = [1, 2]
        model.num_hiddens = { min = 10, max = 12 }
        train.learning_rate = { min = 1e-4, max = 1e-2, log = true }";

    #[test]
    fn the_numbers_decide_the_draw() {
        let space = space(THREE);
        let draws =
            |seed| -> Vec<Overrides> { (1..20).map(|trial| space.draw(seed, trial, 0)).collect() };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert_ne!(space.draw(1, 1, 0), space.draw(1, 1, 1));
    }

    #[test]
    fn values_stay_within_their_ranges_and_cover_them() {
        let space = space(THREE);
        let draws: Vec<Overrides> = (0..2000).map(|trial| space.draw(0, trial, 0)).collect();
        let of = |key: &str| -> Vec<Value> {
            draws
                .iter()
                .filter_map(|draw| draw.get(key).cloned())
                .collect()
        };
        // One in three is drawn for sure, and half of the others.
        let share = of("model.num_layers").len() as f64 / 2000.0;
        assert!((share - 2.0 / 3.0).abs() < 0.05, "{share}");
        assert!(draws.iter().all(|draw| !draw.is_empty()));
        let set = |key: &str| -> BTreeSet<i64> {
            of(key)
                .iter()
                .map(|value| value.as_integer().unwrap())
                .collect()
        };
        assert_eq!(set("model.num_layers"), [1, 2].into());
        assert_eq!(set("model.num_hiddens"), [10, 11, 12].into());
        let rates: Vec<f64> = of("train.learning_rate")
            .iter()
            .map(|value| value.as_float().unwrap())
            .collect();
        assert!(rates.iter().all(|rate| (1e-4..=1e-2).contains(rate)));
        // Half of them are below the geometric mean.
        let low = rates.iter().filter(|rate| **rate < 1e-3).count() as f64 / rates.len() as f64;
        assert!((low - 0.5).abs() < 0.05, "{low}");
        assert!(
            rates
                .iter()
                .all(|rate| format!("{rate:e}").len() <= "1.23e-4".len())
        );
    }

    #[test]
    fn the_ends_of_a_range_are_reached_and_not_passed() {
        let at = |choices: &Choices, share| choices.at(share);
        let integers = Choices::Integers {
            min: 8,
            max: 64,
            log: true,
        };
        assert_eq!(at(&integers, 0.0), Value::Integer(8));
        assert_eq!(at(&integers, 1.0 - f64::EPSILON), Value::Integer(64));
        let numbers = Choices::Numbers {
            min: 0.12345,
            max: 0.98765,
            log: false,
        };
        assert_eq!(at(&numbers, 0.0), Value::Float(0.12345));
        assert_eq!(at(&numbers, 1.0 - f64::EPSILON), Value::Float(0.98765));
        assert_eq!(at(&numbers, 0.5), Value::Float(0.556));
    }
}
