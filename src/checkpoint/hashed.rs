//! Models with the hash of their files, which names their exact version.

use super::model_directory::{
    CONFIG, SavedClassifier, TOKENIZER, WEIGHTS, check_folder, present, read,
};
use crate::error::{Error, Result};
use candle_core::Device;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The files of a model in its folder, whether they are there or not.
pub(crate) fn model_files(folder: &Path) -> [PathBuf; 3] {
    [CONFIG, TOKENIZER, WEIGHTS].map(|name| folder.join(name))
}

/// The SHA-256 of the contents of the files, one after the other.
pub(crate) fn hash_of_files(config: &[u8], tokenizer: &[u8], weights: &[u8]) -> String {
    let mut hash = Sha256::new();
    for content in [config, tokenizer, weights] {
        hash.update(content);
    }
    let hash = hash.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl SavedClassifier {
    /// Reads a model into memory, as [`Loading::Read`](super::Loading::Read) does, with the hash of what was read.
    pub(crate) fn read_with_hash(folder: &Path, device: &Device) -> Result<(Self, String)> {
        check_folder(folder)?;
        let config = read(folder, CONFIG)?;
        let tokenizer = read(folder, TOKENIZER)?;
        let weights = present(folder, WEIGHTS)?;
        let weights = std::fs::read(&weights).map_err(Error::io("read", &weights))?;
        let hash = hash_of_files(&config, &tokenizer, &weights);
        let saved = Self::from_bytes(folder, &config, &tokenizer, weights, device)?;
        Ok((saved, hash))
    }
}
