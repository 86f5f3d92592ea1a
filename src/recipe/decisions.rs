//! The values of a config that follow from the texts of a run.

use super::beginning::{NETWORK_KEYS, Start};
use super::ngrams::limit_ngrams;
use super::notes::grouped;
use crate::config::{Config, Folds, InitFrom, TrainConfig, TrainerConfig};
use crate::dataset::{Dataset, KNOWN_WORDS};
use crate::models::classifier::ModelConfig;
use crate::text::TokenKind;

/// A value of a config that follows from the texts of a run, and why it is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The keys of the config.
    pub keys: Vec<&'static str>,
    /// The reason, as a sentence without its full stop.
    pub reason: String,
    /// Whether a run says it: the rest is said elsewhere, or follows.
    pub is_noted: bool,
}

/// The decisions about these keys are said.
const NOTED: [&str; 3] = ["train.init_from", "train.epochs", "model.ngrams.order"];

impl Decision {
    fn of(keys: Vec<&'static str>, reason: String) -> Self {
        Self {
            is_noted: keys.iter().any(|key| NOTED.contains(key)),
            keys,
            reason,
        }
    }

    fn new(key: &'static str, reason: String) -> Self {
        Self::of(vec![key], reason)
    }
}

/// Replaces the values of a config that follow from the texts, and says why each is what it is.
pub(super) fn decide(config: &mut Config, start: &Start, dataset: &Dataset) -> Vec<Decision> {
    let mut decisions = Vec::new();
    // The tokenizer of the model from which the run begins is used as it is.
    if config.text.tokenizer == TokenKind::Auto && !dataset.begins {
        config.text.tokenizer = dataset.tokenizer.clone();
        decisions.push(Decision::new(
            "text.tokenizer",
            tokenizer(&dataset.tokenizer),
        ));
    }
    decisions.extend(beginning(config, start, dataset));
    match config.train.folds {
        Folds::Auto => {
            config.train.folds = Folds::Fixed(dataset.folds);
            decisions.push(Decision::new("train.folds", folds(dataset)));
        }
        Folds::Fixed(parts) if parts > 0 && dataset.folds == 0 => {
            config.train.folds = Folds::Fixed(0);
            let reason = format!("there is a validation split: train.folds = {parts} is not used");
            decisions.push(Decision {
                is_noted: true,
                ..Decision::new("train.folds", reason)
            });
        }
        Folds::Fixed(_) => {}
    }
    if config.train.steps > 0 {
        decisions.push(epochs(config, dataset));
    }
    if let Some(reason) = limit_ngrams(config, dataset.train_characters) {
        let keys = vec!["model.ngrams.order", "model.ngrams.characters"];
        decisions.push(Decision::of(keys, reason));
    }
    decisions
}

fn tokenizer(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Character => "most letters are of scripts without spaces between words",
        _ => "most letters are of scripts with spaces between words",
    }
    .to_owned()
}

/// Decides `auto`, and gives a config the sizes of the classifier's network if the run begins with it.
fn beginning(config: &mut Config, start: &Start, dataset: &Dataset) -> Vec<Decision> {
    let known = format!(
        "knows {:.0} % of the words in the texts",
        100.0 * dataset.known_share.unwrap_or_default()
    );
    let is_auto = config.train.init_from == InitFrom::Auto;
    let Some(beginning) = start.classifier().filter(|_| dataset.begins) else {
        if !is_auto {
            return Vec::new();
        }
        config.train.init_from = InitFrom::None;
        let reason = match dataset.known_share {
            Some(_) => format!(
                "the shipped model {known}, fewer than {:.0} %",
                100.0 * KNOWN_WORDS
            ),
            None if config.train.vectors.is_some() || config.train.vector_epochs > 0 => {
                "the embeddings begin as word vectors".to_owned()
            }
            None if cfg!(feature = "shipped") => {
                "the texts were prepared without the shipped model".to_owned()
            }
            None => "this build has no shipped model".to_owned(),
        };
        return vec![Decision::new("train.init_from", reason)];
    };
    if is_auto {
        config.train.init_from = InitFrom::Shipped;
    }
    let new = dataset.encoder.vocabulary_size() - beginning.encoder.vocabulary_size();
    let name = beginning.name.display();
    let theirs = &beginning.model;
    config.model = ModelConfig {
        cell: theirs.cell,
        embedding_size: theirs.embedding_size,
        num_hiddens: theirs.num_hiddens,
        num_layers: theirs.num_layers,
        bidirectional: theirs.bidirectional,
        bias: theirs.bias,
        pooling: theirs.pooling.clone(),
        ..config.model.clone()
    };
    vec![
        Decision::new(
            "train.init_from",
            match new {
                0 => format!("{name} {known}"),
                1 => format!("{name} {known}; one new word gets a row of its own"),
                _ => format!(
                    "{name} {known}; {} new ones get rows of their own",
                    grouped(new)
                ),
            },
        ),
        Decision::of(NETWORK_KEYS.to_vec(), format!("as {name} has it")),
    ]
}

fn folds(dataset: &Dataset) -> String {
    match dataset.folds {
        0 => "there is a validation split, or there are enough texts to hold some out".to_owned(),
        1 => "a tenth of the texts is left out to choose by, and would be missed in the model"
            .to_owned(),
        _ => format!(
            "{} texts are too few to hold out some of them",
            grouped(dataset.train.len())
        ),
    }
}

/// Sets the number of epochs that `train.steps` asks for.
fn epochs(config: &mut Config, dataset: &Dataset) -> Decision {
    let TrainConfig {
        steps, accumulate, ..
    } = config.train;
    let batching = TrainerConfig::classifier(config).batching;
    let lengths = dataset.train.lengths();
    let batches = batching.epoch(&lengths, config.seed, 0).len();
    let in_epoch = batches.div_ceil(accumulate.max(1)) as u64;
    config.train.epochs = config.train.epochs_for(in_epoch);
    config.train.steps = 0;
    let reason = format!(
        "{} of {}, for about {} in all (train.steps)",
        match config.train.epochs {
            1 => "1 epoch".to_owned(),
            epochs => format!("{epochs} epochs"),
        },
        match in_epoch {
            1 => "1 step".to_owned(),
            _ => format!("{} steps", grouped(in_epoch as usize)),
        },
        grouped(steps as usize)
    );
    Decision::new("train.epochs", reason)
}
