//! Models whose weights have the names of another program.

use super::program::{json_lines, listing, refuse, run, stderr, succeed, temp};
use super::support::fixture_path;
use candle_core::{Device, Tensor, safetensors};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TEXT: &str = "I loved this movie.";

fn language() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed/good_language")
}

/// A copy of a model as `model`, with its tensors changed.
fn changed(model: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> TempDir {
    let folder = temp();
    let copy = folder.path().join("model");
    fs::create_dir(&copy).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(model.join(name), copy.join(name)).unwrap();
    }
    let path = copy.join("model.safetensors");
    let mut tensors = safetensors::load(&path, &Device::Cpu).unwrap();
    change(&mut tensors);
    safetensors::save(&tensors, &path).unwrap();
    folder
}

/// The same with other names.
fn renamed(model: &Path, rename: impl Fn(&str) -> String) -> TempDir {
    changed(model, |tensors| {
        let all = std::mem::take(tensors).into_iter();
        *tensors = all.map(|(name, tensor)| (rename(&name), tensor)).collect();
    })
}

/// The options that a message suggests.
fn suggested(message: &str) -> Vec<String> {
    let options: Vec<String> = message
        .split("--rename ")
        .skip(1)
        .flat_map(|rest| ["--rename", rest.split([' ', ';']).next().unwrap()])
        .map(str::to_owned)
        .collect();
    assert!(!options.is_empty(), "{message}");
    options
}

/// Runs a command that is refused, then as its message suggests.
fn follow(folder: &Path, arguments: &[&str]) -> (String, String) {
    let message = refuse(folder, arguments, 1);
    let options = suggested(&message);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let output = run(folder, &[arguments, &options].concat());
    (message, succeed(&output))
}

#[test]
fn the_suggested_renaming_makes_the_names_fit() {
    let textbook = fixture_path("textbook");
    let original = textbook.display().to_string();
    let predict = ["predict", "--json", TEXT, "--model"];
    let expected = succeed(&run(Path::new("."), &[&predict[..], &[&original]].concat()));
    assert_eq!(json_lines(&expected).len(), 1);

    // As DataParallel names them.
    let folder = renamed(&textbook, |name| format!("module.{name}"));
    let (message, found) = follow(folder.path(), &[&predict[..], &["model"]].concat());
    assert_eq!(
        message,
        "model/model.safetensors: 19 tensors are missing: decoder.bias, decoder.weight, embedding.weight, \
         encoder.bias_hh_l0, encoder.bias_hh_l0_reverse, encoder.bias_hh_l1, encoder.bias_hh_l1_reverse, \
         encoder.bias_ih_l0, encoder.bias_ih_l0_reverse, encoder.bias_ih_l1 and 9 more; 19 tensors are not part of the \
         model in config.json: module.decoder.bias, module.decoder.weight, module.embedding.weight, \
         module.encoder.bias_hh_l0, module.encoder.bias_hh_l0_reverse, module.encoder.bias_hh_l1, \
         module.encoder.bias_hh_l1_reverse, module.encoder.bias_ih_l0, module.encoder.bias_ih_l0_reverse, \
         module.encoder.bias_ih_l1 and 9 more; rename `module.` to nothing: --rename module.= (`birnn export` writes \
         such a copy)"
    );
    assert_eq!(found, expected);

    // Names that nobody has foreseen.
    let folder = renamed(&textbook, |name| {
        name.replace("embedding.", "emb.")
            .replace("encoder.", "model.blstm.")
            .replace("decoder.", "model.out.")
    });
    let (message, found) = follow(folder.path(), &[&predict[..], &["model"]].concat());
    assert!(
        message.ends_with(
            "; rename `model.blstm.` to `encoder.`, rename `model.out.` to `decoder.`, rename `emb.` to `embedding.`: \
             --rename model.blstm.=encoder. --rename model.out.=decoder. --rename emb.=embedding. (`birnn export` \
             writes such a copy)"
        ),
        "{message}"
    );
    assert_eq!(found, expected);

    fs::write(
        folder.path().join("t.csv"),
        "text,label\ngood,positive\nbad,negative\n",
    )
    .unwrap();
    let eval = ["eval", "--data", "t.csv", "--model", "model"];
    let (_, table) = follow(folder.path(), &eval);
    assert!(table.starts_with("t.csv: 2 texts"), "{table}");
    let (_, table) = follow(folder.path(), &["shapes", "--model", "model", TEXT]);
    assert!(table.contains("encoder.weight_ih_l1_reverse"), "{table}");
    // With `export`, once and for all.
    let (_, _) = follow(
        folder.path(),
        &["export", "--model", "model", "--out", "copy"],
    );
    let files = ["config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(listing(&folder.path().join("copy")), files);
    let copy = run(folder.path(), &[&predict[..], &["copy"]].concat());
    assert_eq!(succeed(&copy), expected);
    let half = ["export", "--model", "model", "--out", "half", "--half"];
    follow(folder.path(), &half);
    succeed(&run(folder.path(), &[&predict[..], &["half"]].concat()));
}

/// A copy with other names keeps its numbers and its temperature.
#[test]
fn an_export_with_other_names_is_the_model() {
    let textbook = fixture_path("textbook");
    let folder = temp();
    let original = textbook.display().to_string();
    let export = |from: &str, to: &str, rename: &str| {
        let arguments = ["export", "--model", from, "--out", to, "--rename", rename];
        run(folder.path(), &arguments)
    };
    // The copy must be readable itself.
    let output = export(&original, "x", "decoder.=fc.");
    assert!(
        stderr(&output).contains("rename `fc.` to `decoder.`"),
        "{}",
        stderr(&output)
    );
    assert_eq!(listing(folder.path()), [""; 0]);

    let theirs = renamed(&textbook, |name| format!("module.{name}"));
    let from = theirs.path().join("model").display().to_string();
    succeed(&export(&from, "copy", "module.="));
    let read = |path: PathBuf| safetensors::load(path, &Device::Cpu).unwrap();
    let expected = read(textbook.join("model.safetensors"));
    let found = read(folder.path().join("copy/model.safetensors"));
    assert_eq!(found.len(), expected.len());
    for (name, tensor) in &expected {
        let numbers =
            |tensor: &Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
        assert_eq!(numbers(&found[name]), numbers(tensor), "{name}");
    }
}

#[test]
fn language_models_are_renamed_too() {
    let generate = ["generate", "--prompt", "good", "--tokens", "3", "--model"];
    let original = language().display().to_string();
    let expected = succeed(&run(
        Path::new("."),
        &[&generate[..], &[&original]].concat(),
    ));
    let folder = renamed(&language(), |name| name.replace("encoder.", "rnn."));
    let (message, found) = follow(folder.path(), &[&generate[..], &["model"]].concat());
    assert!(
        message.ends_with("; rename `rnn.` to `encoder.`: --rename rnn.=encoder. (`birnn export` writes such a copy)"),
        "{message}"
    );
    assert_eq!(found, expected);
    let export = ["export", "--model", "model", "--out", "copy"];
    let (_, printed) = follow(folder.path(), &export);
    assert!(printed.starts_with("copy: config.json"), "{printed}");
    let copy = run(folder.path(), &[&generate[..], &["copy"]].concat());
    assert_eq!(succeed(&copy), expected);
}

#[test]
fn what_is_too_many_is_refused_and_what_cannot_be_renamed() {
    let textbook = fixture_path("textbook");
    let folder = changed(&textbook, |tensors| {
        let extra = tensors["decoder.bias"].clone();
        tensors.insert("attention.bias".to_owned(), extra.clone());
        tensors.insert("attention.weight".to_owned(), extra);
    });
    let predict = |more: &[&str], code| {
        let arguments = [&["predict", "--model", "model", TEXT], more].concat();
        refuse(folder.path(), &arguments, code)
    };
    assert_eq!(
        predict(&[], 1),
        "model/model.safetensors: 2 tensors are not part of the model in config.json: attention.bias, \
         attention.weight; config.json and tokenizer.json must belong to the weights"
    );
    assert_eq!(
        predict(&["--rename", "lstm.=encoder."], 1),
        "model/model.safetensors: no tensor has a name that begins with `lstm.`; the names are attention.bias, \
         attention.weight, decoder.bias, decoder.weight, embedding.weight, encoder.bias_hh_l0, \
         encoder.bias_hh_l0_reverse, encoder.bias_hh_l1, encoder.bias_hh_l1_reverse, encoder.bias_ih_l0 and 11 more"
    );
    assert_eq!(
        predict(&["--rename", "attention.=decoder."], 1),
        "model/model.safetensors: renaming `attention.` to `decoder.` gives two tensors the name decoder.bias; choose \
         another name"
    );
    for arguments in [
        &["predict", "--model", "model", "--rename", "module", TEXT][..],
        &["predict", "--model", "model", "--rename", "a=a", TEXT],
        // The model that is part of the program has its names.
        &["predict", "--rename", "module.=", TEXT],
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = run(folder.path(), &["predict", "--rename", "module", TEXT]);
    assert!(stderr(&output).contains("write OLD=NEW, as in module.= or lstm.=encoder."));
    for command in ["predict", "eval", "export"] {
        let help = succeed(&run(folder.path(), &[command, "--help"]));
        assert!(help.contains("--rename module.="), "{help}");
    }
}
