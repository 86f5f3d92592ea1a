//! The model that is part of this program, and the choice of another one with `--model`.

use anyhow::Context;
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::inference::{Classifier, Ensemble};
use birnn::parameters::Rename;
use candle_core::Device;
use std::path::PathBuf;

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
    let model = SavedClassifier::shipped(device).map(Classifier::from);
    let model = model.context(
        "the model that is part of this program (build birnn again from an intact copy of its source, or give another \
         --model)",
    )?;
    Ok(model.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_this_program_loads() {
        let model = models(&[], &[], &Device::Cpu).unwrap();
        assert_eq!(model.models().len(), 1);
    }
}
