//! How a model is trained.

use super::range::{self, above_zero, finite, from_zero, in_single_precision, positive, share};
use super::{ClassWeights, Folds, InitFrom, Metric, NgramCost};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::optim::AdamWConfig;
use crate::optim::schedule::{Schedule, ScheduleKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of passes over the training split.
    pub epochs: u64,
    /// As many steps are enough: the number of passes is as low as that allows, but not below
    /// [`TrainConfig::FEWEST_EPOCHS`] nor above `epochs`. 0 for no such limit.
    pub steps: u64,
    /// Maximum number of texts in a batch.
    pub batch_size: usize,
    /// Maximum number of tokens in a batch; 0 means no limit.
    pub batch_tokens: usize,
    /// Number of batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// The learning rate schedule: `constant`, `linear`, `cosine` or `one-cycle`.
    pub schedule: ScheduleKind,
    /// The share of all steps for warm-up, over which the learning rate rises.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// The maximum gradient norm; 0 disables clipping.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights that is evaluated and saved; 0 for no averaging.
    pub ema_decay: f64,
    /// Label smoothing `s` of the training loss: each target is blended with an even share of all classes; with several
    /// labels a text, a target `t` becomes `(1 - s) t + s / 2`.
    pub label_smoothing: f64,
    /// The weights of the classes in the loss: `balanced`, or a table such as `{ positive = 2.0 }` in which the others
    /// are 1 (see [`ClassWeights`]).
    pub class_weights: Option<ClassWeights>,
    /// Probability with which a token of a training text is replaced by the unknown token.
    pub word_dropout: f64,
    /// Weight of the loss on adversarially perturbed texts, relative to the loss on the texts themselves (Miyato, Dai
    /// and Goodfellow 2017); 0 for none. A step then takes twice as long.
    pub adversarial_weight: f64,
    /// Weight of the virtual adversarial loss, which makes predictions for perturbed texts match those for the texts
    /// themselves (virtual adversarial training, Miyato, Dai and Goodfellow 2017); 0 for none. The texts of
    /// `data.unlabelled_split` are included. A step then takes three times as long.
    pub virtual_adversarial_weight: f64,
    /// Norm of the perturbation of an embedded text, as a share of the text's own norm.
    pub adversarial_size: f64,
    /// The factor of the losses in the logistic regression over n-grams, relative to a penalty of half the squared norm
    /// of its weights (with `model.ngrams.order`); `auto` chooses it by cross-validation (with TF-IDF).
    pub ngram_cost: NgramCost,
    /// With TF-IDF, the n-grams of characters are left out if the training texts have more characters than this in all,
    /// and the n-gram head if they have more than ten times as many.
    pub ngram_text_limit: u64,
    /// Model directories whose averaged predictions for the texts of `data.unlabelled_split` are used as soft labels in
    /// addition to the labelled texts.
    pub teachers: Vec<PathBuf>,
    /// Standard deviation of the initial embeddings. PyTorch's default is 1; with a smaller one, what is learnt about a
    /// word outweighs its initial values.
    pub embedding_deviation: f64,
    /// Added to the initial forget-gate bias of an LSTM. PyTorch adds nothing; 1 preserves long-term memory from the
    /// first step on (Jozefowicz et al. 2015).
    pub forget_bias: f64,
    /// The model that gives the vocabulary and the initial embeddings and recurrent layers: the folder of a language
    /// model (see `birnn pretrain`) or of a classifier, also of other classes; `shipped` for the model that is part of
    /// this program; `auto` for it if it knows most words of the training texts; or `none`. A classifier also gives the
    /// sizes of the network, and words that it lacks get rows of their own.
    pub init_from: InitFrom,
    /// The learning rate multiplier of the recurrent layers.
    #[serde(alias = "encoder_rate")]
    pub encoder_lr_multiplier: f64,
    /// The learning rate multiplier of the embeddings.
    #[serde(alias = "embedding_rate")]
    pub embedding_lr_multiplier: f64,
    /// Gradual unfreezing (Howard and Ruder 2018): the decoder is trained from the first step on, and each group below
    /// it this many epochs after the one above (the recurrent layers from last to first, then the embeddings); 0 trains
    /// all from the start.
    pub unfreeze_every: f64,
    /// Pretrained word vectors: text (GloVe, fastText, word2vec), word2vec's binary format, or a model of fastText; also
    /// compressed.
    pub vectors: Option<PathBuf>,
    /// Number of epochs, over all texts including unlabelled ones, for learning word vectors before training (as
    /// `birnn vectors` does) to initialise the embeddings; 0 for none.
    pub vector_epochs: u64,
    /// Whether the embeddings keep their initial values.
    pub freeze_embeddings: bool,
    /// What makes an epoch the best one: `accuracy`, `macro_f1` or `loss` on the validation split; of two equal ones
    /// the one with the lower loss.
    pub metric: Metric,
    /// In how many parts the training texts are cross-validated where there is no validation split: what each epoch is
    /// worth is found by trainings that leave out one part each, then all texts are trained on. 0 holds out a part of the
    /// texts instead (`data.validation_fraction`); `auto` does that unless they are few.
    pub folds: Folds,
    /// Training stops after this many epochs that are not better than the best one before, by `train.metric`; 0
    /// disables early stopping.
    pub patience: u64,
    /// Within a first epoch that is at least four times as long, a first model is evaluated and saved after this many steps,
    /// to be used while the training goes on; 0 for none.
    pub first_evaluation: u64,
    /// The precision of matrix products on an NVIDIA GPU: `f32`, `tf32` with 10 instead of 23 mantissa bits, or `bf16`
    /// with 7 (see [`Precision`]). Weights, and everything on other devices, are always f32.
    pub precision: Precision,
    /// Number of steps between log lines.
    pub log_every: u64,
    /// Number of steps between checkpoints within an epoch; 0 for checkpoints only between epochs.
    pub checkpoint_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = AdamWConfig::default();
        Self {
            epochs: 3,
            steps: 0,
            batch_size: 64,
            batch_tokens: 0,
            accumulate: 1,
            learning_rate: 1e-3,
            schedule: ScheduleKind::Linear,
            warmup: 0.0,
            weight_decay,
            beta1,
            beta2,
            epsilon,
            clip_norm: 1.0,
            ema_decay: 0.0,
            label_smoothing: 0.0,
            class_weights: None,
            word_dropout: 0.0,
            adversarial_weight: 0.0,
            virtual_adversarial_weight: 0.0,
            adversarial_size: 0.02,
            ngram_cost: NgramCost::Fixed(0.1),
            ngram_text_limit: 5_000_000,
            teachers: Vec::new(),
            embedding_deviation: 1.0,
            forget_bias: 0.0,
            init_from: InitFrom::None,
            encoder_lr_multiplier: 1.0,
            embedding_lr_multiplier: 1.0,
            unfreeze_every: 0.0,
            vectors: None,
            vector_epochs: 0,
            freeze_embeddings: false,
            metric: Metric::default(),
            folds: Folds::Fixed(0),
            patience: 0,
            first_evaluation: 0,
            precision: Precision::F32,
            log_every: 20,
            checkpoint_every: 200,
        }
    }
}

impl TrainConfig {
    /// The number of passes that `steps` does not go below.
    pub const FEWEST_EPOCHS: u64 = 3;

    /// With TF-IDF, the maximum number of characters of the training texts for n-grams of words, of which texts have fewer
    /// than of characters: ten times `ngram_text_limit`.
    pub fn ngram_word_limit(&self) -> u64 {
        self.ngram_text_limit.saturating_mul(10)
    }

    /// The number of passes for so many steps in each: that of `steps`, within its limits.
    pub fn epochs_for(&self, steps_per_epoch: u64) -> u64 {
        match self.steps {
            0 => self.epochs,
            steps => steps
                .div_ceil(steps_per_epoch.max(1))
                .max(Self::FEWEST_EPOCHS)
                .min(self.epochs),
        }
    }

    /// The optimizer's constants.
    pub fn optimizer(&self) -> AdamWConfig {
        AdamWConfig {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        }
    }

    /// The learning rate over `steps` steps.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule {
            kind: self.schedule,
            peak: self.learning_rate,
            warmup: self.warmup,
            steps,
        }
    }

    /// Checks what serde cannot.
    pub(crate) fn validate(&self) -> Result<()> {
        range::hold(
            "train",
            &[
                positive("epochs", self.epochs),
                positive("batch_size", self.batch_size as u64),
                positive("accumulate", self.accumulate as u64),
                above_zero("learning_rate", self.learning_rate),
                share("warmup", self.warmup),
                from_zero("weight_decay", self.weight_decay),
                share("beta1", self.beta1),
                share("beta2", self.beta2),
                above_zero("epsilon", in_single_precision(self.epsilon)),
                from_zero("clip_norm", self.clip_norm),
                share("ema_decay", self.ema_decay),
                share("label_smoothing", self.label_smoothing),
                share("word_dropout", self.word_dropout),
                from_zero("adversarial_weight", self.adversarial_weight),
                from_zero(
                    "virtual_adversarial_weight",
                    self.virtual_adversarial_weight,
                ),
                from_zero("adversarial_size", self.adversarial_size),
                above_zero("embedding_deviation", self.embedding_deviation),
                finite("forget_bias", self.forget_bias),
                from_zero("encoder_lr_multiplier", self.encoder_lr_multiplier),
                from_zero("embedding_lr_multiplier", self.embedding_lr_multiplier),
                from_zero("unfreeze_every", self.unfreeze_every),
                positive("log_every", self.log_every),
            ],
        )?;
        self.ngram_cost.validate()?;
        self.folds.validate()?;
        if let Some(weights) = &self.class_weights {
            weights.validate()?;
        }
        let begins = !matches!(self.init_from, InitFrom::None | InitFrom::Auto);
        if begins && (self.vector_epochs > 0 || self.vectors.is_some()) {
            return Err(Error::config(
                "train.init_from",
                "the embeddings cannot be initialised both from a model and from word vectors",
                "set train.vector_epochs to 0 and remove train.vectors, or set train.init_from to \"none\"",
            ));
        }
        if self.vector_epochs > 0 && self.vectors.is_some() {
            return Err(Error::config(
                "train.vector_epochs",
                "the vectors are already read from the file train.vectors",
                "set it to 0, or remove train.vectors",
            ));
        }
        Ok(())
    }
}
