//! Beginning a classifier with a language model.

use crate::checkpoint::LanguageDirectory;
use crate::error::{Error, Result};
use crate::models::classifier::{EMBEDDING, ModelConfig};
use crate::parameters::Parameters;

/// Sets the embeddings of a classifier and the recurrent layers that the language model has too: of one in
/// two directions the first layer, of one in one direction its layers from left to right. Returns the names
/// of the parameters that were set. Both must have the same vocabulary.
///
/// # Errors
/// A language model of another cell or another size, which names the key of the config to change.
pub fn init_from_language_model(
    parameters: &Parameters,
    model: &ModelConfig,
    language: &LanguageDirectory,
) -> Result<Vec<String>> {
    let LanguageDirectory { path, config, .. } = language;
    let differs = |key: &str, own: String, theirs: String| {
        Err(Error::config(
            key,
            format!(
                "{own}, but the language model in {} has {theirs}",
                path.display()
            ),
            format!("set it to {theirs}"),
        ))
    };
    if model.cell != config.cell {
        return differs(
            "model.cell",
            model.cell.to_string(),
            config.cell.to_string(),
        );
    }
    for (key, own, theirs) in [
        (
            "model.embedding_size",
            model.embedding_size,
            config.embedding_size,
        ),
        ("model.num_hiddens", model.num_hiddens, config.num_hiddens),
    ] {
        if own != theirs {
            return differs(key, own.to_string(), theirs.to_string());
        }
    }
    if !model.bias {
        return differs("model.bias", "false".to_owned(), "true".to_owned());
    }
    let mut set = Vec::new();
    for (name, var) in parameters.iter() {
        let Some(value) = language.tensors.get(name) else {
            continue;
        };
        let is_shared = name == EMBEDDING || name.starts_with("encoder.");
        if !is_shared {
            continue;
        }
        if value.shape() == var.shape() {
            var.set(value)?;
            set.push(name.to_owned());
        } else if name == EMBEDDING {
            return Err(Error::model(
                path,
                format!(
                    "its vocabulary has {} tokens, but the classifier's {}",
                    value.dim(0)?,
                    var.dim(0)?
                ),
                "use its tokenizer: text.tokenizer = \"DIR/tokenizer.json\"",
            ));
        }
    }
    Ok(set)
}
