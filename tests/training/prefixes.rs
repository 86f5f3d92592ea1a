//! Models that a program builds under a prefix, or beside others.

use super::support;
use super::toy::{CPU, Toy, Watch, everything, log, plain, weights};
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::config::{Config, TrainerConfig};
use birnn::error::Result;
use birnn::models::classifier::{BiRnn, EMBEDDING};
use birnn::models::language::{Input, LanguageConfig, RnnModel};
use birnn::models::ngrams::fit;
use birnn::parameters::Parameters;
use birnn::train::Trainer;
use birnn::train::classifier::{ClassifierTask, Learner, set_ngrams};
use birnn::train::language::{LanguageLearner, LanguageTraining, Stream};
use candle_nn::{Embedding, Init, VarBuilder};
use std::path::Path;
use std::sync::Arc;

/// All that is found by the name of a parameter: the embedding table, groups with rates of their own, averages. Without
/// dropout, whose masks are others under another prefix.
fn grouped() -> Config {
    let mut config = everything();
    let model = &mut config.model;
    (
        model.embedding_dropout,
        model.encoder_dropout,
        model.dropout,
    ) = (0.0, 0.0, 0.0);
    config.train.unfreeze_every = 0.5;
    config.train.encoder_lr_multiplier = 0.5;
    config.train.embedding_lr_multiplier = 0.25;
    config
}

/// Sets parameters to those of another program, which calls them differently.
fn copy(from: &Parameters, to: &Parameters, name_there: impl Fn(&str) -> String) {
    for (name, var) in from.iter() {
        to.get(&name_there(name)).unwrap().set(var).unwrap();
    }
}

/// Trains a model in a folder; returns its weights and its log.
fn run(
    toy: &Toy,
    config: &Config,
    parts: (BiRnn, Parameters),
    folder: &Path,
) -> (Vec<u8>, Vec<String>) {
    let (train, validation) = (&toy.train, &toy.validation);
    let task = ClassifierTask::new(config, parts, train, validation, 2, 1).unwrap();
    let mut trainer = Trainer::new(task, TrainerConfig::classifier(config));
    let mut run = toy.create(config, folder, false).unwrap();
    trainer.run(&mut run, &mut Watch::default()).unwrap();
    (weights(folder), log(folder))
}

#[test]
fn a_classifier_under_a_prefix_is_trained_to_the_same_bytes() {
    let toy = Toy::new();
    let mut config = grouped();
    (config.model.ngrams.order, config.model.ngrams.features) = (2, 40);
    let ids: Vec<&[u32]> = toy.train.ids.iter().collect();
    let texts = (&ids[..], &toy.train.labels);
    let head = fit(config.model.ngrams, 1.0, 0, texts, 2, None, &|| true).unwrap();
    let rows = toy.encoder.vocabulary_size();
    let build = |vb: VarBuilder| BiRnn::new(&config.model, rows, 2, vb.pp("my").pp("net"));
    let (usual, under) = (
        toy.parts(&config),
        Parameters::create(9, &CPU, build).unwrap(),
    );
    copy(&usual.1, &under.1, |name| format!("my.net.{name}"));
    for (_, parameters) in [&usual, &under] {
        set_ngrams(parameters, &head).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("under");
    let usual = run(&toy, &config, usual, &folder.path().join("usual"));
    assert!(usual == run(&toy, &config, under, &path));
    // The file has the classifier's own names.
    SavedClassifier::load(&path, Loading::Read, &CPU).unwrap();
}

/// Two classifiers with one embedding table, which is under the prefix of neither.
#[test]
fn a_classifier_beside_another_is_trained_alone() {
    let toy = Toy::new();
    let config = grouped();
    let rows = toy.encoder.vocabulary_size();
    let build = |vb: VarBuilder| -> Result<BiRnn> {
        let table = vb.get_with_hints((rows, 8), "shared", Init::Const(0.0))?;
        let table = Arc::new(Embedding::new(table, 8));
        BiRnn::with_embedding(&config.model, table.clone(), 2, vb.pp("other"))?;
        BiRnn::with_embedding(&config.model, table, 2, vb.pp("net"))
    };
    let (usual, beside) = (
        toy.parts(&config),
        Parameters::create(9, &CPU, build).unwrap(),
    );
    copy(&usual.1, &beside.1, |name| match name {
        EMBEDDING => "shared".to_owned(),
        _ => format!("net.{name}"),
    });
    let other = beside.1.get("other.encoder.weight_ih_l0").unwrap().clone();
    let before = support::values(&other);
    let folder = tempfile::tempdir().unwrap();
    let usual = run(&toy, &config, usual, &folder.path().join("usual"));
    assert!(usual == run(&toy, &config, beside, &folder.path().join("beside")));
    assert_eq!(support::values(&other), before);
}

/// An update would not reach the model.
#[test]
fn parameters_of_another_model_are_refused() {
    let (toy, config) = (Toy::new(), plain());
    let ((model, _), (_, others)) = (toy.parts(&config), toy.parts(&config));
    let error = Learner::new(&config.train, 0, (model, others)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "parameters: the model's embedding.weight is not among them; give those that were created \
         with it"
    );
}

#[test]
fn a_language_model_under_a_prefix_learns_the_same() {
    let ids: Vec<u32> = (0..200).map(|index| index * index % 11).collect();
    let stream = Stream::new(&ids, 4, 10).unwrap();
    for (input, tied) in [
        (Input::OneHot, false),
        (Input::Embedding, false),
        (Input::Embedding, true),
    ] {
        let config = LanguageConfig {
            input,
            tied,
            embedding_size: 8,
            num_hiddens: 8,
            ..LanguageConfig::default()
        };
        let build = |prefix: &'static str| {
            let build = |vb: VarBuilder| match prefix {
                "" => RnnModel::new(&config, 11, vb),
                prefix => RnnModel::new(&config, 11, vb.pp(prefix)),
            };
            Parameters::create(3, &CPU, build).unwrap()
        };
        let (usual, under) = (build(""), build("lm"));
        copy(&usual.1, &under.1, |name| format!("lm.{name}"));
        let losses = |model| {
            let mut learner = LanguageLearner::new(model, LanguageTraining::default());
            [(); 3].map(|()| learner.epoch(&stream, &CPU).unwrap())
        };
        let usual = losses(usual);
        assert!(usual[2] < usual[0]);
        assert_eq!(usual, losses(under));
        let ((model, _), (_, others)) = (build(""), build(""));
        let mut learner = LanguageLearner::new((model, others), LanguageTraining::default());
        let error = learner.epoch(&stream, &CPU).unwrap_err().to_string();
        assert_eq!(
            error,
            "parameters: 4 tensors of the model are not among them; give those that were created \
             with it"
        );
    }
}
