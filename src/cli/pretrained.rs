//! The model that is part of this program, and the choice of another one with `--model`.

use anyhow::Context;
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::inference::{Classifier, Ensemble};
use birnn::parameters::Rename;
use candle_core::Device;
use std::path::PathBuf;

/// The files of `data/pretrained`.
static CONFIG: &[u8] = include_bytes!("../../data/pretrained/config.json");
static TOKENIZER: &[u8] = include_bytes!("../../data/pretrained/tokenizer.json");
static WEIGHTS: &[u8] = include_bytes!("../../data/pretrained/model.safetensors");

/// The models in these folders with their weights renamed, or the one that is part of this program if there are none.
pub(super) fn models(
    folders: &[PathBuf],
    renames: &[Rename],
    device: &Device,
) -> anyhow::Result<Ensemble> {
    if !folders.is_empty() {
        let models = folders.iter().map(|folder| {
            let saved = SavedClassifier::load_renamed(folder, Loading::Mapped, renames, device)?;
            Ok(Classifier::from(saved))
        });
        return Ok(Ensemble::new(models.collect::<birnn::Result<_>>()?)?);
    }
    let model = Classifier::from_bytes(CONFIG, TOKENIZER, WEIGHTS, device);
    let model = model.context(
        "the model that is part of this program (build birnn again from an intact copy of its source, or give another \
         --model)",
    )?;
    Ok(model.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_model_of_this_program_loads() {
        let model = models(&[], &[], &Device::Cpu).unwrap();
        assert_eq!(model.models().len(), 1);
    }

    #[test]
    fn the_list_beside_the_model_has_its_hashes() {
        let hash = |content: &[u8]| -> String {
            let hash = Sha256::digest(content);
            hash.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let expected = format!(
            "{}  config.json\n{}  tokenizer.json\n{}  model.safetensors\n",
            hash(CONFIG),
            hash(TOKENIZER),
            hash(WEIGHTS)
        );
        assert_eq!(include_str!("../../data/pretrained/SHA256SUMS"), expected);
    }
}
