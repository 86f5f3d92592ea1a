//! A classifier, its optimizer, and one step.

use super::adversarial::Adversarial;
use super::objective::Objective;
use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::models::classifier::{BiRnn, Names, OutputKind};
use crate::models::ngrams::is_of_ngrams;
use crate::optim::{Ema, Gradients, LearningRates, Weights};
use crate::parameters::Parameters;

/// A classifier with the state of its training.
///
/// A step is [`Learner::gradients`] over some batches, then [`Learner::update`].
#[derive(Debug)]
pub struct Learner {
    pub(super) model: BiRnn,
    pub(super) weights: Weights,
    pub(super) names: Names,
    pub(super) seed: u64,
    pub(super) objective: Objective,
    pub(super) label_smoothing: f64,
    pub(super) freeze_embeddings: bool,
    pub(super) adversarial: Adversarial,
}

impl Learner {
    /// A learner before its first step; `seed` determines the dropout. The model may have been built under a prefix,
    /// and beside other models.
    ///
    /// # Errors
    /// A setting out of range, virtual adversarial training of a model for several labels a text, a model whose tensors
    /// are not among the parameters, or a failing allocation on the device.
    pub fn new(
        settings: &TrainConfig,
        seed: u64,
        (model, parameters): (BiRnn, Parameters),
    ) -> Result<Self> {
        settings.validate()?;
        let output = model.output();
        if output == OutputKind::Sigmoid && settings.virtual_adversarial_weight > 0.0 {
            let problem = "not 0, but the model is for several labels a text";
            return Err(Error::argument("virtual_adversarial_weight", problem));
        }
        let names = model.names_in(&parameters)?;
        let averages = match settings.ema_decay {
            0.0 => None,
            // The n-gram head does not change.
            decay => Some(Ema::new(decay, &parameters, |name| {
                !names.within(name).is_some_and(is_of_ngrams)
            })?),
        };
        Ok(Self {
            model,
            weights: Weights::new(
                parameters,
                settings.optimizer(),
                averages,
                settings.clip_norm,
            ),
            names,
            seed,
            objective: Objective {
                output,
                class_weights: None,
            },
            label_smoothing: settings.label_smoothing,
            freeze_embeddings: settings.freeze_embeddings,
            adversarial: Adversarial {
                weight: settings.adversarial_weight,
                virtual_weight: settings.virtual_adversarial_weight,
                size: settings.adversarial_size,
            },
        })
    }

    /// The same with a weight above 0 for each class; see [`ClassWeights`](crate::config::ClassWeights).
    #[must_use]
    pub fn with_class_weights(mut self, weights: Vec<f64>) -> Self {
        self.objective.class_weights = Some(weights);
        self
    }

    /// The parameters and the optimizer's state.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same, mutable, for restoring them.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }

    /// Updates the parameters that are not frozen; see [`Weights::update`].
    ///
    /// # Errors
    /// Gradients that do not match the parameters.
    pub fn update<'r>(
        &mut self,
        mut gradients: Gradients,
        learning_rates: impl Into<LearningRates<'r>>,
    ) -> Result<f64> {
        let learning_rates = learning_rates.into();
        gradients.retain(|name| (learning_rates.lr_multiplier)(name) > 0.0);
        self.weights.update(&gradients, learning_rates)
    }
}
