//! The model that is part of this program, and the choice of another one with `--model`.

use anyhow::{Context, ensure};
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::inference::{Classifier, Ensemble};
use birnn::parameters::Rename;
use candle_core::Device;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// The files of `data/pretrained`.
static CONFIG: &[u8] = include_bytes!("../../data/pretrained/config.json");
static TOKENIZER: &[u8] = include_bytes!("../../data/pretrained/tokenizer.json");
static WEIGHTS: &[u8] = include_bytes!("../../data/pretrained/model.safetensors");

/// Their hashes, one per line, in the format of `sha256sum`.
const SUMS: &str = include_str!("../../data/pretrained/SHA256SUMS");

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
    for (name, content) in [
        ("config.json", CONFIG),
        ("tokenizer.json", TOKENIZER),
        ("model.safetensors", WEIGHTS),
    ] {
        check(name, content, SUMS).context("the model that is part of this program")?;
    }
    let model = Classifier::from_bytes(CONFIG, TOKENIZER, WEIGHTS, device);
    let model = model.context("the model that is part of this program")?;
    Ok(model.into())
}

/// Checks that a file has the hash given in a list.
fn check(name: &str, content: &[u8], sums: &str) -> anyhow::Result<()> {
    let remedy = "build birnn again from an intact copy of its source, or give another --model";
    let listed = sums
        .lines()
        .filter_map(|line| line.split_once("  "))
        .find(|(_, listed)| *listed == name);
    let Some((expected, _)) = listed else {
        anyhow::bail!("{name} is not in SHA256SUMS; {remedy}");
    };
    let found: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ensure!(
        found == expected,
        "{name} has the SHA-256 {found}, but SHA256SUMS has {expected}; {remedy}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_this_program_loads() {
        let model = models(&[], &[], &Device::Cpu).unwrap();
        assert_eq!(model.models().len(), 1);
        assert_eq!(SUMS.lines().count(), 3);
    }

    #[test]
    fn a_file_of_another_hash_is_refused() {
        // The hash of the three bytes `abc` (FIPS 180-2).
        let sums = "0123  a.json\n\
            ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b.json\n";
        check("b.json", b"abc", sums).unwrap();
        let message = check("b.json", b"abd", sums).unwrap_err().to_string();
        assert_eq!(
            message,
            "b.json has the SHA-256 a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9, \
             but SHA256SUMS has ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad; \
             build birnn again from an intact copy of its source, or give another --model"
        );
        assert!(check("a.json", b"abc", sums).is_err());
        let message = check("c.json", b"abc", sums).unwrap_err().to_string();
        assert!(message.starts_with("c.json is not in SHA256SUMS; build birnn again"));
    }
}
