//! The contents of a model's files: what is shipped, served, pickled and copied.

use super::bytes::Bytes;
use super::checksums::config_json;
use super::model_directory::{
    CONFIG, ModelFile, SavedClassifier, TOKENIZER, WEIGHTS, check_folder, present, read,
    weights_to_bytes,
};
use super::output_fit::OutputFit;
use crate::dataset::hexadecimal;
use crate::error::{Error, Result};
use crate::fs::atomic;
use crate::text::TextEncoder;
use candle_core::Tensor;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The contents of `config.json`, `tokenizer.json` and `model.safetensors`. Cheap to clone; a classifier that is made from
/// them shares the bytes of its embedding table with them.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    pub(super) config: Bytes,
    pub(super) tokenizer: Bytes,
    pub(super) weights: Bytes,
}

impl ModelFiles {
    /// Contents that are in memory. They are checked when a classifier is made from them.
    pub fn new(
        config: impl Into<Cow<'static, [u8]>>,
        tokenizer: impl Into<Cow<'static, [u8]>>,
        weights: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        Self {
            config: config.into().into(),
            tokenizer: tokenizer.into().into(),
            weights: weights.into().into(),
        }
    }

    /// Reads the files of a folder into memory.
    ///
    /// # Errors
    /// A missing file, or one that cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        check_folder(folder)?;
        let weights = present(folder, WEIGHTS)?;
        Ok(Self::new(
            read(folder, CONFIG)?,
            read(folder, TOKENIZER)?,
            std::fs::read(&weights).map_err(Error::io("read", &weights))?,
        ))
    }

    /// The model that is part of this program.
    ///
    /// # Errors
    /// A build without the feature `shipped`.
    pub fn shipped() -> Result<Self> {
        let (config, tokenizer, weights) = super::shipped::files()?;
        Ok(Self::new(config, tokenizer, weights))
    }

    /// The files of a model that has been trained in memory, as a run writes them.
    ///
    /// # Errors
    /// As [`SavedClassifier::write_weights`].
    pub fn of_trained(
        file: &ModelFile,
        encoder: &TextEncoder,
        tensors: &BTreeMap<String, Tensor>,
        output_fit: &OutputFit,
    ) -> Result<Self> {
        let tokenizer = encoder.to_json()?.into_bytes();
        Ok(Self::new(
            config_json(file, &tokenizer)?,
            tokenizer,
            weights_to_bytes(tensors, output_fit)?,
        ))
    }

    /// The content of each file: `config.json`, `tokenizer.json` and `model.safetensors`.
    pub fn contents(&self) -> [&[u8]; 3] {
        [&self.config, &self.tokenizer, &self.weights]
    }

    /// The SHA-256 of the three contents, one after the other, in hexadecimal digits: it names the exact version.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for content in self.contents() {
            hash.update(content);
        }
        hexadecimal(hash)
    }

    /// Writes the files to a folder, which is created; files of these names are replaced, each as a whole.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let [config, tokenizer, weights] = self.contents();
        for (name, content) in [(TOKENIZER, tokenizer), (WEIGHTS, weights), (CONFIG, config)] {
            atomic::write_file(&folder.join(name), content)?;
        }
        Ok(())
    }

    /// The files of a model in its folder, whether they are there or not.
    pub fn paths(folder: &Path) -> [PathBuf; 3] {
        [CONFIG, TOKENIZER, WEIGHTS].map(|name| folder.join(name))
    }
}

impl SavedClassifier {
    /// Loads a model from the contents of its files; in errors they are files of the folder `path`.
    ///
    /// # Errors
    /// Those of [`SavedClassifier::load`], except for missing files.
    pub fn from_files(
        path: &Path,
        files: &ModelFiles,
        device: &candle_core::Device,
    ) -> Result<Self> {
        Self::of_contents(
            path,
            &files.config,
            &files.tokenizer,
            files.weights.clone(),
            device,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Classifier;
    use candle_core::Device;

    #[test]
    fn contents_written_and_read_are_the_same_model() {
        let folder = tempfile::tempdir().unwrap();
        let files = ModelFiles::read(Path::new("data/pretrained")).unwrap();
        let copy = folder.path().join("new/copy");
        files.write(&copy).unwrap();
        let read = ModelFiles::read(&copy).unwrap();
        assert_eq!(read.contents(), files.contents());
        assert_eq!((read.hash(), read.hash().len()), (files.hash(), 64));
        let model = SavedClassifier::from_files(&copy, &read, &Device::Cpu).unwrap();
        let model = Classifier::from(model);
        let original = Classifier::from_dir("data/pretrained", &Device::Cpu).unwrap();
        let texts = ["Not bad at all!"];
        assert_eq!(
            model.predict(&texts).unwrap(),
            original.predict(&texts).unwrap()
        );
    }
}
