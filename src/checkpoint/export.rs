//! Copies of models for distribution: the three files without the run, optionally at half the size.

use super::checksums::{config_json, with_checksum};
use super::language_directory::{LanguageDirectory, parse_language_file};
use super::model_directory::{CONFIG, Loading, SavedClassifier, TOKENIZER, WEIGHTS};
use super::model_directory::{read, weights_to_bytes};
use super::output_fit::output_fit_of;
use super::weights::WeightFile;
use crate::error::{Error, Result};
use crate::fs::atomic;
use crate::models::classifier::EMBEDDING;
use crate::models::ngrams::NGRAM_KEYS;
use crate::parameters::{Rename, Weights};
use candle_core::{DType, Device, Tensor};
use std::path::Path;

/// A matrix with more elements than this is stored in half precision.
const WORTH_HALVING: usize = 65_536;

/// Copies the classifier or language model in the folder `from` to the folder `to` and returns the size of the new
/// `model.safetensors` in bytes. Its tensors are renamed, one renaming after the other. With `half` the embedding
/// table, and every other matrix of more than 65,536 elements, is stored in half precision (F16), the rest in single
/// precision; without it the numbers are copied unchanged. The copy has checksums, even if the model has none.
///
/// # Errors
/// There is no intact model in `from`, a renaming that matches no name or gives two tensors one name, `to` already
/// holds a model or cannot be written, or a number is too large for half precision.
pub fn export(from: &Path, to: &Path, half: bool, renames: &[Rename]) -> Result<usize> {
    // Reports any problem with the model.
    let config = match LanguageDirectory::is_in(from) {
        true => {
            LanguageDirectory::load_renamed(from, renames, &Device::Cpu)?;
            let (file, _) = parse_language_file(&read(from, CONFIG)?, &from.join(CONFIG))?;
            config_json(&file, &read(from, TOKENIZER)?)?
        }
        false => {
            let model =
                SavedClassifier::load_renamed(from, Loading::Mapped, renames, &Device::Cpu)?;
            config_json(&model.file, &read(from, TOKENIZER)?)?
        }
    };
    check_free(to)?;
    let path = from.join(WEIGHTS);
    let weights = match (half, renames) {
        (true, _) => halved(&path, renames)?,
        (false, []) => with_checksum(&path, read(from, WEIGHTS)?)?,
        (false, _) => renamed(&path, renames)?,
    };
    std::fs::create_dir_all(to).map_err(Error::io("create", to))?;
    atomic::write_file(&to.join(TOKENIZER), &read(from, TOKENIZER)?)?;
    atomic::write_file(&to.join(WEIGHTS), &weights)?;
    // Written last, as it marks the model as complete.
    atomic::write_file(&to.join(CONFIG), &config)?;
    Ok(weights.len())
}

fn check_free(folder: &Path) -> Result<()> {
    if folder.exists() && !folder.is_dir() {
        return Err(Error::model(
            folder,
            "this is a file, not a folder",
            "choose another --out",
        ));
    }
    let names = [CONFIG, TOKENIZER, WEIGHTS];
    match names.into_iter().find(|name| folder.join(name).exists()) {
        Some(name) => Err(Error::model(
            folder,
            format!("the folder already holds a model ({name})"),
            "choose another --out",
        )),
        None => Ok(()),
    }
}

/// A safetensors file with other names.
fn renamed(path: &Path, renames: &[Rename]) -> Result<Vec<u8>> {
    let mut weights = Weights::load(path, &Device::Cpu)?;
    for Rename { from, to } in renames {
        weights.rename(from, to)?;
    }
    let tensors = weights
        .iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect();
    weights_to_bytes(&tensors, &output_fit_of(&WeightFile::open(path)?)?)
}

/// A safetensors file with its large matrices in half precision, and other names.
fn halved(path: &Path, renames: &[Rename]) -> Result<Vec<u8>> {
    let mut weights = WeightFile::open(path)?;
    weights.rename(renames)?;
    let mut tensors = weights.tensors(&Device::Cpu)?;
    for (name, tensor) in &mut tensors {
        let large = tensor.rank() == 2 && tensor.elem_count() > WORTH_HALVING;
        // N-gram keys stay as they are: whole numbers of 24 bits.
        if name == EMBEDDING || large && name != NGRAM_KEYS {
            *tensor = in_half_precision(tensor)?.ok_or_else(|| {
                Error::model(
                    path,
                    format!("{name} holds numbers that are too large for half precision"),
                    "export it without --half",
                )
            })?;
        }
    }
    weights_to_bytes(&tensors, &output_fit_of(&weights)?)
}

/// A tensor as F16; `None` if one of its numbers is out of range.
fn in_half_precision(tensor: &Tensor) -> Result<Option<Tensor>> {
    let half = tensor.to_dtype(DType::F16)?;
    let values: Vec<f32> = half.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let finite = values.iter().all(|value| value.is_finite());
    Ok(finite.then_some(half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::OutputFit;
    use std::collections::BTreeMap;

    #[test]
    fn the_embedding_and_large_matrices_are_halved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let mut tensors = BTreeMap::from([
            (EMBEDDING.to_owned(), zeros(&[3, 2])),
            ("small".to_owned(), zeros(&[256, 256])),
            ("large".to_owned(), zeros(&[256, 257])),
            ("long".to_owned(), zeros(&[70_000])),
            (NGRAM_KEYS.to_owned(), zeros(&[40_000, 2])),
        ]);
        let write = |tensors: &BTreeMap<String, Tensor>| {
            std::fs::write(
                &path,
                weights_to_bytes(tensors, &OutputFit::default()).unwrap(),
            )
            .unwrap();
        };
        write(&tensors);
        let bytes = halved(&path, &[]).unwrap();
        let found = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
        let dtype = |name: &str| found[name].dtype();
        assert_eq!((dtype(EMBEDDING), dtype("large")), (DType::F16, DType::F16));
        assert_eq!((dtype("small"), dtype("long")), (DType::F32, DType::F32));
        assert_eq!(dtype(NGRAM_KEYS), DType::F32);

        let large = Tensor::new(&[[65_504f32, 1e5]], &Device::Cpu).unwrap();
        tensors.insert(EMBEDDING.to_owned(), large);
        write(&tensors);
        let message = halved(&path, &[]).unwrap_err().to_string();
        assert!(
            message.ends_with(
                "embedding.weight holds numbers that are too large for half precision; export it \
                 without --half"
            ),
            "{message}"
        );
    }
}
