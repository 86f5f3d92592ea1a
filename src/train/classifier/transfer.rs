//! Initialising a classifier from a language model or from another classifier.

use crate::checkpoint::{Beginning, LanguageDirectory};
use crate::data::Labels;
use crate::error::{Error, Result};
use crate::models::classifier::{EMBEDDING, ModelConfig};
use crate::parameters::Parameters;
use crate::text::TextEncoder;
use crate::vectors::from_parts;
use candle_core::{Device, Tensor};

/// Copies the embeddings and the recurrent layers that the language model shares with the classifier: the first layer
/// of a bidirectional one, the forward direction of the layers of a unidirectional one. Returns the names of the
/// parameters that were set. Both models must have the same vocabulary. The classifier may have been built under a
/// prefix.
///
/// # Errors
/// A language model with another cell or size; the error names the key of the config to change. Parameters without an
/// embedding, or of several classifiers.
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
    let prefix = parameters.prefix_of(EMBEDDING)?;
    for (full_name, var) in parameters.iter() {
        let Some(name) = full_name.strip_prefix(prefix) else {
            continue;
        };
        let Some(value) = language.tensors.get(name) else {
            continue;
        };
        let is_shared = name == EMBEDDING || name.starts_with("encoder.");
        if !is_shared {
            continue;
        }
        if value.shape() == var.shape() {
            var.set(value)?;
            set.push(full_name.to_owned());
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

/// Copies the embeddings and the recurrent layers of a classifier, whose tokens are the first ones of `encoder`; also the
/// decoder if the classes are the same. Further tokens get vectors from the tokens that share parts with them
/// ([`from_parts`]). Returns the names of the parameters that were set. The classifier that is initialised may have
/// been built under a prefix.
///
/// # Errors
/// Parameters of another shape, or without an embedding, or of several classifiers.
pub fn init_from_classifier(
    parameters: &Parameters,
    beginning: &Beginning,
    encoder: &TextEncoder,
    labels: &Labels,
) -> Result<Vec<String>> {
    let mut set = Vec::new();
    let prefix = parameters.prefix_of(EMBEDDING)?;
    let same_classes = beginning.labels == *labels;
    for (full_name, var) in parameters.iter() {
        let Some(name) = full_name.strip_prefix(prefix) else {
            continue;
        };
        let Some(value) = beginning.tensors.get(name) else {
            continue;
        };
        if name == EMBEDDING {
            var.set(&with_new_rows(value, encoder)?.to_device(var.device())?)?;
        } else if name.starts_with("encoder.") || (name.starts_with("decoder.") && same_classes) {
            var.set(value)?;
        } else {
            continue;
        }
        set.push(full_name.to_owned());
    }
    Ok(set)
}

/// An embedding table [V, E] with rows for the further tokens of a tokenizer, on the CPU.
fn with_new_rows(table: &Tensor, encoder: &TextEncoder) -> Result<Tensor> {
    let table = table.to_device(&Device::Cpu)?;
    let (rows, width) = table.dims2()?;
    let vocabulary = encoder.vocabulary();
    let added: Vec<&str> = vocabulary[rows.min(vocabulary.len())..]
        .iter()
        .map(|(word, _)| word.as_str())
        .collect();
    if added.is_empty() {
        return Ok(table);
    }
    let known = vocabulary[..rows].iter().map(|(word, _)| word.as_str());
    let values = table.flatten_all()?.to_vec1()?;
    let new = from_parts(known, &values, width, &added);
    let new = Tensor::from_vec(new, (added.len(), width), &Device::Cpu)?;
    Ok(Tensor::cat(&[&table, &new], 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::text::TextConfig;
    use crate::train::classifier::initial_model;
    use std::path::PathBuf;

    fn encoder(texts: &[&str]) -> TextEncoder {
        let config = TextConfig {
            min_frequency: 1,
            ..TextConfig::default()
        };
        TextEncoder::train(texts, &config, &mut |_, _| ()).unwrap()
    }

    fn config(seed: u64) -> Config {
        let mut config = Config {
            seed,
            ..Config::default()
        };
        config.model.embedding_size = 3;
        config.model.num_hiddens = 2;
        config.model.num_layers = 1;
        config
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_classifier_gives_all_but_a_decoder_of_other_classes() {
        let labels = |names: &[&str]| {
            Labels::new(names.iter().map(|name| (*name).to_owned()).collect()).unwrap()
        };
        let old = encoder(&["walk walk walking talk"]);
        let config = config(1);
        let (_, source) =
            initial_model(&config, old.vocabulary_size(), 2, None, &Device::Cpu).unwrap();
        let beginning = Beginning {
            name: PathBuf::from("old"),
            model: config.model.clone(),
            labels: labels(&["a", "b"]),
            encoder: old.clone(),
            tensors: source.tensors(),
        };
        let settings = TextConfig {
            min_frequency: 1,
            ..TextConfig::default()
        };
        let new = old
            .extended(&["walk walker xyz"], &settings, &mut |_, _| ())
            .unwrap();
        assert_eq!(new.vocabulary_size(), old.vocabulary_size() + 2);
        for (names, same) in [(["a", "b"], true), (["a", "c"], false)] {
            let other = Config {
                seed: 2,
                ..config.clone()
            };
            let (_, parameters) =
                initial_model(&other, new.vocabulary_size(), 2, None, &Device::Cpu).unwrap();
            let set = init_from_classifier(&parameters, &beginning, &new, &labels(&names)).unwrap();
            assert_eq!(set.iter().any(|name| name.starts_with("decoder.")), same);
            for (name, var) in parameters.iter() {
                let (found, given) = (values(var), values(&beginning.tensors[name]));
                if name == EMBEDDING {
                    // Those of old tokens, then those of "walker" and "xyz".
                    assert_eq!(found[..given.len()], given);
                    let added = &found[given.len()..];
                    assert!(added[..3].iter().any(|value| *value != 0.0));
                    assert_eq!(added[3..], [0.0; 3]);
                } else if name.starts_with("encoder.") || same {
                    assert_eq!(found, given, "{name}");
                } else {
                    assert_ne!(found, given, "{name}");
                }
            }
        }
    }
}
