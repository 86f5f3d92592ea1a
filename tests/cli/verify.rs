//! Damage in the files of a model, and changes that are meant.

use super::program::{
    copied_model, edit, fail, hand_made_model, json_lines, listing, refuse, run, stderr, succeed,
    temp, train_arguments, trained,
};
use birnn::checkpoint::{LanguageDirectory, Loading, SavedClassifier};
use candle_core::Device;
use std::fs;
use std::path::Path;

const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
const CHANGED: &str = "the file has changed since it was written: its checksum differs from the one recorded; \
     replace it by an intact copy; if the change is meant, `birnn verify --accept --model .` records it";

/// Numbers that look random, the same each time.
fn positions(count: usize, below: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..count).map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    })
}

/// Flips bits in every file and cuts it, each of which `load` must refuse; returns the number of trials.
fn damage(folder: &Path, load: impl Fn() -> bool) -> usize {
    let mut trials = 0;
    for name in FILES {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        let bits = 8 * whole.len();
        // Many at the beginning, where the header of the weights is.
        let flips = positions(250, bits.min(8 * 600)).chain(positions(150, bits));
        for bit in flips {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, changed).unwrap();
            assert!(!load(), "{name}, bit {bit}");
            trials += 1;
        }
        for length in positions(40, whole.len()).chain([0, whole.len() - 1]) {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(!load(), "{name}, {length} bytes");
            trials += 1;
        }
        fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
        assert!(!load(), "{name}, one more byte");
        fs::write(&path, whole).unwrap();
    }
    assert!(load());
    trials
}

#[test]
fn flipped_bits_and_cuts_of_a_classifier_are_refused() {
    let model = copied_model();
    let load = |loading| SavedClassifier::load(model.path(), loading, &Device::Cpu).is_ok();
    let trials = damage(model.path(), || load(Loading::Read));
    assert_eq!(trials, 3 * (250 + 150 + 42));
    assert!(load(Loading::Mapped));
}

#[test]
fn flipped_bits_and_cuts_of_a_language_model_are_refused() {
    let folder = temp();
    let arguments = train_arguments(&["--out", "language", "--set", "pretrain.epochs=1"]);
    let arguments = [&["pretrain"], &arguments[1..]].concat();
    succeed(&run(folder.path(), &arguments));
    let path = folder.path().join("language");
    let load = || LanguageDirectory::load(&path, &Device::Cpu).is_ok();
    assert_eq!(damage(&path, load), 3 * (250 + 150 + 42));
    succeed(&run(folder.path(), &["verify", "--model", "language"]));
}

#[test]
fn a_change_by_hand_is_refused_until_it_is_accepted() {
    let model = copied_model();
    let path = model.path();
    edit(path.join("config.json"), "\"negative\"", "\"bad\"");
    let predict = ["predict", "--model", ".", "the worst"];
    assert_eq!(
        refuse(path, &predict, 1),
        format!("./config.json: {CHANGED}")
    );
    let output = run(path, &["verify", "--model", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with(&format!("error: ./config.json: {CHANGED}\n")));
    let states = |output: &std::process::Output| -> Vec<String> {
        let line = &json_lines(std::str::from_utf8(&output.stdout).unwrap())[0];
        let files = line["files"].as_array().unwrap().iter();
        files
            .map(|file| file["state"].as_str().unwrap().to_owned())
            .collect()
    };
    let json = ["verify", "--json", "--model", "."];
    assert_eq!(states(&run(path, &json)), ["changed", "intact", "intact"]);

    let weights = fs::read(path.join("model.safetensors")).unwrap();
    succeed(&run(path, &["verify", "--accept", "--model", "."]));
    assert_eq!(states(&run(path, &json)), ["intact", "intact", "intact"]);
    assert!(succeed(&run(path, &predict)).starts_with("bad\t"));
    assert!(weights == fs::read(path.join("model.safetensors")).unwrap());
    let config = fs::read_to_string(path.join("config.json")).unwrap();
    let original = fs::read_to_string(trained().join("model/config.json")).unwrap();
    let description = |text: &str| text.split("\"checksums\"").next().unwrap().to_owned();
    assert_eq!(
        description(&config),
        description(&original).replace("\"negative\"", "\"bad\"")
    );

    // What is no model is not accepted.
    edit(path.join("config.json"), "\"labels\"", "\"lables\"");
    let message = fail(&run(path, &["verify", "--accept", "--model", "."]), 1);
    assert!(
        message.starts_with("./config.json: lables: unknown field `lables`"),
        "{message}"
    );
}

#[test]
fn a_folder_by_another_program_has_no_checksums_and_may_get_some() {
    let model = hand_made_model();
    let path = model.path();
    let predict = ["predict", "--model", ".", "the worst film"];
    let expected = succeed(&run(path, &predict));
    // Other programs drop the metadata, and with it the temperature.
    let weights = path.join("model.safetensors");
    let tensors = candle_core::safetensors::load(&weights, &Device::Cpu).unwrap();
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    let output = run(path, &predict);
    let class = |text: &str| text.split('\t').next().unwrap().to_owned();
    assert_eq!(class(&succeed(&output)), class(&expected));
    assert_eq!(stderr(&output), "");
    let table = succeed(&run(path, &["verify", "--model", "."]));
    assert_eq!(table.matches("no checksum").count(), 3, "{table}");

    let accepted = succeed(&run(path, &["verify", "--accept", "--model", "."]));
    assert_eq!(accepted.matches("intact").count(), 3, "{accepted}");
    assert_eq!(succeed(&run(path, &predict)), succeed(&output));
    // A second time changes nothing.
    let files = || FILES.map(|name| fs::read(path.join(name)).unwrap());
    let before = files();
    succeed(&run(path, &["verify", "--accept", "--model", "."]));
    assert!(files() == before);

    // Weights that lose their checksum again are refused.
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    assert_eq!(
        refuse(path, &predict, 1),
        "./model.safetensors: its metadata has no checksum (crc32), unlike config.json: it has changed since it was \
         written; replace it by an intact copy; if the change is meant, `birnn verify --accept --model .` records it"
    );
}

#[test]
fn an_exported_copy_has_checksums_even_if_the_model_has_none() {
    let model = hand_made_model();
    let path = model.path();
    succeed(&run(path, &["export", "--model", ".", "--out", "copy"]));
    assert_eq!(listing(&path.join("copy")).len(), 3);
    for name in FILES {
        let copy = fs::read(path.join("copy").join(name)).unwrap();
        assert!(
            copy == fs::read(trained().join("model").join(name)).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn the_checkpoints_of_a_run_are_verified_too() {
    let folder = temp();
    succeed(&run(folder.path(), &train_arguments(&["--out", "run"])));
    let verify = ["verify", "--model", "run"];
    let table = succeed(&run(folder.path(), &verify));
    assert_eq!(table.matches("intact").count(), 7, "{table}");
    let checkpoints = fs::read_dir(folder.path().join("run/checkpoints")).unwrap();
    let state = checkpoints
        .map(|entry| entry.unwrap().path().join("training.json"))
        .find(|path| path.exists())
        .unwrap();
    edit(state, "\"seed\": 0", "\"seed\": 1");
    let output = run(folder.path(), &verify);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(table.matches("CHANGED").count(), 2, "{table}");
    assert!(stderr(&output).contains("training.json: the file has changed: its hash differs"));
}
