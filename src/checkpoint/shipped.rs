//! The model that is part of this program, `data/pretrained`, with the feature `shipped`.

use super::SavedClassifier;
use crate::error::Result;
use candle_core::Device;
use std::path::Path;

/// Its name in messages.
pub(super) const NAME: &str = "the shipped model";

type Files = (&'static [u8], &'static [u8], &'static [u8]);

/// The contents of `config.json`, `tokenizer.json` and `model.safetensors`.
///
/// # Errors
/// A build without them.
#[cfg(feature = "shipped")]
pub(super) fn files() -> Result<Files> {
    Ok((
        include_bytes!("../../data/pretrained/config.json"),
        include_bytes!("../../data/pretrained/tokenizer.json"),
        include_bytes!("../../data/pretrained/model.safetensors"),
    ))
}

#[cfg(not(feature = "shipped"))]
pub(super) fn files() -> Result<Files> {
    Err(crate::Error::model(
        Path::new(NAME),
        "it is not part of this build",
        "build birnn with the feature `shipped`, or give the folder of a model",
    ))
}

impl SavedClassifier {
    /// The model that is part of this program.
    ///
    /// # Errors
    /// A build without the feature `shipped`.
    pub fn shipped(device: &Device) -> Result<Self> {
        let (config, tokenizer, weights) = files()?;
        Self::from_bytes(Path::new(NAME), config, tokenizer, weights, device)
    }
}

#[cfg(all(test, feature = "shipped"))]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_list_beside_the_model_has_its_hashes() {
        let hash = |content: &[u8]| -> String {
            let hash = Sha256::digest(content);
            hash.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let (config, tokenizer, weights) = files().unwrap();
        let expected = format!(
            "{}  config.json\n{}  tokenizer.json\n{}  model.safetensors\n",
            hash(config),
            hash(tokenizer),
            hash(weights)
        );
        assert_eq!(include_str!("../../data/pretrained/SHA256SUMS"), expected);
    }
}
