//! Configs and their keys.

use super::program::{listing, refuse, run, stderr, succeed, temp};
use std::fs;
use std::path::Path;

#[test]
fn an_unknown_key_names_the_nearest() {
    let folder = temp();
    assert_eq!(
        refuse(folder.path(), &["train", "--set", "model.num_hidden=8"], 2),
        "configuration, model.num_hidden: there is no such key; did you mean model.num_hiddens? \
         `birnn train --print-config` lists every key"
    );
}

#[test]
fn a_wrong_value_is_one_line() {
    let folder = temp();
    for (set, message) in [
        (
            "train.epochs=many",
            "configuration, train.epochs: invalid type: string \"many\", expected a whole \
             number from 0; correct the value",
        ),
        (
            "model.pooling=mean",
            "configuration, model.pooling: invalid type: string \"mean\", expected a list; \
             correct the value",
        ),
        (
            "text.tokenizer=words",
            "configuration, text.tokenizer: \"words\" is not a kind of token; use \"auto\", \"word\", \
             \"bpe\", \"character\" or the path of a tokenizer.json",
        ),
        (
            "train.epsilon=inf",
            "configuration, train.epsilon: the value is out of range; use a number above 0",
        ),
        (
            "train.learning_rate=0",
            "configuration, train.learning_rate: the value is out of range; use a number above 0",
        ),
    ] {
        assert_eq!(refuse(folder.path(), &["train", "--set", set], 2), message);
    }
    for arguments in [
        ["train", "--seed", "-1"],
        ["train", "--seed", "18446744073709551615"],
        ["train", "--set", "train.epochs"],
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn the_printed_config_is_a_config() {
    let folder = temp();
    let arguments = [
        "train",
        "--print-config",
        "--config",
        "d2l",
        "--data",
        "some where.csv",
        "--label-column",
        "stars",
        "--seed",
        "9223372036854775807",
        "--set",
        "train.learning_rate=0.0013894954943731374",
        "--set",
        "data.label_names=[\"a\", \"b\"]",
        "--set",
        "model.cell=gru",
    ];
    let printed = succeed(&run(folder.path(), &arguments));
    for line in [
        "seed = 9223372036854775807",
        "source = \"some where.csv\"",
        "label_column = \"stars\"",
        "cell = \"gru\"",
        "learning_rate = 0.0013894954943731374",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line} in {printed}");
    }
    fs::write(folder.path().join("a.toml"), &printed).unwrap();
    let again = ["train", "--config", "a.toml", "--print-config"];
    assert_eq!(succeed(&run(folder.path(), &again)), printed);
    assert_eq!(listing(folder.path()), ["a.toml"]);
}

#[test]
fn every_shipped_config_loads() {
    let folder = temp();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let arguments = [
            "train",
            "--print-config",
            "--config",
            path.to_str().unwrap(),
        ];
        let printed = succeed(&run(folder.path(), &arguments));
        assert!(printed.starts_with("seed = "), "{}", path.display());
        count += 1;
    }
    assert!(count >= 3);
}

/// Keys of before are read under the names of today, and noted.
#[test]
fn old_keys_are_noted() {
    let folder = temp();
    let print = |more: &[&str]| {
        let arguments = [&["train", "--print-config"], more].concat();
        run(folder.path(), &arguments)
    };
    for (section, old, new, value) in [
        ("train", "encoder_rate", "encoder_lr_multiplier", "0.5"),
        ("train", "embedding_rate", "embedding_lr_multiplier", "0.25"),
        ("pretrain", "piece_tokens", "segment_tokens", "123"),
    ] {
        let output = print(&["--set", &format!("{section}.{old}={value}")]);
        let note = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(succeed(&output).contains(&format!("{new} = {value}")));
        let expected =
            format!("configuration, {section}.{old}: this key is now called {section}.{new}\n");
        assert_eq!(note, expected);
    }
    // An override goes before the file under either name; a file with both is refused.
    let file = folder.path().join("new.toml");
    fs::write(&file, "[train]\nencoder_lr_multiplier = 0.1\n").unwrap();
    let path = file.to_str().unwrap();
    let output = print(&["--config", path, "--set", "train.encoder_rate=0.5"]);
    assert!(succeed(&output).contains("encoder_lr_multiplier = 0.5"));
    let both = "[train]\nencoder_rate = 1.0\nencoder_lr_multiplier = 1.0\n";
    fs::write(&file, both).unwrap();
    let arguments = ["train", "--print-config", "--config", path];
    let message = refuse(folder.path(), &arguments, 2);
    assert_eq!(
        message,
        "configuration, train.encoder_rate: this is the old name of train.encoder_lr_multiplier, which is also present; \
         leave it out"
    );
}

#[test]
fn a_missing_config_file_is_named() {
    let folder = temp();
    let message = refuse(folder.path(), &["train", "--config", "no.toml"], 2);
    assert!(
        message.starts_with(
            "configuration, no.toml: this config file cannot be read: No such file or directory"
        ),
        "{message}"
    );
    assert!(
        message.ends_with(
            "; give another one, or a recipe of this program: d2l, imdb, imdb-fast, imdb-pretrained, imdb-unlabelled, \
             language, pretrained, sample, sentences, text"
        ),
        "{message}"
    );
}

/// The recipes are in the program, by name or by the path that they have in the repository; a file comes first.
#[test]
fn recipes_are_found_in_any_folder() {
    let folder = temp();
    let printed = |config: &str| {
        let output = run(
            folder.path(),
            &["train", "--config", config, "--print-config"],
        );
        succeed(&output)
    };
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut recipes = 0;
    for entry in fs::read_dir(&configs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some(stem) = name.strip_suffix(".toml") {
            recipes += 1;
            let of_file = printed(path.to_str().unwrap());
            assert_eq!(printed(stem), of_file, "{stem}");
            assert_eq!(printed(&format!("configs/{name}")), of_file, "{name}");
        }
    }
    assert_eq!(recipes, 10);
    fs::write(folder.path().join("imdb"), "[train]\nepochs = 77\n").unwrap();
    assert!(printed("imdb").contains("epochs = 77"));
}
