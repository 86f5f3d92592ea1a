//! Which spaces can be searched.

use super::*;
use crate::models::ngrams::Weighting;

fn space(text: &str) -> Result<Space> {
    Space::from_toml(Path::new("space.toml"), text, &mut |_| ())
}

fn message(text: &str) -> String {
    let start = Start::new(Config::default()).unwrap();
    let checked = space(text).and_then(|space| space.check(&start));
    checked.unwrap_err().to_string()
}

fn keys(space: &Space) -> Vec<&str> {
    space.keys().map(|(key, _)| key).collect()
}

#[test]
fn sections_and_dotted_keys_are_the_same() {
    let dotted = "train.learning_rate = { min = 1e-4, max = 1, log = true }
        model.num_hiddens = { min = 8, max = 64 }
        model.pooling = [[\"max\"], [\"mean\", \"max\"]]";
    let sections = "[model]
        num_hiddens = { min = 8, max = 64 }
        pooling = [[\"max\"], [\"mean\", \"max\"]]
        [train.learning_rate]
        min = 1e-4
        max = 1.0
        log = true";
    let found = space(dotted).unwrap();
    assert_eq!(found, space(sections).unwrap());
    assert_eq!(found, space(&found.to_toml()).unwrap());
    assert_eq!(
        keys(&found),
        ["model.num_hiddens", "model.pooling", "train.learning_rate"]
    );
    let (_, hiddens) = found.keys().next().unwrap();
    assert_eq!(
        *hiddens,
        Choices::Integers {
            min: 8,
            max: 64,
            log: false
        }
    );
}

#[test]
fn a_wrong_key_is_named() {
    for (text, expected) in [
        (
            "model.num_hidden = [3]",
            "model.num_hidden: there is no such key; did you mean model.num_hiddens?",
        ),
        (
            "model.dropout = 0.5",
            "model.dropout: this is neither a list of values nor a range; write a list",
        ),
        (
            "model.dropout = []",
            "model.dropout: this is neither a list of values nor a range; write a list",
        ),
        (
            "model.dropout = { min = 0.1 }",
            "model.dropout: a range has both min and max; write",
        ),
        (
            "model.dropout = { min = 0.5, max = 0.5 }",
            "model.dropout: min must be below max, and both finite",
        ),
        (
            "model.dropout = { min = 0.0, max = 0.5, log = true }",
            "model.dropout: min must be above 0 for a log",
        ),
        (
            "model.dropout = { min = 0, max = 0.5, step = 1 }",
            "model.dropout: a range has no \"step\"; write",
        ),
        (
            "seed = [1, 2]",
            "seed: it cannot be searched, as it decides which texts are held out",
        ),
        (
            "data.sentences = [true]",
            "data.sentences: it cannot be searched, as trials are compared on the same",
        ),
        (
            "train.metric = [\"loss\"]",
            "train.metric: it cannot be searched",
        ),
        (
            "model.dropout = [0.1, 1.5]",
            "model.dropout: no trial can have the value 1.5 of the search space: 1.5 is not a probability below 1",
        ),
        (
            "model.pooling = [\"max\"]",
            "model.pooling: no trial can have the value \"max\" of the search space: invalid type",
        ),
        (
            "",
            "the search space: no key is left that could be searched",
        ),
        ("model = ", "space.toml: not valid TOML"),
    ] {
        let found = message(text);
        let expected = format!("configuration, {expected}");
        assert!(found.starts_with(&expected), "{text}: {found}");
    }
}

#[test]
fn a_value_may_need_others() {
    let start = Start::new(Config::default()).unwrap();
    let alone = "model.ngrams.characters = [0, 5]\nmodel.ngrams.order = [1]";
    assert!(space(alone).unwrap().check(&start).is_err());
    let together = format!("{alone}\nmodel.ngrams.weighting = [\"naive-bayes\", \"tf-idf\"]");
    space(&together).unwrap().check(&start).unwrap();
}

#[test]
fn fixed_keys_are_not_searched() {
    let text =
        "train.encoder_rate = [0.5, 1.0]\nmodel.ngrams.order = [1, 2]\nmodel.num_layers = [1, 2]";
    let mut found = space(text).unwrap();
    assert!(found.fix(["seed"]).is_empty());
    let fixed = found.fix(["train.encoder_rate", "model.ngrams"]);
    assert_eq!(fixed, ["train.encoder_lr_multiplier", "model.ngrams.order"]);
    assert_eq!(keys(&found), ["model.num_layers"]);
}

#[test]
fn the_default_space_has_what_matters_and_can_be_used() {
    let mut config = Config::default();
    let default = |config: &Config| {
        let space = Space::default_for(config).unwrap();
        space.check(&Start::new(config.clone()).unwrap()).unwrap();
        space
    };
    let found = default(&config);
    assert_eq!(
        keys(&found),
        [
            "model.dropout",
            "model.embedding_dropout",
            "model.num_hiddens",
            "model.num_layers",
            "model.pooling",
            "train.batch_size",
            "train.epochs",
            "train.label_smoothing",
            "train.learning_rate",
            "train.word_dropout",
        ]
    );
    let (_, epochs) = found.keys().nth(6).unwrap();
    assert_eq!(
        *epochs,
        Choices::Values([2, 3, 6].map(Value::Integer).to_vec())
    );
    config.model.ngrams.order = 2;
    assert_eq!(keys(&default(&config)).len(), 11);
    config.model.ngrams.weighting = Weighting::TfIdf;
    config.train.init_from = crate::config::InitFrom::Folder("language".into());
    let found = default(&config);
    assert!(keys(&found).contains(&"model.ngrams.characters"));
    assert!(!keys(&found).contains(&"model.num_hiddens"));
}

#[test]
fn paths_are_relative_to_the_file() {
    let text = "train.vectors = [\"a.vec\", \"/b.vec\"]";
    let found = Space::from_toml(Path::new("/spaces/space.toml"), text, &mut |_| ()).unwrap();
    let (_, vectors) = found.keys().next().unwrap();
    assert_eq!(
        *vectors,
        Choices::Values(vec!["/spaces/a.vec".into(), "/b.vec".into()])
    );
}
