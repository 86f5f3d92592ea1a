//! Predictions for tables: every row and column comes out again, or what is lost is said or refused.

use super::program::{fail, json_lines, run, run_with_input, stderr, stdout, succeed, temp};
use super::reading::write;
use birnn::data::{RowReader, SourceOptions};
use std::fs;
use std::path::Path;

const TEXTS: [&str; 9] = [
    "plain",
    "a \"quoted\", text",
    "two\nlines, and\r\nmore",
    "tab\there",
    "nul\0in",
    " padded ",
    "ends with \\",
    "\u{e9} \u{6f22} \u{1f600} =1+1",
    "{\"a\": 1}|b;c",
];

/// The texts of a file.
fn texts(path: &Path) -> Vec<String> {
    let options = SourceOptions {
        text_column: Some("text".into()),
        ..SourceOptions::default()
    };
    let mut reader = RowReader::open(path, &options).unwrap();
    let mut texts = Vec::new();
    while let Some(portion) = reader.next(100).unwrap() {
        texts.extend(portion.texts().iter().map(|text| text.clone().unwrap()));
    }
    texts
}

#[test]
fn every_format_becomes_every_other() {
    let folder = temp();
    let path = folder.path();
    let lines: String = TEXTS
        .iter()
        .enumerate()
        .map(|(id, text)| {
            serde_json::json!({"id": id, "text": text, "Label": "x,y"}).to_string() + "\n"
        })
        .collect();
    write(path, "0.jsonl", lines);
    let endings = ["csv", "tsv", "json", "parquet", "arrow", "jsonl"];
    // Each format from one before it, so that all are read and written; in the end all come from one another.
    let mut from = "0.jsonl".to_owned();
    for (step, ending) in endings
        .iter()
        .chain(&["arrow", "json", "csv", "parquet", "tsv"])
        .enumerate()
    {
        let to = format!("{}.{ending}", step + 1);
        let output = run(path, &["predict", "--file", &from, "--out", &to]);
        succeed(&output);
        assert_eq!(texts(&path.join(&to)), TEXTS, "{from} to {to}");
        from = to;
    }
    let output = run(path, &["predict", "--file", &from, "--json"]);
    let last = json_lines(&succeed(&output));
    assert_eq!(
        (last.len(), &last[8]["id"], &last[8]["Label"]),
        (9, &"8".into(), &"x,y".into())
    );
    // Three added columns at each of the twelve steps.
    assert_eq!(last[0].as_object().unwrap().len(), 3 + 36 + 2);
}

#[cfg(unix)]
#[test]
fn the_output_has_the_rights_of_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = temp();
    write(folder.path(), "a.csv", "text\nfine\n");
    succeed(&run(
        folder.path(),
        &["predict", "--file", "a.csv", "--out", "b.csv"],
    ));
    let mode = |name: &str| {
        fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("b.csv"), mode("a.csv"));
}

#[test]
fn what_would_be_lost_is_refused() {
    let folder = temp();
    let path = folder.path();
    write(path, "twins.csv", "id,text,id\n1,fine,2\n");
    write(
        path,
        "late.jsonl",
        "{\"text\": \"fine\"}\n{\"text\": \"bad\", \"label\": \"mine\"}\n",
    );
    write(path, "none.tsv", "text\tid\n\"so fine\t1\n");
    write(path, "a.csv", "text\nfine\n");
    fs::create_dir(path.join("folder")).unwrap();
    let twins = "the output: there are several columns \"id\", of which one would be lost in this format; give each column a name of its own, or write a table: --out FILE.csv";
    let late = "the output: an object has the key \"label\", which the first one does not have and which is the name of an added column; give the first object this key too (it may be null), and the added columns get other names; or rename the key";
    for (arguments, code, message) in [
        (&["--file", "twins.csv", "--json"][..], 1, twins),
        (&["--file", "twins.csv", "--out", "x.parquet"], 1, twins),
        (&["--file", "late.jsonl", "--out", "x.jsonl"], 1, late),
        (&["--file", "late.jsonl", "--out", "x.parquet"], 1, late),
        (
            &[
                "--file",
                "none.tsv",
                "--quote",
                "none",
                "--label-map",
                "negative=a\tb,positive=c\td",
                "--out",
                "x.tsv",
            ],
            1,
            "the output: \"c\\td\" cannot be written into a table without quotes: it has a separator or an end of a line; write another format: --out FILE.jsonl",
        ),
        (
            &["--file", "a.csv", "--out", "no/x.csv"],
            2,
            "no: there is no such folder; create it",
        ),
        (
            &["--file", "a.csv", "--out", "twins.csv"],
            2,
            "twins.csv exists: give another name, or --force",
        ),
        (
            &["--file", "folder"],
            1,
            "folder: this is a folder; give one of the files in it",
        ),
    ] {
        let output = run(path, &[&["predict"], arguments].concat());
        assert_eq!(fail(&output, code), message, "{arguments:?}");
    }
    assert!(!path.join("x.parquet").exists() && !path.join("x.tsv").exists());
    // The remedies.
    succeed(&run(
        path,
        &["predict", "--file", "twins.csv", "--out", "x.csv"],
    ));
    write(
        path,
        "late.jsonl",
        "{\"text\": \"fine\", \"label\": null}\n{\"text\": \"bad\", \"label\": \"mine\"}\n",
    );
    succeed(&run(
        path,
        &["predict", "--file", "late.jsonl", "--out", "y.parquet"],
    ));
    let label = [
        "--file",
        "none.tsv",
        "--quote",
        "none",
        "--label-map",
        "positive=c\td",
        "--out",
        "x.jsonl",
    ];
    succeed(&run(path, &[&["predict"], &label[..]].concat()));
}

#[test]
fn what_is_guessed_or_mended_is_said() {
    let folder = temp();
    let path = folder.path();
    for (name, content) in [
        (
            "nan.jsonl",
            "{\"text\": \"fine\", \"x\": NaN}\n{\"text\": NaN}\n",
        ),
        ("half.jsonl", "{\"text\": \"fine\", \"x\": \"\\ud83d\"}\n"),
        ("header.csv", "text,id\n"),
        ("empty.json", "[]"),
        ("bad.csv", "text,id\nfine,1\nbad,2,3\n"),
        ("old.txt", "fine\rfilm"),
    ] {
        write(path, name, content);
    }
    for (arguments, input, lines) in [
        (
            &["--file", "nan.jsonl"][..],
            "",
            "nan.jsonl: 2 rows with NaN or Infinity, which are read as null\n1 row has no text: its label is empty\n",
        ),
        (
            &["--file", "half.jsonl"],
            "",
            "half.jsonl: 1 row with half of a surrogate pair, which is read as U+FFFD\n",
        ),
        (
            &["--file", "header.csv"],
            "",
            "header.csv: there are no rows\n",
        ),
        (
            &["--file", "empty.json"],
            "",
            "empty.json: there are no rows\n",
        ),
        (
            &["--file", "bad.csv", "--skip-bad-rows"],
            "",
            "1 row is left out: bad.csv, row 2 (line 3): the row has 3 fields, but the header has 2\n",
        ),
        (&["--file", "old.txt"], "", ""),
        (
            &[],
            "fine film, question\n",
            "standard input: the first line, \"fine film, question\", is read as the names of columns (if it is a text, give --format lines)\nstandard input: there are no rows\n",
        ),
        (
            &[],
            "text\nfine\n",
            "standard input: the first line, \"text\", is read as a text (if it names a column, give --format csv)\n",
        ),
    ] {
        let output = run_with_input(path, &[&["predict"], arguments].concat(), input.as_bytes());
        succeed(&output);
        match lines {
            "" => {}
            lines => assert_eq!(stderr(&output), lines, "{arguments:?} {input:?}"),
        }
    }
    let old = run(path, &["predict", "--file", "old.txt"]);
    assert_eq!(
        (stderr(&old), stdout(&old).lines().count()),
        ("old.txt: the lines end with a carriage return alone\n", 2)
    );
    let curly = run_with_input(path, &["predict"], b"{fine} film\n");
    assert!(fail(&curly, 1).ends_with("if the lines are texts, give --format lines"));
    let lines = run_with_input(path, &["predict", "--format", "lines"], b"{fine} film\n");
    assert!(succeed(&lines).ends_with("\t{fine} film\n"));
}

#[test]
fn tables_come_out_as_they_were_written() {
    let folder = temp();
    let path = folder.path();
    write(
        path,
        "spark.csv",
        "text,id\n\"a \\\"b\\\"\",1\n\"ends \\\\\",2\n\"c:\\new, d\",3\n",
    );
    let spark = ["predict", "--file", "spark.csv", "--quote", "backslash"];
    let columns = |output: &str| -> Vec<String> {
        let line = |line: &str| line.rsplitn(4, ',').last().unwrap().to_owned();
        output.lines().map(line).collect()
    };
    let output = succeed(&run(path, &spark));
    assert_eq!(
        columns(&output),
        [
            "text,id",
            "\"a \\\"b\\\"\",1",
            "\"ends \\\\\",2",
            "\"c:\\\\new, d\",3"
        ]
    );
    // What was written is read again, and written as it is.
    write(path, "spark.csv", &output);
    let again = succeed(&run(path, &spark));
    let before: Vec<&str> = output.lines().collect();
    let rows: Vec<String> = again
        .lines()
        .map(|line| line.rsplitn(4, ',').last().unwrap().to_owned())
        .collect();
    assert_eq!(rows, before);
    write(
        path,
        "excel.csv",
        "\u{feff}sep=;\r\nid;text\r\n1;fine, so fine\r\n",
    );
    let output = succeed(&run(path, &["predict", "--file", "excel.csv"]));
    assert!(
        output.starts_with("id;text;label;score;truncated\n1;fine, so fine;positive;"),
        "{output}"
    );
    write(path, "lines.csv", "fine film\nbad film\n");
    let output = succeed(&run(
        path,
        &["predict", "--file", "lines.csv", "--no-header"],
    ));
    assert_eq!(output.lines().count(), 2);
    assert!(output.starts_with("fine film,positive,"), "{output}");
}

#[test]
fn categories_stay_in_parquet_and_are_plain_in_arrow() {
    let folder = temp();
    let kinds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files/kinds.parquet");
    let kinds = kinds.display().to_string();
    for (out, said) in [
        ("x.parquet", ""),
        (
            "x.arrow",
            "the categories of \"kind\" are written as plain values\n",
        ),
        ("x.jsonl", ""),
    ] {
        let output = run(folder.path(), &["predict", "--file", &kinds, "--out", out]);
        succeed(&output);
        assert_eq!(stderr(&output), said);
        let rows = run(folder.path(), &["predict", "--file", out, "--json"]);
        let found: Vec<serde_json::Value> = json_lines(&succeed(&rows))
            .iter()
            .map(|row| row["kind"].clone())
            .collect();
        assert_eq!(
            found,
            ["a".into(), "a".into(), "b".into(), serde_json::Value::Null],
            "{out}"
        );
    }
}
