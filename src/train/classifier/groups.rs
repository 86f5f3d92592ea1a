//! Learning rates of parameter groups, and gradual unfreezing.

use crate::config::Config;
use crate::models::classifier::EMBEDDING;

/// The groups of a classifier's parameters, from the top down: the decoder, the recurrent layers from last to first,
/// the embeddings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ParamGroups {
    num_layers: usize,
    encoder_lr_multiplier: f64,
    embedding_lr_multiplier: f64,
    unfreeze_every: f64,
}

impl ParamGroups {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            num_layers: config.model.num_layers,
            encoder_lr_multiplier: config.train.encoder_lr_multiplier,
            embedding_lr_multiplier: config.train.embedding_lr_multiplier,
            unfreeze_every: config.train.unfreeze_every,
        }
    }

    /// The learning rate multiplier of a parameter after this many epochs; 0 while it is frozen.
    pub(super) fn lr_multiplier(&self, name: &str, epochs: f64) -> f64 {
        let (groups_above, lr_multiplier) = match layer_of(name) {
            Some(layer) => (
                self.num_layers - layer.min(self.num_layers),
                self.encoder_lr_multiplier,
            ),
            None if name == EMBEDDING => (self.num_layers + 1, self.embedding_lr_multiplier),
            None => (0, 1.0),
        };
        match epochs < self.unfreeze_every * groups_above as f64 {
            true => 0.0,
            false => lr_multiplier,
        }
    }
}

/// The number of the recurrent layer, from 0, of a parameter: 2 for `encoder.weight_ih_l2_reverse`.
fn layer_of(name: &str) -> Option<usize> {
    let (_, layer) = name.strip_prefix("encoder.")?.split_once("_l")?;
    layer.split('_').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_unfrozen_from_the_top_down() {
        let groups = ParamGroups {
            num_layers: 2,
            encoder_lr_multiplier: 0.5,
            embedding_lr_multiplier: 0.25,
            unfreeze_every: 1.0,
        };
        let names = [
            "decoder.weight",
            "encoder.weight_ih_l1_reverse",
            "encoder.bias_hh_l0",
            "embedding.weight",
        ];
        let at = |epochs| names.map(|name| groups.lr_multiplier(name, epochs));
        assert_eq!(at(0.0), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(at(1.0), [1.0, 0.5, 0.0, 0.0]);
        assert_eq!(at(2.5), [1.0, 0.5, 0.5, 0.0]);
        assert_eq!(at(3.0), [1.0, 0.5, 0.5, 0.25]);
        let at_once = ParamGroups {
            unfreeze_every: 0.0,
            ..groups
        };
        assert_eq!(at_once.lr_multiplier("embedding.weight", 0.0), 0.25);
    }
}
