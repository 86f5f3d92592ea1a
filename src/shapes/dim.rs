//! Dimensions in symbols: `4*num_hiddens`.

use std::collections::BTreeMap;
use std::fmt;

/// A quantity that determines shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Symbol {
    /// Number of texts in the batch.
    Batch,
    /// Number of tokens of all texts of the batch, without padding.
    Tokens,
    /// Number of tokens of the longest text.
    Steps,
    /// Number of rows of the embedding table.
    Vocabulary,
    /// Number of rows of the embedding table that the batch uses.
    UsedRows,
    /// Number of features of an embedded token.
    EmbeddingSize,
    /// Number of hidden units per direction.
    NumHiddens,
    /// Number of recurrent layers.
    NumLayers,
    /// Number of directions: 1 or 2.
    Directions,
    /// Number of classes.
    Classes,
    /// Number of n-grams with a score.
    Features,
}

impl Symbol {
    /// The display name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Tokens => "tokens",
            Self::Steps => "steps",
            Self::Vocabulary => "vocabulary",
            Self::UsedRows => "used_rows",
            Self::EmbeddingSize => "embedding_size",
            Self::NumHiddens => "num_hiddens",
            Self::NumLayers => "num_layers",
            Self::Directions => "directions",
            Self::Classes => "classes",
            Self::Features => "features",
        }
    }
}

/// The values of the symbols in one run.
pub type Values = BTreeMap<Symbol, usize>;

/// A dimension: a number times symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dim {
    factor: usize,
    symbols: Vec<Symbol>,
}

impl Dim {
    /// A number times symbols.
    pub(super) fn new(factor: usize, symbols: &[Symbol]) -> Self {
        Self {
            factor,
            symbols: symbols.to_vec(),
        }
    }

    /// The dimension in numbers; `None` if a symbol has no value.
    pub fn value(&self, values: &Values) -> Option<usize> {
        let mut factors = self.symbols.iter().map(|symbol| values.get(symbol));
        factors.try_fold(self.factor, |product, factor| Some(product * factor?))
    }
}

impl From<Symbol> for Dim {
    fn from(symbol: Symbol) -> Self {
        Self::new(1, &[symbol])
    }
}

impl From<usize> for Dim {
    fn from(number: usize) -> Self {
        Self::new(number, &[])
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbols = self.symbols.iter().map(|symbol| symbol.name().to_owned());
        let mut parts: Vec<String> = symbols.collect();
        if self.factor != 1 || parts.is_empty() {
            parts.insert(0, self.factor.to_string());
        }
        f.write_str(&parts.join("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_formatted_and_evaluated() {
        let values: Values = [(Symbol::NumHiddens, 5), (Symbol::NumLayers, 2)].into();
        for (dim, text, value) in [
            (Dim::from(Symbol::NumHiddens), "num_hiddens", Some(5)),
            (
                Dim::new(4, &[Symbol::NumHiddens]),
                "4*num_hiddens",
                Some(20),
            ),
            (
                Dim::new(1, &[Symbol::NumLayers, Symbol::NumHiddens]),
                "num_layers*num_hiddens",
                Some(10),
            ),
            (Dim::from(2), "2", Some(2)),
            (Dim::from(1), "1", Some(1)),
            (Dim::from(Symbol::Batch), "batch", None),
        ] {
            assert_eq!(dim.to_string(), text);
            assert_eq!(dim.value(&values), value);
        }
    }
}
