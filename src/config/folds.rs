//! The number of parts of cross-validation.

use super::auto_or::{Auto, AutoOr};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// In how many parts the training texts are cross-validated where there is no validation split: 1 leaves out one tenth of
/// them once; 0 holds out a part of them, which is never trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AutoOr<usize>", into = "AutoOr<usize>")]
pub enum Folds {
    /// Few texts are cross-validated, of more a tenth is left out once, and of many a part is held out.
    Auto,
    /// This number.
    Fixed(usize),
}

/// Fewer texts than this are cross-validated: the tenth that would be held out is too small to choose by.
const FEW_TEXTS: usize = 2000;

/// But only if they have fewer characters than this in all, as each text is read several times as often.
const FEW_CHARACTERS: usize = 1_000_000;

/// The number of parts for few texts.
const PARTS: usize = 5;

/// Fewer texts than this with fewer characters than this in all are trained on twice: without a tenth, then all of them. Of
/// more, the tenth would hardly be missed.
const MANY_TEXTS: usize = 20_000;
const MANY_CHARACTERS: usize = 10_000_000;

/// The most parts that can be asked for.
const MOST: usize = 100;

impl Folds {
    /// The number of parts for so many texts, with so many characters in all.
    pub fn parts(self, texts: usize, characters: usize) -> usize {
        match self {
            Self::Fixed(parts) => parts,
            Self::Auto if texts < FEW_TEXTS && characters < FEW_CHARACTERS => PARTS,
            Self::Auto if texts < MANY_TEXTS && characters < MANY_CHARACTERS => 1,
            Self::Auto => 0,
        }
    }

    /// Checks the number.
    pub(super) fn validate(self) -> Result<()> {
        match self {
            Self::Fixed(parts) if parts > MOST => Err(Error::config(
                "train.folds",
                format!("{parts} is out of range"),
                format!("use \"auto\" or a number from 0 to {MOST}"),
            )),
            _ => Ok(()),
        }
    }
}

impl From<AutoOr<usize>> for Folds {
    fn from(written: AutoOr<usize>) -> Self {
        match written {
            AutoOr::Auto(_) => Self::Auto,
            AutoOr::Fixed(value) => Self::Fixed(value),
        }
    }
}

impl From<Folds> for AutoOr<usize> {
    fn from(value: Folds) -> Self {
        match value {
            Folds::Auto => Self::Auto(Auto::Auto),
            Folds::Fixed(value) => Self::Fixed(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_short_texts_are_cross_validated() {
        let parts = |texts, characters| Folds::Auto.parts(texts, characters);
        assert_eq!((parts(1999, 999_999), parts(2000, 10)), (5, 1));
        assert_eq!((parts(10, 1_000_000), parts(10, 10_000_000)), (1, 0));
        assert_eq!((parts(19_999, 10), parts(20_000, 10)), (1, 0));
        assert_eq!(Folds::Fixed(3).parts(1 << 20, 1 << 30), 3);
    }

    #[test]
    fn a_number_or_the_word_auto() {
        for (json, folds) in [
            ("\"auto\"", Folds::Auto),
            ("0", Folds::Fixed(0)),
            ("7", Folds::Fixed(7)),
        ] {
            assert_eq!(serde_json::from_str::<Folds>(json).unwrap(), folds);
            assert_eq!(serde_json::to_string(&folds).unwrap(), json);
        }
        for json in ["\"few\"", "-1", "2.5"] {
            assert!(serde_json::from_str::<Folds>(json).is_err());
        }
        assert!(Folds::Fixed(0).validate().is_ok());
        let message = Folds::Fixed(101).validate().unwrap_err().to_string();
        assert_eq!(
            message,
            "configuration, train.folds: 101 is out of range; use \"auto\" or a number from 0 to 100"
        );
    }
}
