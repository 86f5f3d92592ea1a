//! Training: its output and the files that it leaves.

use super::program::{
    RUN_FILES, TABLE, fail, json_lines, listing, refuse, run, stderr, stdout, succeed, temp, train,
    train_arguments, trained,
};
use assert_cmd::cargo::cargo_bin;
use std::fs;
use std::io::Write;

#[test]
fn training_prints_the_result_and_leaves_a_run() {
    let folder = temp();
    let output = train(folder.path(), &["--out", "run"]);
    let text = stdout(&output);
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("validation accuracy ") && first.ends_with(" % (epoch 1, 160 texts)")
    );
    assert_eq!(lines.next(), Some(""));
    assert_eq!(lines.next(), Some("some validation texts:"));
    let examples: Vec<&str> = lines.by_ref().take(5).collect();
    for example in examples {
        let mut words = example.split_whitespace();
        assert!(["negative", "positive"].contains(&words.next().unwrap()));
        let score: f64 = words.next().unwrap().parse().unwrap();
        assert!((0.5..=1.0).contains(&score), "{example}");
    }
    let program = cargo_bin("birnn").display().to_string();
    let rest: Vec<&str> = lines.collect();
    assert_eq!(
        rest,
        [
            "",
            "next:",
            &format!("  {program} predict --model run \"a sentence of yours\""),
            &format!("  {program} eval --model run"),
        ]
    );
    assert_eq!(listing(&folder.path().join("run")), RUN_FILES);
    let progress: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(
        progress[0],
        "sample: 640 texts to train on (45,766 tokens), 160 to validate; classes negative, \
         positive; vocabulary 1,000; run in run"
    );
    assert_eq!(progress[1], "9,218 parameters");
    assert!(progress[2].starts_with("epoch 1: training loss 0."));
    assert!(progress[2].contains(" (best); "));
    // After so little training, one class is never predicted.
    let missed = "no validation text of the class \"positive\" is recognised (its recall is 0)";
    assert_eq!(progress[3..], [missed]);
}

#[test]
fn the_log_has_one_object_per_line() {
    let lines = json_lines(&fs::read_to_string(trained().join("model/metrics.jsonl")).unwrap());
    let events: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    // 40 steps, every tenth of which is logged, and one epoch.
    assert_eq!(events, ["step", "step", "step", "step", "epoch"]);
    let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [10, 20, 30, 40, 40]);
    for key in ["loss", "accuracy", "gradient_norm", "learning_rate"] {
        assert!(lines[0][key].is_f64(), "{key}");
    }
}

#[test]
fn the_seed_is_an_option() {
    let folder = temp();
    let path = folder.path();
    for (out, seed) in [("a", "5"), ("b", "5"), ("c", "6")] {
        train(path, &["--out", out, "--seed", seed]);
    }
    let weights = |out: &str| fs::read(path.join(out).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));
    assert!(weights("a") != weights("c"));
}

#[test]
fn the_default_folder_is_the_first_free_one() {
    let folder = temp();
    fs::write(folder.path().join("reviews.csv"), TABLE).unwrap();
    train(folder.path(), &[]);
    let first = fs::read(folder.path().join("runs/sample/model.safetensors")).unwrap();
    train(folder.path(), &["--seed", "1"]);
    assert_eq!(listing(&folder.path().join("runs/sample-2")), RUN_FILES);
    let still = fs::read(folder.path().join("runs/sample/model.safetensors")).unwrap();
    assert!(first == still);
    train(folder.path(), &["--data", "reviews.csv"]);
    assert_eq!(listing(&folder.path().join("runs/reviews")), RUN_FILES);
}

#[test]
fn a_folder_with_a_run_is_refused_unless_forced() {
    let folder = temp();
    train(folder.path(), &["--out", "run"]);
    let message = refuse(folder.path(), &train_arguments(&["--out", "run"]), 1);
    assert_eq!(
        message,
        "run: the folder already holds a run (config.json); continue it with --resume, overwrite \
         it \
         with --force, or choose another --out"
    );
    train(
        folder.path(),
        &["--out", "run", "--force", "--set", "model.num_hiddens=5"],
    );
    assert_eq!(listing(&folder.path().join("run")), RUN_FILES);
    let config = fs::read_to_string(folder.path().join("run/config.json")).unwrap();
    assert!(config.contains("\"num_hiddens\": 5"));
}

#[test]
fn files_that_are_no_runs_are_never_overwritten() {
    for name in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "metrics.jsonl",
        "checkpoints/7/notes",
    ] {
        let folder = temp();
        let file = folder.path().join("out").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "mine").unwrap();
        let found = name.split('/').next().unwrap();
        for force in [&["--force"][..], &[]] {
            let arguments = train_arguments(&[&["--out", "out"], force].concat());
            assert_eq!(
                refuse(folder.path(), &arguments, 1),
                format!(
                    "out: the folder holds no run, but files that a run would replace ({found}); choose another --out, as \
                     --force overwrites nothing but runs"
                )
            );
        }
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
    // Files with other names do not matter, and stay.
    let folder = temp();
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(folder.path().join("out/notes.txt"), "mine").unwrap();
    train(folder.path(), &["--out", "out", "--force"]);
    train(folder.path(), &["--out", "out", "--force"]);
    assert_eq!(
        fs::read(folder.path().join("out/notes.txt")).unwrap(),
        b"mine"
    );
}

#[test]
fn texts_without_spaces_are_read_by_characters_which_is_said() {
    let folder = temp();
    let path = folder.path();
    let mut table = "text,label\n".to_owned();
    for number in ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十"] {
        for (object, opinion, label) in [
            ("电影", "好看", "pos"),
            ("电影", "难看", "neg"),
            ("书", "很好", "pos"),
        ] {
            table.push_str(&format!(
                "我和{number}位朋友觉得这{object}真的{opinion}{number},{label}\n"
            ));
        }
    }
    fs::write(path.join("zh.csv"), &table).unwrap();
    let train = |out: &str, more: &[&str]| {
        let given = [
            "--set",
            "text.min_frequency=2",
            "--data",
            "zh.csv",
            "--out",
            out,
        ];
        run(path, &train_arguments(&[&given[..], more].concat()))
    };
    let output = train("auto", &[]);
    succeed(&output);
    let note = "100 % of the letters are in scripts without spaces between words: text.tokenizer = \"character\"\n";
    assert!(stderr(&output).starts_with(note), "{}", stderr(&output));
    let output = train("character", &["--set", "text.tokenizer=character"]);
    succeed(&output);
    assert!(!stderr(&output).contains(note));
    let output = train("word", &["--set", "text.tokenizer=word"]);
    assert!(
        stderr(&output).contains("nothing occurs 2 times in the texts"),
        "{}",
        stderr(&output)
    );
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let file = |out: &str| fs::read(path.join(out).join(name)).unwrap();
        assert!(file("auto") == file("character"), "{name}");
    }
    // Stored as decided.
    let checkpoints = fs::read_dir(path.join("auto/checkpoints")).unwrap();
    let state = checkpoints
        .map(|entry| entry.unwrap().path().join("training.json"))
        .find(|path| path.exists());
    let state = fs::read_to_string(state.unwrap()).unwrap();
    assert!(state.contains("\"tokenizer\": \"character\""));
    let config = succeed(&run(path, &["train", "--data", "zh.csv", "--print-config"]));
    let reason =
        "# most letters are of scripts without spaces between words.\ntokenizer = \"character\"\n";
    assert!(config.contains(reason), "{config}");
}

#[test]
fn cut_training_texts_are_said() {
    let folder = temp();
    let output = train(
        folder.path(),
        &["--out", "run", "--set", "text.max_tokens=5"],
    );
    let line =
        "cut at text.max_tokens: 633 of 640 training texts; 3,192 of all 45,766 tokens are read\n";
    assert!(stderr(&output).contains(line), "{}", stderr(&output));
    // The old names of key and value.
    let old = [
        "--set",
        "text.truncate=middle",
        "--set",
        "text.max_tokens=5",
        "--out",
        "old",
    ];
    let output = train(folder.path(), &old);
    assert!(
        stderr(&output)
            .starts_with("configuration, text.truncate: this key is now called text.truncation\n")
    );
    let config = fs::read_to_string(folder.path().join("old/config.json")).unwrap();
    assert!(config.contains("\"truncation\": \"both\""), "{config}");
}

#[test]
fn an_out_that_is_not_a_folder_is_refused() {
    let folder = temp();
    fs::write(folder.path().join("file"), "").unwrap();
    let message = refuse(folder.path(), &train_arguments(&["--out", "file"]), 1);
    assert_eq!(
        message,
        "file: this is a file, not a folder; choose another --out"
    );
}

#[test]
fn resuming_needs_a_run() {
    let folder = temp();
    assert_eq!(
        refuse(folder.path(), &["train", "--resume", "--out", "run"], 1),
        "run: there is no checkpoint to resume from; start the run without --resume"
    );
    let output = run(folder.path(), &["train", "--resume"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: "));
    assert!(stderr(&output).contains("--out"));
    for (option, value) in [("--seed", "1"), ("--set", "seed=1"), ("--data", "sample")] {
        let arguments = ["train", "--resume", "--out", "run", option, value];
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(stderr(&output).contains("cannot be used with"), "{option}");
    }
}

#[test]
fn a_finished_run_can_be_resumed_with_the_same_output() {
    let folder = temp();
    let output = train(folder.path(), &["--out", "run"]);
    let config = || fs::read(folder.path().join("run/config.json")).unwrap();
    let before = config();
    let again = run(folder.path(), &["train", "--resume", "--out", "run"]);
    assert_eq!(succeed(&again), stdout(&output));
    assert!(config() == before);
}

#[test]
fn resuming_with_other_texts_is_refused() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("reviews.csv"), TABLE).unwrap();
    train(path, &["--data", "reviews.csv", "--out", "run"]);
    // One more word; another word in place of one, with the same ids; another name for a class; another class for a
    // text.
    for (from, to, differs) in [
        ("cast,pos", "cast here,pos", "tokenizer, training texts"),
        (
            "poor",
            "weak",
            "tokenizer, training texts, validation texts",
        ),
        (",pos", ",plus", "classes, training texts, validation texts"),
        (
            "fine film,pos\npoor",
            "fine film,neg\npoor",
            // The validation rows of each class are chosen again.
            "tokenizer, training texts, validation texts",
        ),
    ] {
        assert!(TABLE.contains(from));
        fs::write(path.join("reviews.csv"), TABLE.replace(from, to)).unwrap();
        assert_eq!(
            fail(&run(path, &["train", "--resume", "--out", "run"]), 1),
            format!(
                "run: these inputs have changed since the run began: {differs}; restore them, or start a new run in another \
                 folder"
            )
        );
    }
    fs::write(path.join("reviews.csv"), TABLE).unwrap();
    succeed(&run(path, &["train", "--resume", "--out", "run"]));
}

#[test]
fn non_finite_numbers_stop_training_and_leave_no_model() {
    let folder = temp();
    let more = [
        "--out",
        "run",
        "--set",
        "train.learning_rate=1e300",
        "--set",
        "train.batch_size=1000",
    ];
    let message = fail(&run(folder.path(), &train_arguments(&more)), 1);
    assert!(
        message.starts_with(
            "validation loss is NaN at step 1; try a lower train.learning_rate (now 1e300)"
        ),
        "{message}"
    );
    assert!(!folder.path().join("run/model.safetensors").exists());
    let message = refuse(folder.path(), &["predict", "--model", "run", "x"], 1);
    assert_eq!(
        message,
        "run/model.safetensors: the file is missing; this run has not finished an epoch yet: \
         resume it with `birnn train --resume --out`"
    );
}

#[test]
fn pretrained_vectors_are_read_plain_and_compressed() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("reviews.csv"), TABLE).unwrap();
    let vectors = "good 1 2 3 4 5 6 7 8\nbad -1 -2 -3 -4 -5 -6 -7 -8\nunheard 0 0 0 0 0 0 0 0\n";
    fs::write(path.join("v.txt"), vectors).unwrap();
    let gz = fs::File::create(path.join("v.txt.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::default());
    gz.write_all(vectors.as_bytes()).unwrap();
    gz.finish().unwrap();
    let mut trained = Vec::new();
    for (file, out) in [("v.txt", "plain"), ("v.txt.gz", "gzip")] {
        let set = format!("train.vectors={file}");
        let more = ["--data", "reviews.csv", "--out", out, "--set", &set];
        let output = train(path, &more);
        let line = format!("{file}: vectors for 2 of 12 words of the vocabulary (16.7 %)");
        let found = stderr(&output).lines().any(|l| l == line);
        assert!(found, "{}", stderr(&output));
        trained.push(fs::read(path.join(out).join("model.safetensors")).unwrap());
    }
    assert!(trained[0] == trained[1]);
    let more = [
        "--data",
        "reviews.csv",
        "--out",
        "x",
        "--set",
        "train.vectors=v.txt",
        "--set",
        "model.embedding_size=9",
    ];
    assert_eq!(
        fail(&run(path, &train_arguments(&more)), 2),
        "configuration, model.embedding_size: 9, but the vectors have 8 numbers each; set it to 8"
    );
    assert!(!path.join("x").exists());
    let more = ["--set", "train.vectors=no.txt"];
    assert!(refuse(path, &train_arguments(&more), 1).starts_with("cannot read no.txt: "));
}

#[test]
fn texts_in_temporary_files_train_the_same_model() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), TABLE).unwrap();
    let model = |memory: &str, out: &str| {
        let more = ["--data", "rows.csv", "--set", memory, "--out", out];
        let output = train(path, &more);
        let weights = fs::read(path.join(out).join("model.safetensors")).unwrap();
        (stderr(&output).to_owned(), weights)
    };
    let (silent, expected) = model("data.memory=256", "memory");
    assert!(!silent.contains("temporary files"), "{silent}");
    let (said, found) = model("data.memory=0", "files");
    assert!(
        said.starts_with("rows.csv: 1 MiB of texts are in temporary files in "),
        "{said}"
    );
    assert!(found == expected);
}

#[test]
fn empty_texts_are_no_reason_to_fail() {
    let folder = temp();
    let path = folder.path();
    fs::write(
        path.join("rows.csv"),
        format!("label,text\n{}", "a,\nb,\"\"\n".repeat(6)),
    )
    .unwrap();
    let more = [
        "train",
        "--data",
        "rows.csv",
        "--set",
        "train.epochs=1",
        "--out",
        "run",
    ];
    let output = run(path, &more);
    succeed(&output);
    let said = stderr(&output);
    assert!(said.contains("12 of 12 texts are empty"), "{said}");
}
