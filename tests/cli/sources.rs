//! All sources of texts.

use super::program::{
    RUN_FILES, TABLE, listing, refuse, run, run_with_input, stderr, succeed, temp, train,
    train_arguments,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Three classes with eight rows each.
fn rows() -> Vec<(String, &'static str)> {
    let words = [
        ("bad", ["poor", "bad", "awful"]),
        ("good", ["good", "fine", "lovely"]),
        ("mixed", ["so-so", "uneven", "mixed"]),
    ];
    let mut rows = Vec::new();
    for n in 0..8 {
        for (label, words) in &words {
            let text = format!("a {} film, {} indeed", words[n % 3], words[(n + 1) % 3]);
            rows.push((text, *label));
        }
    }
    rows
}

fn write_sources(folder: &Path) -> Vec<&'static str> {
    let rows = rows();
    let table = |separator: &str| {
        let mut text = format!("text{separator}label\n");
        for (row, label) in &rows {
            text.push_str(&format!("\"{row}\"{separator}{label}\n"));
        }
        text
    };
    fs::write(folder.join("rows.csv"), table(",")).unwrap();
    fs::write(folder.join("rows.tsv"), table("\t")).unwrap();
    let json = |(text, label): &(String, &str)| {
        serde_json::json!({ "text": text, "label": label }).to_string() + "\n"
    };
    let lines: String = rows.iter().map(json).collect();
    fs::write(folder.join("rows.jsonl"), lines).unwrap();
    let fast: String = rows
        .iter()
        .map(|(text, label)| format!("__label__{label} {text}\n"))
        .collect();
    fs::write(folder.join("rows.txt"), fast).unwrap();
    for (index, (text, label)) in rows.iter().enumerate() {
        let class = folder.join("classes").join(label);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{index}.txt")), text).unwrap();
    }
    vec!["rows.csv", "rows.tsv", "rows.jsonl", "rows.txt", "classes"]
}

#[test]
fn every_format_trains_three_classes() {
    let folder = temp();
    let path = folder.path();
    for (index, source) in write_sources(path).into_iter().enumerate() {
        let out = format!("run-{index}");
        let output = train(path, &["--data", source, "--out", &out]);
        // The rows repeat each other, which is said first.
        let about = stderr(&output);
        let begins = format!("{source}: 21 texts to train on");
        let line = about.lines().find(|line| line.starts_with(&begins));
        assert!(
            line.is_some_and(|line| {
                line.contains("3 to validate; classes bad, good, mixed; vocabulary ")
            }),
            "{about}"
        );
        let report = run(path, &["eval", "--model", &out, "--json"]);
        let report: Value = serde_json::from_str(&succeed(&report)).unwrap();
        assert_eq!(report["examples"], 3, "{source}");
        assert_eq!(
            report["labels"],
            serde_json::json!(["bad", "good", "mixed"])
        );
    }
}

#[test]
fn standard_input_trains_too() {
    let folder = temp();
    let arguments = train_arguments(&["--data", "-"]);
    let output = run_with_input(folder.path(), &arguments, TABLE.as_bytes());
    succeed(&output);
    assert_eq!(listing(&folder.path().join("runs/stdin")), RUN_FILES);
}

#[test]
fn a_split_is_not_validated_on_itself() {
    let folder = temp();
    let more = ["--out", "run", "--set", "data.train_split=validation"];
    let output = train(folder.path(), &more);
    let about = stderr(&output).lines().next().unwrap();
    assert!(about.starts_with("sample: 144 texts"), "{about}");
    assert!(about.contains(", 16 to validate;"), "{about}");
}

#[test]
fn a_run_is_resumed_and_evaluated_on_files_with_commas_in_their_names() {
    let folder = temp();
    let path = folder.path();
    for name in ["a,b.csv", "c.csv"] {
        fs::write(path.join(name), TABLE).unwrap();
    }
    train(path, &["--data", "a,b.csv", "--out", "one"]);
    succeed(&run(path, &["eval", "--model", "one"]));
    let output = train(path, &["--data", "a,b.csv", "c.csv", "--out", "two"]);
    let about = stderr(&output);
    assert!(about.contains("a,b.csv,c.csv"), "{about}");
    // Its sources are stored with their folders.
    let elsewhere = temp();
    let model = path.join("two").display().to_string();
    succeed(&run(elsewhere.path(), &["eval", "--model", &model]));
}

#[test]
fn a_subset_is_chosen_by_an_option() {
    let folder = temp();
    let path = folder.path();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files/views.parquet");
    for subset in ["one", "two"] {
        let subset = path.join("data").join(subset);
        fs::create_dir_all(&subset).unwrap();
        fs::copy(&fixture, subset.join("train.parquet")).unwrap();
    }
    let check = ["check", "--data", "data"];
    let several = "data: there are several subsets; the subsets are: one, two; choose one with --subset NAME (key data.subset)";
    assert_eq!(refuse(path, &check, 1), several);
    let output = run(path, &[&check[..], &["--subset", "two", "--json"]].concat());
    let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
    assert_eq!(report["splits"][0]["rows"], 2);
}

#[test]
fn empty_texts_are_counted() {
    let folder = temp();
    let path = folder.path();
    // What is worse than empty texts comes first: rows of both splits, with different labels.
    let rows = "good film,pos\nbad film,neg\nold film,pos\nold film,neg\n,pos\n";
    fs::write(path.join("data.csv"), format!("text,label\n{rows}")).unwrap();
    fs::write(
        path.join("dev.csv"),
        format!("text,label\n{rows}\" \",neg\n"),
    )
    .unwrap();
    let arguments = [
        "--data",
        "data.csv",
        "--validation",
        "dev.csv",
        "--out",
        "run",
    ];
    let output = train(path, &arguments);
    let lines = [
        "train: 1 of 5 texts is empty (row 5)",
        "validation: 2 of 6 texts are empty (rows 5, 6)",
    ];
    for line in lines {
        assert!(stderr(&output).lines().any(|other| other == line));
    }
    let output = run(path, &["eval", "--model", "run", "--data", "dev.csv"]);
    let line = "dev.csv: 2 of 6 texts are empty (rows 5, 6)";
    assert!(stderr(&output).lines().any(|other| other == line));
}
