//! Prediction, and exported models.

use super::program::{
    edit, hand_made_model, json_lines, listing, refuse, run, run_with_input, stderr, succeed, temp,
    temperature, train, trained,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn predictions_come_in_the_order_of_the_texts() {
    let texts = [
        "The worst.",
        "",
        "A masterpiece, truly lovely!",
        "two\nlines",
    ];
    let arguments = [&["predict", "--model", "model"], &texts[..]].concat();
    let text = succeed(&run(trained(), &arguments));
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(lines.len(), 4);
    for (line, text) in lines.iter().zip(["The worst.", "", texts[2], "two lines"]) {
        assert!(["negative", "positive"].contains(&line[0]));
        let score: f64 = line[1].parse().unwrap();
        assert!((0.5..=1.0).contains(&score), "{line:?}");
        assert_eq!(line[2], text);
    }
}

#[test]
fn json_predictions_are_complete() {
    let temperature = temperature(&trained().join("model"));
    let texts = ["The worst.", "", "say \"hi\"\n\u{1F600}"];
    let arguments = [&["predict", "--model", "model", "--json"], &texts[..]].concat();
    let text = succeed(&run(trained(), &arguments));
    for (line, text) in text.lines().zip(texts) {
        let report: Value = serde_json::from_str(line).unwrap();
        assert_eq!(report.as_object().unwrap().len(), 8);
        assert_eq!(report["text"], text);
        let scores = report["scores"].as_object().unwrap();
        let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        let best = scores
            .values()
            .map(|s| s.as_f64().unwrap())
            .fold(0.0, f64::max);
        assert_eq!(report["score"], best, "the same digits");
        assert_eq!(scores[report["label"].as_str().unwrap()], best);
        let logits: Vec<f64> = serde_json::from_value(report["logits"].clone()).unwrap();
        let odds = ((logits[1] - logits[0]) / temperature).exp();
        let positive = scores["positive"].as_f64().unwrap();
        assert!((positive - odds / (1.0 + odds)).abs() < 1e-5);
    }
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn several_models_predict_their_mean() {
    let other = temp();
    // Another vocabulary, as each model has its own.
    let more = [
        "--out",
        "model",
        "--seed",
        "3",
        "--set",
        "text.vocabulary_size=500",
    ];
    train(other.path(), &more);
    let other = other.path().join("model").display().to_string();
    let texts = ["The worst.", "A masterpiece, truly lovely!", ""];
    let predict = |models: &[&str]| {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        let arguments = [&["predict", "--json"], &models[..], &texts].concat();
        json_lines(&succeed(&run(trained(), &arguments)))
    };
    let (first, second) = (predict(&["model"]), predict(&[&other]));
    let both = predict(&["model", &other]);
    for (text, both) in both.iter().enumerate() {
        for (class, name) in ["negative", "positive"].into_iter().enumerate() {
            let score = |line: &Value| line["scores"][name].as_f64().unwrap();
            let mean = (score(&first[text]) + score(&second[text])) / 2.0;
            assert!((score(both) - mean).abs() < 1e-6);
            let logit = both["logits"][class].as_f64().unwrap();
            assert!((logit - mean.ln()).abs() < 1e-5);
        }
        assert_eq!(
            both["score"],
            both["scores"][both["label"].as_str().unwrap()]
        );
    }
    // The ensemble of a model with itself is that model.
    for (twice, once) in predict(&["model", "model"]).iter().zip(&first) {
        let score = |line: &Value| line["score"].as_f64().unwrap();
        assert!((score(twice) - score(once)).abs() < 1e-6);
    }

    let eval = |models: &[&str]| -> Value {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        let arguments = [&["eval", "--data", "sample", "--json"], &models[..]].concat();
        serde_json::from_str(&succeed(&run(trained(), &arguments))).unwrap()
    };
    let loss = |report: &Value| report["loss"].as_f64().unwrap();
    let (a, b, both) = (eval(&["model"]), eval(&[&other]), eval(&["model", &other]));
    assert_eq!(both["examples"], 160);
    assert_eq!(both["temperature"], Value::Null);
    // The logarithm of a mean is at least the mean of the logarithms.
    assert!(loss(&both) < (loss(&a) + loss(&b)) / 2.0);
    assert!((loss(&eval(&["model", "model"])) - loss(&a)).abs() < 1e-12);

    let arguments = ["eval", "--model", "model", "--model", &other];
    assert_eq!(
        refuse(trained(), &arguments, 2),
        "several models may have been validated on different texts: give --data"
    );
    let swapped = hand_made_model();
    let config = swapped.path().join("config.json");
    edit(config.clone(), "\"negative\"", "\"bad\"");
    let swapped = swapped.path().display().to_string();
    let arguments = ["predict", "--model", "model", "--model", &swapped, "x"];
    assert_eq!(
        refuse(trained(), &arguments, 1),
        format!(
            "{swapped}: the classes are \"bad\", \"positive\", but those of model are \
             \"negative\", \"positive\"; only models with the same classes in the same order can \
             be averaged"
        )
    );
}

#[test]
fn an_exported_model_is_the_model() {
    let folder = temp();
    let model = trained().join("model").display().to_string();
    let export = |more: &[&str]| {
        let arguments = [&["export", "--model", &model], more].concat();
        run(folder.path(), &arguments)
    };
    let read = |path: &Path| fs::read(path).unwrap();
    let printed = succeed(&export(&["--out", "whole"]));
    let files = ["config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(listing(&folder.path().join("whole")), files);
    for name in files {
        let copy = read(&folder.path().join("whole").join(name));
        assert!(copy == read(&Path::new(&model).join(name)), "{name}");
    }
    let size = |out: &str| read(&folder.path().join(out).join("model.safetensors")).len();
    assert!(printed.starts_with("whole: config.json, tokenizer.json, model.safetensors ("));
    succeed(&export(&["--out", "half", "--half"]));
    assert_eq!(listing(&folder.path().join("half")), files);
    let share = size("half") as f64 / size("whole") as f64;
    // Nearly all of this model is its embedding table.
    assert!((0.5..0.65).contains(&share), "{share}");

    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample/validation.jsonl");
    let rows = json_lines(&fs::read_to_string(sample).unwrap());
    let texts: Vec<&str> = rows
        .iter()
        .map(|row| row["text"].as_str().unwrap())
        .collect();
    let input = texts.join("\n");
    let predict = |out: &str| {
        let arguments = ["predict", "--model", out, "--json"];
        let output = run_with_input(folder.path(), &arguments, input.as_bytes());
        json_lines(&succeed(&output))
    };
    let (whole, half) = (predict("whole"), predict("half"));
    assert_eq!(whole.len(), 160);
    for (whole, half) in whole.iter().zip(&half) {
        for class in 0..2 {
            let logit = |line: &Value| line["logits"][class].as_f64().unwrap();
            assert!((logit(whole) - logit(half)).abs() < 1e-2);
        }
    }
    // A copy of the copy is identical.
    let again = ["export", "--model", "half", "--out", "again", "--half"];
    succeed(&run(folder.path(), &again));
    let weights = |out: &str| read(&folder.path().join(out).join("model.safetensors"));
    assert!(weights("again") == weights("half"));

    let arguments = ["export", "--model", "half", "--out", "whole"];
    assert_eq!(
        refuse(folder.path(), &arguments, 1),
        "whole: the folder already holds a model (config.json); choose another --out"
    );
    let arguments = ["export", "--model", "half", "--out", "half/config.json"];
    assert_eq!(
        refuse(folder.path(), &arguments, 1),
        "half/config.json: this is a file, not a folder; choose another --out"
    );
    let arguments = ["export", "--model", "no", "--out", "x"];
    assert!(refuse(folder.path(), &arguments, 1).starts_with("no: there is no such folder"));
}

#[test]
fn the_model_of_the_program_is_the_default() {
    let folder = temp();
    let texts = ["Not bad at all!", "I want my money back."];
    let output = run(folder.path(), &[&["predict"], &texts[..]].concat());
    let text = succeed(&output);
    assert_eq!(stderr(&output), "");
    // As if loaded from its folder.
    let pretrained = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pretrained");
    let pretrained = pretrained.display().to_string();
    let arguments = [&["predict", "--model", &pretrained], &texts[..]].concat();
    assert_eq!(succeed(&run(folder.path(), &arguments)), text);
    assert_eq!(text.lines().count(), 2);

    let report = run(folder.path(), &["eval", "--data", "sample", "--json"]);
    let report: Value = serde_json::from_str(&succeed(&report)).unwrap();
    assert_eq!(report["examples"], 160);
    assert_eq!(
        refuse(folder.path(), &["eval"], 2),
        "the model that is part of this program does not record on which texts it was validated: \
         give --data"
    );
    for command in ["predict", "eval"] {
        let help = succeed(&run(folder.path(), &[command, "--help"]));
        assert!(help.contains("data/pretrained"));
    }
}

#[test]
fn scores_are_in_the_order_of_the_classes() {
    let folder = temp();
    let table: String = (0..10)
        .map(|n| format!("word{n} here,{}\n", 9 + n % 2))
        .collect();
    fs::write(folder.path().join("n.csv"), format!("text,label\n{table}")).unwrap();
    train(folder.path(), &["--data", "n.csv", "--out", "run"]);
    let line = succeed(&run(
        folder.path(),
        &["predict", "--model", "run", "--json", "here"],
    ));
    // Compared as text, because JSON objects could be sorted: 10 would come before 9.
    assert!(
        line.find("\"9\":").unwrap() < line.find("\"10\":").unwrap(),
        "{line}"
    );
}

#[test]
fn texts_come_from_a_file_or_a_pipe() {
    let folder = temp();
    let file = folder.path().join("texts.txt");
    let lines = b"\xef\xbb\xbfThe worst.\r\n\nA masterpiece.";
    fs::write(&file, lines).unwrap();
    let file = file.display().to_string();
    let predict = ["predict", "--model", "model"];
    let expected = succeed(&run(
        trained(),
        &[&predict[..], &["The worst.", "", "A masterpiece."]].concat(),
    ));
    assert_eq!(expected.lines().count(), 3);
    let from_file = run(trained(), &[&predict[..], &["--file", &file]].concat());
    assert_eq!(succeed(&from_file), expected);
    let dash = run_with_input(trained(), &[&predict[..], &["--file", "-"]].concat(), lines);
    assert_eq!(succeed(&dash), expected);
    let pipe = run_with_input(trained(), &predict, lines);
    assert_eq!(succeed(&pipe), expected);
    assert_eq!(succeed(&run_with_input(trained(), &predict, b"")), "");
}

#[test]
fn ten_thousand_lines_keep_their_order() {
    // More than one portion, with lengths that are sorted within it.
    let lines: Vec<String> = (0..10_000)
        .map(|n| format!("{n}{}", " film".repeat(n % 7)))
        .collect();
    let input = lines.join("\n");
    let output = run_with_input(
        trained(),
        &["predict", "--model", "model"],
        input.as_bytes(),
    );
    let text = succeed(&output);
    let texts: Vec<&str> = text
        .lines()
        .map(|l| l.split('\t').nth(2).unwrap())
        .collect();
    assert_eq!(texts, lines);
}

#[test]
fn a_very_long_text_is_cut_which_is_said() {
    let text = "a lovely film ".repeat(33_334);
    let predict = ["predict", "--model", "model"];
    let output = run_with_input(trained(), &predict, text.as_bytes());
    let line = succeed(&output);
    assert_eq!(line.lines().count(), 1);
    assert_eq!(
        stderr(&output),
        "cut at text.max_tokens: 1 of 1 texts; 500 of all 100,002 tokens are read\n"
    );
    // Truncated to 500 tokens, which are these.
    let short = "a lovely film ".repeat(167);
    let whole = &short[..short.len() - "film ".len()];
    let output = run(trained(), &[&predict[..], &[whole]].concat());
    let score = |line: &str| line.split('\t').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(score(&line), score(&succeed(&output)));
    assert_eq!(stderr(&output), "");

    let texts = [&text[..14_000], whole, "", "film zyx"];
    let output = run(trained(), &[&predict[..], &["--json"], &texts].concat());
    let found: Vec<(u64, bool, u64)> = json_lines(&succeed(&output))
        .iter()
        .map(|line| {
            let (tokens, truncated) = (&line["tokens"], &line["truncated"]);
            let unknown = &line["unknown_tokens"];
            (
                tokens.as_u64().unwrap(),
                truncated.as_bool().unwrap(),
                unknown.as_u64().unwrap(),
            )
        })
        .collect();
    // An empty text is read as an unknown token, which is not one of its own.
    assert_eq!(
        found,
        [
            (3000, true, 0),
            (500, false, 0),
            (0, false, 0),
            (2, false, 1)
        ]
    );
    assert_eq!(
        stderr(&output),
        "cut at text.max_tokens: 1 of 4 texts; 1,002 of all 3,502 tokens are read\n"
    );
    let output = run(trained(), &[&predict[..], &["zyx film wvu"]].concat());
    succeed(&output);
    assert_eq!(
        stderr(&output),
        "not in the vocabulary: 66.7 % of the tokens of the texts (2 of 3)\n"
    );
}

#[test]
fn a_long_text_is_read_whole_without_truncation() {
    let folder = temp();
    train(
        folder.path(),
        &["--out", "run", "--set", "text.max_tokens=0"],
    );
    let text = "a lovely film ".repeat(33_334);
    let output = run_with_input(
        folder.path(),
        &["predict", "--model", "run"],
        text.as_bytes(),
    );
    assert_eq!(succeed(&output).lines().count(), 1);
}
