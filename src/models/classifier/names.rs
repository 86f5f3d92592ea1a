//! The names of a classifier's parameters in a program that builds it under a prefix.

use super::{BiRnn, EMBEDDING};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// The name of the decoder's weights within the classifier.
const DECODER: &str = "decoder.weight";

/// How a program names the parameters of a classifier: under a prefix, if it has one, and the embedding table perhaps
/// elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    embedding: String,
    /// Empty, or such as `net.`.
    prefix: String,
}

impl BiRnn {
    /// The names of this classifier's parameters, found by the tensors of its embedding and its decoder.
    ///
    /// # Errors
    /// The tensors are not among the parameters, so that an update would not reach the model; or the embedding table
    /// is read from a file.
    pub(crate) fn names_in(&self, parameters: &Parameters) -> Result<Names> {
        let Some(table) = self.embedding.tensor() else {
            return Err(untrainable());
        };
        let name_of = |tensor: &Tensor, role: &str| {
            parameters.name_of(tensor).ok_or_else(|| {
                let problem = format!(
                    "the model's {role} is not among them; give those that were created with it"
                );
                Error::argument("parameters", problem)
            })
        };
        let embedding = name_of(table, EMBEDDING)?.to_owned();
        let decoder = name_of(self.decoder.weight(), DECODER)?;
        let prefix = decoder.strip_suffix(DECODER).ok_or_else(|| {
            let problem = format!("the model's {DECODER} is called {decoder} there");
            Error::argument("parameters", problem)
        })?;
        Ok(Names {
            embedding,
            prefix: prefix.to_owned(),
        })
    }
}

/// The error for a classifier whose embedding table is not a tensor.
pub(super) fn untrainable() -> Error {
    let problem = "its embedding table is read from a file and cannot be trained";
    Error::argument("model", problem)
}

impl Names {
    /// The program's name of the embedding table.
    pub(crate) fn embedding(&self) -> &str {
        &self.embedding
    }

    /// The name within the classifier of a parameter of the program; `None` for one that is not the classifier's.
    pub(crate) fn within<'a>(&self, name: &'a str) -> Option<&'a str> {
        match name == self.embedding {
            true => Some(EMBEDDING),
            false => name
                .strip_prefix(self.prefix.as_str())
                .filter(|name| *name != EMBEDDING),
        }
    }

    /// The classifier's own parameters, by their names within it.
    pub(crate) fn of_model(
        &self,
        parameters: BTreeMap<String, Tensor>,
    ) -> BTreeMap<String, Tensor> {
        let named = |(name, tensor): (String, Tensor)| Some((self.within(&name)?.into(), tensor));
        parameters.into_iter().filter_map(named).collect()
    }
}
