//! Files with which people met the program: each is read, or refused with a remedy that works.
//!
//! | case | where its test is |
//! |---|---|
//! | labels -1, shifted numbers, other names, missing and real labels | `labels.rs` |
//! | a split without labels, a run whose texts were standard input or are gone | `eval.rs` |
//! | no threads | `threads.rs` |
//! | scripts without spaces | `train.rs` |
//! | texts that are cut | `predict.rs` |
//! | columns mixed up, rare classes | `labels.rs`, and the units of `data::doubts` |
//! | everything else | here |

use super::program::{run, run_with_input, stderr, succeed, temp, train_arguments};
use super::reading::{read, refused, rows, said, write};
use super::support::birnn;
use birnn::data::{Quote, SourceOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

fn plain() -> SourceOptions {
    SourceOptions::default()
}

fn quote(quote: Quote) -> SourceOptions {
    SourceOptions {
        quote: Some(quote),
        ..plain()
    }
}

fn columns(text: &str, label: &str) -> SourceOptions {
    SourceOptions {
        text_column: Some(text.into()),
        label_column: Some(label.into()),
        ..plain()
    }
}

#[test]
fn a_stray_quote_is_named_and_the_remedy_reads_all_rows() {
    let folder = temp();
    let path = folder.path();
    let stray = "text,label\nfirst is good,p\n\"second is bad,n\nthird is good,p\nfourth 5\" is bad,n\nfifth is good,p\n";
    write(path, "tt.csv", stray);
    assert_eq!(
        read(path, "tt.csv", &plain()),
        refused(
            "tt.csv, line 3: a quote opens a field that goes on to line 5, where text follows the closing quote; it was \
             hardly meant to hold these lines; if quotes mean nothing in this file, give --quote none (key data.quote); \
             otherwise close the quote, or put the field in quotes and double those inside"
        )
    );
    let all = [
        "p|first is good",
        "n|\"second is bad",
        "p|third is good",
        "n|fourth 5\" is bad",
        "p|fifth is good",
    ];
    assert_eq!(read(path, "tt.csv", &quote(Quote::None)), rows(&all));
    // A table with tabs and quotes of the texts.
    write(path, "reviews.tsv", "Review\tLiked\n\"so good\t1\nbad\t0\n");
    let named = columns("Review", "Liked");
    assert_eq!(
        read(path, "reviews.tsv", &named),
        refused(
            "reviews.tsv, line 2: a quote is never closed: the field continues to the end of the file; if quotes mean \
             nothing in this file, give --quote none (key data.quote); otherwise close the quote, or put the field in \
             quotes and double those inside"
        )
    );
    let none = SourceOptions {
        quote: Some(Quote::None),
        ..named
    };
    assert_eq!(
        read(path, "reviews.tsv", &none),
        rows(&["1|\"so good", "0|bad"])
    );
    // Quotes with backslashes, as Spark writes them.
    write(
        path,
        "spark.csv",
        "text,label\n\"dull \\\"and, yes\\\" hollow\",neg\n",
    );
    assert_eq!(
        read(path, "spark.csv", &plain()),
        refused(
            "spark.csv, line 2: a quote inside a quoted field has a backslash before it; give --quote backslash (key \
             data.quote) if quotes inside fields have backslashes, or --quote none if quotes mean nothing"
        )
    );
    assert_eq!(
        read(path, "spark.csv", &quote(Quote::Backslash)),
        rows(&["neg|dull \"and, yes\" hollow"])
    );
}

#[test]
fn names_and_marks_of_tables() {
    let folder = temp();
    let path = folder.path();
    for (name, bytes, options, expected) in [
        (
            "dup_header.csv",
            "text,label\na,pos\ntext,label\nb,neg\n",
            plain(),
            said(
                &["pos|a", "neg|b"],
                &["dup_header.csv: 1 row that repeats the header is left out"],
            ),
        ),
        (
            "excel.csv",
            "\u{feff}Text;Label\na, b;neg\n",
            plain(),
            said(
                &["neg|a, b"],
                &["excel.csv: the columns are separated by semicolons"],
            ),
        ),
        (
            "space.csv",
            "Post Text ,Label\na,neg\n",
            columns("Post Text", "Label"),
            rows(&["neg|a"]),
        ),
        (
            "SMSSpamCollection",
            "ham\ta \"b\nspam\tto win\nham\tto lose\nham\tto be\n",
            plain(),
            said(
                &["ham|a \"b", "spam|to win", "ham|to lose", "ham|to be"],
                &[
                    "SMSSpamCollection: the first line is read as a row, with the text in column 2 and the label in column 1",
                ],
            ),
        ),
        (
            "imdb_labelled.txt",
            "dull.  \t0\nwitty\t1\nbad\t0\n",
            plain(),
            said(
                &["0|dull.  ", "1|witty", "0|bad"],
                &[
                    "imdb_labelled.txt: the first line is read as a row, with the text in column 1 and the label in column 2",
                ],
            ),
        ),
        (
            "yelp.csv",
            "\"1\",\"dull, bad\"\n\"2\",\"witty\"\n\"1\",\"bad\"\n",
            plain(),
            said(
                &["1|dull, bad", "2|witty", "1|bad"],
                &[
                    "yelp.csv: the first line is read as a row, with the text in column 2 and the label in column 1",
                ],
            ),
        ),
        (
            "yelp.csv",
            "\"1\",\"dull, bad\"\n\"2\",\"witty\"\n",
            SourceOptions {
                no_header: true,
                ..columns("2", "1")
            },
            rows(&["1|dull, bad", "2|witty"]),
        ),
        (
            "end.txt",
            "dull street. __label__neg\nwitty __label__pos\n",
            plain(),
            rows(&["neg|dull street.", "pos|witty"]),
        ),
        (
            "array.json",
            "[{\"text\": \"a\", \"label\": \"neg\"}]",
            plain(),
            rows(&["neg|a"]),
        ),
        (
            "doccano.jsonl",
            "{\"text\": \"a\", \"label\": [\"pos\"]}\n",
            plain(),
            rows(&["pos|a"]),
        ),
        (
            "surrogate.jsonl",
            "{\"text\": \"a \\ud83d\", \"label\": \"neg\"}\n",
            plain(),
            said(
                &["neg|a \u{fffd}"],
                &["surrogate.jsonl: 1 row with half of a surrogate pair, which is read as U+FFFD"],
            ),
        ),
        (
            "lfs.csv",
            "version https://git-lfs.github.com/spec/v1\noid sha256:b4\nsize 3\n",
            plain(),
            refused(
                "lfs.csv: this is a Git LFS pointer, not the file itself; fetch the file with git lfs pull, or download it from the page of the repository",
            ),
        ),
    ] {
        write(path, name, bytes);
        assert_eq!(read(path, name, &options), expected, "{name}");
    }
}

#[test]
fn folders_and_archives() {
    let folder = temp();
    let path = folder.path();
    for (name, bytes) in [
        ("spark/part-00000-1f.csv", &b"text,label\na,neg\n"[..]),
        ("spark/part-00001-1f.csv", b"text,label\nb,pos\n"),
        ("upper/neg/1.TXT", b"a"),
        ("upper/pos/1.TXT", b"b"),
        ("marks/neg/1.txt", b"a"),
        ("marks/pos/1.txt", b"\xef\xbb\xbfb"),
        ("enron/ham/1.txt", b"caf\xe9"),
        ("enron/ham/2.txt", b"a"),
        ("enron/spam/1.txt", b"na\xefve"),
    ] {
        write(path, name, bytes);
    }
    let both = rows(&["neg|a", "pos|b"]);
    for name in ["spark", "upper", "marks"] {
        assert_eq!(read(path, name, &plain()), both, "{name}");
    }
    assert_eq!(
        read(path, "enron", &plain()),
        refused(
            "enron, train: 2 of 3 files are not UTF-8: enron/ham/1.txt, enron/spam/1.txt; give the encoding with \
             --encoding (key data.encoding), perhaps windows-1252; --skip-bad-rows leaves them out"
        )
    );
    let encoding = SourceOptions {
        encoding: Some("windows-1252".into()),
        ..plain()
    };
    assert_eq!(
        read(path, "enron", &encoding),
        rows(&["ham|caf\u{e9}", "ham|a", "spam|na\u{ef}ve"])
    );
    let skip = SourceOptions {
        skip_bad_rows: true,
        ..plain()
    };
    assert_eq!(
        read(path, "enron", &skip),
        said(
            &["ham|a"],
            &[
                "enron, train: 2 of 3 rows are left out: enron/ham/1.txt: the text is not UTF-8; enron/spam/1.txt: the text is \
               not UTF-8"
            ]
        )
    );
}

#[test]
fn files_are_classified_by_their_texts() {
    let folder = temp();
    write(folder.path(), "lines.txt", "Lovely soup.\nCold soup.\n");
    let named = run(folder.path(), &["predict", "lines.txt"]);
    assert_eq!(
        stderr(&named),
        "lines.txt is a file: its texts are classified (as with --file), not its name\n"
    );
    let file = run(folder.path(), &["predict", "--file", "lines.txt"]);
    assert_eq!(succeed(&named), succeed(&file));
    let texts = run(folder.path(), &["predict", "Lovely soup.", "Cold soup."]);
    assert_eq!(succeed(&named), succeed(&texts));
    write(
        folder.path(),
        "full.csv",
        "text,label\n\"Lovely, soup.\",positive\n",
    );
    let table = run(folder.path(), &["predict", "--file", "full.csv"]);
    assert!(succeed(&table).starts_with(
        "text,label,predicted_label,predicted_score,predicted_truncated\n\"Lovely, soup.\",positive,"
    ));
}

#[test]
fn every_line_of_a_pipe_is_answered_at_once() {
    let folder = temp();
    for (before, line) in [
        ("", "Lovely soup.\n"),
        ("", "{\"text\": \"Lovely soup.\"}\n"),
        ("id,text\n", "1,\"Lovely, soup.\"\n"),
    ] {
        let mut command = birnn(folder.path(), &["predict"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut answer = String::new();
        input.write_all(before.as_bytes()).unwrap();
        for _ in 0..3 {
            input.write_all(line.as_bytes()).unwrap();
            input.flush().unwrap();
            // A program that waits for more would never answer.
            answer.clear();
            output.read_line(&mut answer).unwrap();
            assert!(
                answer.contains("label") || answer.contains("positive"),
                "{answer}"
            );
        }
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn recipes_need_no_repository() {
    let folder = temp();
    write(
        folder.path(),
        "full.csv",
        "text,label\ngood,pos\nbad,neg\ngood one,pos\nbad one,neg\nfine,pos\npoor,neg\n",
    );
    let printed = run(
        folder.path(),
        &[
            "train",
            "--config",
            "configs/text.toml",
            "--data",
            "full.csv",
            "--print-config",
        ],
    );
    assert!(succeed(&printed).contains("source = \"full.csv\""));
}

#[test]
fn plain_lines_on_standard_input_need_their_format() {
    let folder = temp();
    let line = |n| format!("film {n} is good, and {n} is more\n");
    let lines: String = (0..12).map(line).collect();
    write(folder.path(), "corpus.txt", &lines);
    let vectors = |more: &[&str]| {
        let arguments = [&["vectors", "--out", "v.vec"], more].concat();
        run_with_input(folder.path(), &arguments, lines.as_bytes())
    };
    let refused = vectors(&["--data", "-"]);
    assert!(
        stderr(&refused).ends_with("if the lines are texts, give --format lines\n"),
        "{}",
        stderr(&refused)
    );
    let file = vectors(&["--data", "corpus.txt"]);
    succeed(&file);
    let written = std::fs::read(folder.path().join("v.vec")).unwrap();
    std::fs::remove_file(folder.path().join("v.vec")).unwrap();
    succeed(&vectors(&["--data", "-", "--format", "lines"]));
    assert!(std::fs::read(folder.path().join("v.vec")).unwrap() == written);
    // A JSON list needs none.
    let list = "[{\"text\": \"a\", \"label\": 1}, {\"text\": \"b\", \"label\": 0}, {\"text\": \"c\", \"label\": 1}, \
                {\"text\": \"d\", \"label\": 0}]";
    succeed(&run_with_input(
        folder.path(),
        &train_arguments(&["--data", "-"]),
        list.as_bytes(),
    ));
}
