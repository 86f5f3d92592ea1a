//! Bad input is reported in one line that names it.

use super::program::{
    copied_model, edit, fail, hand_made_model, listing, refuse, run, run_with_input, stderr,
    stdout, succeed, temp, train_arguments, trained,
};
use std::fs;
use std::path::Path;

#[test]
fn unusable_training_data_is_named() {
    let folder = temp();
    let path = folder.path();
    let good: String = (0..10).map(|n| format!("word{n},{}\n", n % 2)).collect();
    let files: [(&str, Vec<u8>); 5] = [
        ("empty.csv", Vec::new()),
        ("one.csv", b"text,label\nx,a\ny,a\n".to_vec()),
        ("good.csv", format!("text,label\n{good}").into_bytes()),
        ("gap.csv", format!("text,label\n{good}z,\n").into_bytes()),
        ("bytes.csv", b"text,label\nx,a\ny\xff,b\n".to_vec()),
    ];
    for (name, content) in files {
        fs::write(path.join(name), content).unwrap();
    }
    for (more, message) in [
        (
            &["--data", "goad.csv"][..],
            "goad.csv: there is no such file or folder; did you mean good.csv?",
        ),
        (
            &["--data", "empty.csv"],
            "empty.csv: the file is empty; check that it was written or downloaded completely",
        ),
        (
            &["--data", "one.csv"],
            "one.csv: every labelled row has the label \"a\"; a classifier needs rows of at \
             least two classes; check the label column",
        ),
        (
            &["--data", "good.csv", "--text-column", "body"],
            "good.csv: there is no column \"body\"; the columns are: text, label; select it with \
             --text-column (key data.text_column)",
        ),
        (
            &["--data", "gap.csv"],
            "gap.csv, row 11: the row has no label; add one or remove the row; training and \
             evaluation need labels",
        ),
        (
            &["--data", "bytes.csv"],
            "bytes.csv, row 2 (line 3): the text is not UTF-8; give the encoding with --encoding (key data.encoding), perhaps windows-1252",
        ),
    ] {
        assert_eq!(refuse(path, &train_arguments(more), 1), message);
    }
    assert_eq!(
        fail(
            &run_with_input(path, &train_arguments(&["--data", "-"]), b""),
            1
        ),
        "standard input: there is nothing to read; check the command that writes it"
    );
}

/// A column of scores does not become as many classes as it has different numbers, in any format,
/// whether each is there once or several times.
#[test]
fn real_numbers_are_not_taken_for_classes() {
    let folder = temp();
    let path = folder.path();
    let scores: Vec<String> = (0..388)
        .map(|n| format!("{:.3}", f64::from(n) * 0.0137))
        .collect();
    let lines = |line: &dyn Fn(&str) -> String| scores.iter().map(|s| line(s)).collect::<String>();
    let csv = lines(&|score| format!("some words,{score}\n"));
    let tsv = lines(&|score| format!("some words\t{score}\n"));
    let jsonl = lines(&|score| format!("{{\"text\":\"some words\",\"label\":\"{score}\"}}\n"));
    let fasttext = lines(&|score| format!("__label__{score} some words\n"));
    for (name, rows) in [
        ("once.csv", format!("text,label\n{csv}")),
        ("twice.csv", format!("text,label\n{csv}{csv}")),
        ("twice.tsv", format!("text\tlabel\n{tsv}{tsv}")),
        ("twice.jsonl", format!("{jsonl}{jsonl}")),
        ("twice.txt", format!("{fasttext}{fasttext}")),
    ] {
        fs::write(path.join(name), rows).unwrap();
        assert_eq!(
            refuse(path, &train_arguments(&["--data", name]), 1),
            format!(
                "{name}: the labels are real numbers, such as 0.014 (388 different ones); a \
                 classifier needs classes: name another column with --label-column (key \
                 data.label_column), round the numbers to classes, or list them in \
                 data.label_names if each is a class"
            )
        );
    }
}

/// The message of both commands that read a model for this folder, without its path.
fn refused_model(folder: &Path, file: &str) -> String {
    let predict = refuse(folder, &["predict", "--model", ".", "x"], 1);
    let eval = refuse(folder, &["eval", "--model", ".", "--data", "sample"], 1);
    assert_eq!(predict, eval);
    match predict.strip_prefix(&format!("./{file}: ")) {
        Some(rest) => rest.to_owned(),
        None => panic!("{predict}"),
    }
}

#[test]
fn a_damaged_model_is_named() {
    let model = copied_model();
    let path = model.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = refused_model(model.path(), "model.safetensors");
    assert!(
        message.starts_with("not an intact safetensors file: "),
        "{message}"
    );
    assert!(message.ends_with("; replace it by an intact copy, or train again"));

    let model = hand_made_model();
    edit(
        model.path().join("config.json"),
        "\"num_hiddens\": 8",
        "\"num_hiddens\": 9",
    );
    let message = refused_model(model.path(), "model.safetensors");
    assert!(
        message.ends_with("; config.json and tokenizer.json must belong to the weights")
            && message.starts_with(
                "9 tensors have another shape than config.json asks for: decoder.weight [2, 32] \
                 instead of [2, 36], encoder.bias_hh_l0 [32] instead of [36], "
            ),
        "{message}"
    );

    let model = copied_model();
    edit(model.path().join("config.json"), "\"labels\"", "\"lables\"");
    let message = refused_model(model.path(), "config.json");
    assert!(message.contains("unknown field `lables`"), "{message}");

    let model = copied_model();
    edit(
        model.path().join("config.json"),
        "\"num_layers\": 1",
        "\"num_layers\": 0",
    );
    let message = refused_model(model.path(), "config.json");
    assert!(
        message.contains("model.num_layers: 0 is out of range"),
        "{message}"
    );

    let model = copied_model();
    let config = fs::read_to_string(model.path().join("config.json")).unwrap();
    for bad in [0.0, -1.0] {
        let changed = config.replacen('{', &format!("{{\"temperature\": {bad:?},"), 1);
        fs::write(model.path().join("config.json"), changed).unwrap();
        let message = refused_model(model.path(), "config.json");
        let problem = format!("temperature: {bad} is not a number above 0");
        assert_eq!(message, format!("{problem}; correct or replace the file"));
    }

    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let model = copied_model();
        fs::remove_file(model.path().join(name)).unwrap();
        assert_eq!(
            refused_model(model.path(), name),
            "the file is missing; a model directory holds config.json, tokenizer.json and \
             model.safetensors"
        );
    }
    assert_eq!(
        refuse(model.path(), &["predict", "--model", "no", "x"], 1),
        "no: there is no such folder; give the folder of a trained model (see `birnn train --out`)"
    );
}

#[test]
fn mismatched_or_non_finite_weights_are_named() {
    use candle_core::{Device, Tensor, safetensors};
    let model = hand_made_model();
    let path = model.path().join("model.safetensors");
    let mut tensors = safetensors::load(&path, &Device::Cpu).unwrap();
    let table = tensors["embedding.weight"].clone();
    tensors.insert("embedding.weight".into(), table.narrow(0, 0, 100).unwrap());
    safetensors::save(&tensors, &path).unwrap();
    assert_eq!(
        refused_model(model.path(), "model.safetensors"),
        "embedding.weight has 100 rows, but tokenizer.json has ids up to 999; config.json and \
         tokenizer.json must belong to the weights"
    );

    tensors.insert("embedding.weight".into(), table);
    let bias = Tensor::new(&[0f32, f32::NAN], &Device::Cpu).unwrap();
    tensors.insert("decoder.bias".into(), bias);
    safetensors::save(&tensors, &path).unwrap();
    assert_eq!(
        refused_model(model.path(), "model.safetensors"),
        "decoder.bias holds numbers that are not finite; train again, with a lower learning rate"
    );
}

#[test]
fn eval_without_a_run_asks_for_data() {
    let model = copied_model();
    assert_eq!(
        refuse(model.path(), &["eval", "--model", "."], 2),
        ". does not record on which texts it was validated: give --data"
    );
}

#[test]
fn texts_that_cannot_be_read_are_named() {
    let folder = temp();
    let file = folder.path().join("texts.txt");
    fs::write(&file, b"fine\n\xff\n").unwrap();
    let file = file.display().to_string();
    let with = |file| ["predict", "--model", "model", "--file", file];
    assert_eq!(
        refuse(trained(), &with(&file), 1),
        format!(
            "{file}, line 2: the text is not UTF-8; give the encoding with --encoding (key data.encoding), perhaps \
             windows-1252"
        )
    );
    assert!(refuse(trained(), &with("no.txt"), 1).starts_with("cannot read no.txt: "));
    let both = run(trained(), &[&with("no.txt")[..], &["text"]].concat());
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_missing_device_is_wrong_usage() {
    let folder = temp();
    assert_eq!(
        refuse(folder.path(), &["train", "--device", "gpu"], 2),
        "device gpu: unknown; use auto, cpu, cuda, cuda:N or metal"
    );
    if cfg!(feature = "cuda") {
        return;
    }
    let problem = "device cuda: this birnn was built without CUDA; build it with `--features \
                   cuda`, or use --device cpu";
    assert_eq!(
        refuse(folder.path(), &["train", "--device", "cuda"], 2),
        problem
    );
    for command in ["predict", "eval"] {
        let arguments = [command, "--model", "model", "--device", "cuda"];
        assert_eq!(refuse(trained(), &arguments, 2), problem);
    }
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let folder = temp();
    for arguments in [&["tarin"][..], &[], &["export"], &["train", "--nope"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "");
        assert!(!stderr(&output).contains("panicked"));
    }
    assert_eq!(
        stderr(&run(folder.path(), &["tarin"])).lines().next(),
        Some("error: unrecognized subcommand 'tarin'")
    );
    assert_eq!(listing(folder.path()).len(), 0);
}

#[test]
fn help_has_examples_and_shells_have_completions() {
    let folder = temp();
    for command in ["train", "eval", "predict", "export", "bench", "completions"] {
        let text = succeed(&run(folder.path(), &[command, "--help"]));
        assert!(text.contains("Example"), "{command}");
        assert!(text.contains(&format!("birnn {command}")), "{command}");
    }
    assert!(succeed(&run(folder.path(), &["--help"])).contains("Start here:"));
    assert!(succeed(&run(folder.path(), &["--version"])).starts_with("birnn 0."));
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&run(folder.path(), &["completions", shell]));
        assert!(script.contains("print-config"), "{shell}");
    }
}
