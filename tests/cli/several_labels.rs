//! Texts with several labels each, class weights, and the metric that chooses the epoch.

use super::program::{json_lines, refuse, run, stderr, stdout, succeed, temp};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Settings with which a few short texts are learnt.
const QUICK: [&str; 14] = [
    "--set",
    "model.num_hiddens=8",
    "--set",
    "model.embedding_size=8",
    "--set",
    "train.batch_size=8",
    "--set",
    "train.epochs=20",
    "--set",
    "train.learning_rate=0.03",
    "--set",
    "train.init_from=none",
    "--set",
    "train.folds=0",
];
const SIGMOID: [&str; 2] = ["--set", "model.output=sigmoid"];

/// Texts with the labels for which they have a word: each of the eight sets of three labels ten times.
fn rows() -> Vec<(String, Vec<&'static str>)> {
    let words = [
        ("sport", "football"),
        ("money", "prices"),
        ("art", "paintings"),
    ];
    let row = |number: usize| {
        let own: Vec<_> = (0..3)
            .filter(|bit| number >> bit & 1 == 1)
            .map(|bit| words[bit])
            .collect();
        let topics: Vec<&str> = own.iter().map(|(_, word)| *word).collect();
        let text = format!(
            "story {} is about {} today",
            number / 8,
            topics.join(" and ")
        );
        (text, own.iter().map(|(label, _)| *label).collect())
    };
    (0..80).map(row).collect()
}

/// The texts in every format that can hold several labels.
fn write(folder: &Path) {
    let (mut lines, mut objects, mut table) =
        (String::new(), String::new(), "text,label\n".to_owned());
    for (text, labels) in rows() {
        objects += &(serde_json::json!({"text": text, "label": labels}).to_string() + "\n");
        table += &format!("{text},{}\n", labels.join("|"));
        // There, a line without labels is unlabelled.
        if !labels.is_empty() {
            let labels: Vec<String> = labels
                .iter()
                .map(|label| format!("__label__{label}"))
                .collect();
            lines += &format!("{} {text}\n", labels.join(" "));
        }
    }
    fs::write(folder.join("a.jsonl"), objects).unwrap();
    fs::write(folder.join("a.csv"), table).unwrap();
    fs::write(folder.join("a.txt"), lines).unwrap();
}

#[test]
fn several_labels_are_learnt_saved_evaluated_and_predicted() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    let data = [
        "--data",
        "a.jsonl",
        "--out",
        "model",
        "--set",
        "model.ngrams.order=1",
    ];
    let features = [
        "--set",
        "model.ngrams.features=64",
        "--set",
        "model.ngrams.weighting=naive-bayes",
        "--set",
        "model.ngrams.characters=0",
        "--set",
        "train.ngram_cost=0.1",
    ];
    let output = run(
        folder,
        &[&["train"][..], &data, &features, &SIGMOID, &QUICK].concat(),
    );
    let shown = succeed(&output);
    assert!(
        shown.contains("% with exactly the right labels, macro F1 "),
        "{shown}"
    );
    let errors = stderr(&output);
    assert!(
        errors.contains("classes art, money, sport (1.50 a text)"),
        "{errors}"
    );
    assert!(
        errors.contains("9 of 72 rows have no label at all, and are read as texts of no class"),
        "{errors}"
    );

    let config: Value =
        serde_json::from_slice(&fs::read(folder.join("model/config.json")).unwrap()).unwrap();
    assert_eq!(config["model"]["output"], "sigmoid");
    // The same table with a separator; the tokens of the texts are the same.
    let evaluate = |data: &str, more: &[&str]| -> Value {
        let arguments = [
            &["eval", "--model", "model", "--json", "--data", data][..],
            more,
        ]
        .concat();
        serde_json::from_str(&succeed(&run(folder, &arguments))).unwrap()
    };
    let mut of_objects = evaluate("a.jsonl", &[]);
    let mut of_table = evaluate("a.csv", &["--label-separator", "|"]);
    for report in [&mut of_objects, &mut of_table] {
        for key in ["seconds", "source"] {
            report.as_object_mut().unwrap().remove(key);
        }
    }
    assert_eq!(of_objects, of_table);
    assert_eq!(of_objects["micro_f1"], 1.0, "{of_objects}");
    assert_eq!(of_objects["examples"], 80);
    assert_eq!(of_objects["classes"][2]["label"], "sport");
    assert_eq!(of_objects["classes"][2]["support"], 40);
    let threshold = of_objects["classes"][2]["threshold"].as_f64().unwrap();
    assert!(threshold > 0.0 && threshold < 1.0);
    assert_eq!(evaluate("a.txt", &[])["examples"], 70);

    let texts = [
        "story 3 is about football and paintings today",
        "story 3 is about  today",
    ];
    let plain = succeed(&run(
        folder,
        &[&["predict", "--model", "model"][..], &texts].concat(),
    ));
    let lines: Vec<Vec<&str>> = plain
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(
        (lines[0][0], lines[0][1].split(',').count(), lines[0][2]),
        ("art,sport", 2, texts[0])
    );
    assert_eq!(
        (lines[1][0], lines[1][1], lines[1][2]),
        ("(none)", "", texts[1])
    );
    let map = ["--json", "--label-map", "sport=Sport,art=Art"];
    let arguments = [&["predict", "--model", "model"][..], &map, &texts].concat();
    let found = json_lines(&succeed(&run(folder, &arguments)));
    assert_eq!(found[0]["labels"], serde_json::json!(["Art", "Sport"]));
    assert_eq!(found[1]["labels"], serde_json::json!([]));
    assert!(found[0]["scores"]["Sport"].as_f64().unwrap() >= threshold);

    // Copies keep the thresholds, and so do averages of a model with itself.
    succeed(&run(
        folder,
        &["export", "--model", "model", "--out", "copy", "--half"],
    ));
    let again = ["predict", "--model", "copy", "--model", "model"];
    let averaged = succeed(&run(folder, &[&again[..], &texts].concat()));
    assert!(averaged.starts_with("art,sport\t"), "{averaged}");
    let table = succeed(&run(
        folder,
        &["eval", "--model", "copy", "--data", "a.jsonl"],
    ));
    assert!(
        table.contains("precision at 1 ") && table.contains("threshold"),
        "{table}"
    );
}

#[test]
fn several_labels_need_an_output_for_them_and_the_error_says_which() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    let message = refuse(folder, &["train", "--data", "a.txt", "--out", "x"], 1);
    assert_eq!(
        message,
        "a.txt, row 3: the row has 2 labels, \"sport\", \"money\", but each text has one class; keep one; or, if texts \
         may have several, train with --set model.output=sigmoid"
    );
    let arguments = [
        "train",
        "--data",
        "a.txt",
        "--out",
        "x",
        "--set",
        "train.epochs=1",
    ];
    succeed(&run(folder, &[&arguments[..], &SIGMOID].concat()));
    // Models of both kinds are not averaged.
    fs::write(
        folder.join("one.csv"),
        "text,label\na b,sport\nb c,money\na d,art\na b,sport\nb c,money\na d,art\n",
    )
    .unwrap();
    let one = [
        "train",
        "--data",
        "one.csv",
        "--out",
        "y",
        "--set",
        "train.epochs=1",
        "--set",
        "text.min_frequency=1",
    ];
    succeed(&run(folder, &one));
    let message = refuse(folder, &["predict", "--model", "x", "--model", "y", "a"], 1);
    assert!(
        message.contains("only models of the same model.output can be averaged"),
        "{message}"
    );
    for (setting, problem) in [
        (
            "train.virtual_adversarial_weight=1",
            "train.virtual_adversarial_weight: ",
        ),
        (
            "data.label_separator=\"\"",
            "data.label_separator: the text is empty",
        ),
        (
            "train.class_weights={x=2.0}",
            "train.class_weights.x: \"x\" is not a class; the classes are",
        ),
        (
            "train.class_weights={art=-1.0}",
            "train.class_weights.art: -1 is out of range",
        ),
        ("train.class_weights=equal", "train.class_weights: "),
        ("train.metric=f1", "train.metric: "),
    ] {
        let arguments = ["train", "--data", "a.txt", "--out", "z", "--set", setting];
        let output = run(folder, &[&arguments[..], &SIGMOID].concat());
        assert_ne!(output.status.code(), Some(0), "{setting}");
        assert!(
            stderr(&output).contains(problem),
            "{setting}: {}",
            stderr(&output)
        );
    }
}

/// A rare class is never recognised, which is said; with weights it is.
#[test]
fn class_weights_make_a_rare_class_count() {
    let folder = temp();
    let folder = folder.path();
    let mut rows = String::from("text,label\n");
    for number in 0..400 {
        // The rare class has no word of its own, only words that are more frequent in it.
        let (label, word) = match number % 40 {
            0 => ("pos", "lovely"),
            20 => ("neg", "lovely"),
            _ => ("neg", "awful"),
        };
        rows += &format!("film {} was {word},{label}\n", number % 17);
    }
    fs::write(folder.join("a.csv"), rows).unwrap();
    let train = |out: &str, more: &[&str]| {
        let arguments = [
            "train",
            "--data",
            "a.csv",
            "--out",
            out,
            "--set",
            "train.epochs=4",
        ];
        let sizes = [
            "--set",
            "model.num_hiddens=8",
            "--set",
            "model.embedding_size=8",
        ];
        let speed = [
            "--set",
            "train.learning_rate=0.02",
            "--set",
            "train.batch_size=16",
            "--set",
            "train.init_from=none",
            "--set",
            "train.folds=0",
        ];
        let output = run(folder, &[&arguments[..], &sizes, &speed, more].concat());
        succeed(&output);
        let log = fs::read_to_string(folder.join(out).join("metrics.jsonl")).unwrap();
        let epochs = json_lines(&log)
            .into_iter()
            .filter(|line| line["event"] == "epoch");
        (stderr(&output).to_owned(), epochs.collect::<Vec<_>>())
    };
    let (plain, _) = train("plain", &[]);
    assert!(
        plain.contains("the class \"pos\" has under 5 % of the rows"),
        "{plain}"
    );
    let missed = "no validation text of the class \"pos\" is recognised (its recall is 0); --set train.class_weights=balanced";
    assert!(plain.contains(missed), "{plain}");
    let metric = [
        "--set",
        "train.metric=macro_f1",
        "--set",
        "train.class_weights=\"balanced\"",
    ];
    let (weighted, epochs) = train("weighted", &metric);
    assert!(!weighted.contains("is recognised"), "{weighted}");
    let f1 = |epoch: &Value| epoch["validation_macro_f1"].as_f64().unwrap();
    let best = epochs.iter().filter(|epoch| epoch["best"] == true).map(f1);
    let highest = epochs.iter().map(f1).fold(0.0, f64::max);
    assert_eq!(best.fold(0.0, f64::max), highest);
    // A table of the same ratios trains the same model.
    let share = [
        "--set",
        "train.metric=macro_f1",
        "--set",
        "train.class_weights={pos=39.0}",
    ];
    let (_, of_table) = train("table", &share);
    for (epoch, other) in epochs.iter().zip(&of_table) {
        let loss = |epoch: &Value| epoch["loss"].as_f64().unwrap();
        assert!((loss(epoch) - loss(other)).abs() < 1e-3);
    }
    let (_, by_loss) = train("loss", &["--set", "train.metric=loss"]);
    let losses: Vec<f64> = by_loss
        .iter()
        .map(|epoch| epoch["validation_loss"].as_f64().unwrap())
        .collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let best = by_loss.iter().rfind(|epoch| epoch["best"] == true).unwrap();
    assert_eq!(best["validation_loss"].as_f64().unwrap(), lowest);
}

#[test]
fn predictions_have_the_names_of_a_map() {
    let folder = temp();
    let names = [
        "predict",
        "--label-map",
        "negative=NEG,positive=POS",
        "a lovely film",
    ];
    let output = run(folder.path(), &names);
    assert!(succeed(&output).starts_with("POS\t"), "{}", stdout(&output));
    let message = refuse(
        folder.path(),
        &["predict", "--label-map", "pos=POS", "a lovely film"],
        2,
    );
    assert_eq!(
        message,
        "configuration, data.label_map: \"pos\" is not a class; the classes are \"negative\", \"positive\""
    );
}

#[test]
fn the_head_of_the_default_recipe_learns_several_labels() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    let arguments = ["train", "--data", "a.jsonl", "--out", "model"];
    succeed(&run(folder, &[&arguments[..], &SIGMOID, &QUICK].concat()));
    let arguments = ["eval", "--model", "model", "--json", "--data", "a.jsonl"];
    let report: Value = serde_json::from_str(&succeed(&run(folder, &arguments))).unwrap();
    assert_eq!(report["macro_f1"], 1.0, "{report}");
}
