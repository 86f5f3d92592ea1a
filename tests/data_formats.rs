//! Every file format and folder layout that the crate reads, and the ways in which they can be broken.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use birnn::data::{Format, Source, SourceOptions, Split, read_rows};
use flate2::{Compression, write::GzEncoder};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tempfile::TempDir;

/// A folder that is removed after the test.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Writes a file, its folders included; returns its path.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, name: &str) -> Result<Source, String> {
        self.open_with(name, SourceOptions::default())
    }

    fn open_with(&self, name: &str, options: SourceOptions) -> Result<Source, String> {
        // Joining an empty name would leave a slash at the end.
        let path = match name {
            "" => self.path().to_owned(),
            name => self.path().join(name),
        };
        Source::open(path.to_str().unwrap(), options).map_err(|error| self.shorten(&error))
    }

    /// The message without the folder's path.
    fn shorten(&self, error: &dyn std::fmt::Display) -> String {
        let folder = self.path().display().to_string();
        error
            .to_string()
            .replace(&format!("{folder}/"), "")
            .replace(&folder, "DIR")
    }

    /// Reads the only split of a file.
    fn read_with(&self, name: &str, options: SourceOptions) -> Result<Split, String> {
        let source = self.open_with(name, options)?;
        let split = source.split_names().next().unwrap().to_owned();
        source
            .split(&split, &mut ())
            .map_err(|error| self.shorten(&error))
    }

    fn read(&self, name: &str) -> Result<Split, String> {
        self.read_with(name, SourceOptions::default())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Texts and labels; `-` means no label.
fn texts_and_labels(split: &Split) -> Vec<(&str, &str)> {
    split
        .records
        .iter()
        .map(|record| (&*record.text, record.label().unwrap_or("-")))
        .collect()
}

fn names(source: &Source) -> Vec<&str> {
    source.split_names().collect()
}

/// The values of a test column.
enum Column {
    Text(Vec<&'static str>),
    Bytes(Vec<&'static [u8]>),
    /// Optional strings.
    Maybe(Vec<Option<&'static str>>),
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    Bool(Vec<bool>),
}

/// A Parquet file with these columns and this metadata under the key `huggingface`.
fn parquet_file(columns: &[(&str, Column)], metadata: Option<&str>) -> Vec<u8> {
    let fields: String = columns
        .iter()
        .map(|(name, column)| match column {
            Column::Text(_) => format!("required binary {name} (UTF8);"),
            Column::Bytes(_) => format!("required binary {name};"),
            Column::Maybe(_) => format!("optional binary {name} (UTF8);"),
            Column::Int64(_) => format!("required int64 {name};"),
            Column::Int32(_) => format!("required int32 {name};"),
            Column::Bool(_) => format!("required boolean {name};"),
        })
        .collect();
    let schema = parse_message_type(&format!("message rows {{ {fields} }}")).unwrap();
    let metadata =
        metadata.map(|json| vec![KeyValue::new("huggingface".to_owned(), json.to_owned())]);
    let properties = WriterProperties::builder()
        .set_key_value_metadata(metadata)
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, column) in columns {
        let mut writer = group.next_column().unwrap().unwrap();
        let array = |text: &&str| ByteArray::from(*text);
        match column {
            Column::Text(values) => {
                let values: Vec<ByteArray> = values.iter().map(array).collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)
            }
            Column::Bytes(values) => {
                let values: Vec<ByteArray> = values
                    .iter()
                    .map(|bytes| ByteArray::from(bytes.to_vec()))
                    .collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&values, None, None)
            }
            Column::Maybe(values) => {
                let levels: Vec<i16> = values.iter().map(|v| v.is_some().into()).collect();
                let values: Vec<ByteArray> = values.iter().flatten().map(array).collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&levels), None)
            }
            Column::Int64(values) => writer.typed::<Int64Type>().write_batch(values, None, None),
            Column::Int32(values) => writer.typed::<Int32Type>().write_batch(values, None, None),
            Column::Bool(values) => writer.typed::<BoolType>().write_batch(values, None, None),
        }
        .unwrap();
        writer.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn two_columns() -> Vec<u8> {
    parquet_file(
        &[
            ("id", Column::Int64(vec![7, 8, 9])),
            ("text", Column::Text(vec!["good", "", "bad\nbad"])),
            ("label", Column::Int64(vec![1, -1, 0])),
        ],
        None,
    )
}

#[test]
fn every_format_gives_the_same_rows_compressed_or_not() {
    let folder = Folder::new();
    let files: [(&str, Vec<u8>); 5] = [
        (
            "a.csv",
            b"\xef\xbb\xbfid,label,text\r\n1,1,\"good, \"\"so\"\" good\"\r\n2,,none\r\n3,0,bad\r\n".to_vec(),
        ),
        (
            "a.tsv",
            b"text\tlabel\n\"good, \"\"so\"\" good\"\t 1 \nnone\tNaN\nbad\t0".to_vec(),
        ),
        (
            "a.jsonl",
            b"{\"text\":\"good, \\\"so\\\" good\",\"label\":1}\n\n{\"label\":null,\"text\":\"none\"}\r\n{\"text\":\"bad\",\"label\":\"0\"}".to_vec(),
        ),
        (
            "a.txt",
            b"__label__1 good, \"so\" good\n\nnone\r\n__label__0  bad\n".to_vec(),
        ),
        (
            "a.parquet",
            parquet_file(
                &[
                    ("text", Column::Text(vec!["good, \"so\" good", "none", "bad"])),
                    ("label", Column::Maybe(vec![Some("1"), None, Some("0")])),
                ],
                None,
            ),
        ),
    ];
    let expected = [("good, \"so\" good", "1"), ("none", "-"), ("bad", "0")];
    for (name, bytes) in files {
        let packed = format!("{name}.gz");
        folder.file(name, &bytes);
        folder.file(&packed, gzip(&bytes));
        for name in [name, &packed] {
            let split = folder.read(name).unwrap();
            assert_eq!(texts_and_labels(&split), expected, "{name}");
            assert_eq!(split.records[2].row, 3);
            assert_eq!(split.origin, folder.path().join(name).display().to_string());
        }
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let options = SourceOptions::default();
            let split = read_rows(Cursor::new(bytes), "standard input", &options).unwrap();
            assert_eq!(texts_and_labels(&split), expected, "{name} guessed");
            assert_eq!(split.origin, "standard input");
        }
    }
}

#[test]
fn gzip_files_may_have_several_members() {
    let folder = Folder::new();
    let mut bytes = gzip(b"text,label\na,1\n");
    bytes.extend(gzip(b"b,0\n"));
    folder.file("a.csv.gz", bytes);
    assert_eq!(
        texts_and_labels(&folder.read("a.csv.gz").unwrap()),
        [("a", "1"), ("b", "0")]
    );
}

#[test]
fn the_format_of_a_stream_can_be_given() {
    let options = SourceOptions {
        format: Some(Format::FastText),
        ..SourceOptions::default()
    };
    let split = read_rows(Cursor::new("a\tb\n"), "standard input", &options).unwrap();
    assert_eq!(texts_and_labels(&split), [("a\tb", "-")]);
    let message = |bytes: &[u8]| {
        let options = SourceOptions::default();
        read_rows(bytes, "standard input", &options)
            .unwrap_err()
            .to_string()
    };
    let nothing = "standard input: there is nothing to read; check the command that writes it";
    assert_eq!(message(b""), nothing);
    assert_eq!(message(b" \n\n"), nothing);
}

#[test]
fn the_format_of_a_file_can_be_given() {
    let folder = Folder::new();
    folder.file("rows.dat", "text,label\na,b\n");
    let options = SourceOptions {
        format: Some(Format::Csv),
        ..SourceOptions::default()
    };
    assert_eq!(
        texts_and_labels(&folder.read_with("rows.dat", options).unwrap()),
        [("a", "b")]
    );
    // What it holds says the same.
    assert_eq!(
        texts_and_labels(&folder.read("rows.dat").unwrap()),
        [("a", "b")]
    );
    let options = SourceOptions {
        format: Some(Format::Parquet),
        ..SourceOptions::default()
    };
    assert_eq!(
        folder.read_with("rows.dat", options).unwrap_err(),
        "rows.dat: this is not parquet: it does not begin with the bytes of that format; check that it was copied or \
         downloaded completely, or give another --format (key data.format)"
    );
}

#[test]
fn broken_tables_are_refused() {
    let folder = Folder::new();
    let fails = |name: &str, bytes: &[u8], expected: &str| {
        folder.file(name, bytes);
        let message = folder.read(name).unwrap_err();
        assert!(
            message.starts_with(expected),
            "{message}\nis not\n{expected}"
        );
    };
    fails(
        "a.csv",
        b"",
        "a.csv: the file is empty; check that it was written",
    );
    fails(
        "a.csv",
        b"\n\n",
        "a.csv: there is no header; the first line must name the columns",
    );
    fails(
        "a.csv",
        b"text,label\n",
        "a.csv: there are no rows; check that",
    );
    fails(
        "a.csv",
        b"text,label\na,1\nb,c,0\n",
        "a.csv, row 2 (line 3): the row has 3 fields, but the header has 2; put texts that hold \
         the separator in double quotes, and double the quotes inside",
    );
    fails(
        "a.csv",
        b"text,label\n\"a\na\",1\nb\xff,0\n",
        "a.csv, row 2 (line 4): the text is not UTF-8; give the encoding",
    );
    fails(
        "a.csv",
        b"te\xfft,label\na,1\n",
        "a.csv, line 1: the text is not UTF-8",
    );
    fails(
        "a.csv",
        b"id,label\n1,2\n",
        "a.csv: there is no text column (none of text, sentence, review, content, comment, message, tweet, document, question); the columns \
         are: id, label; select it with --text-column (key data.text_column)",
    );
    fails(
        "a.csv",
        b"label,text\n1,\"two\nlines\"\n0,\"open\n1,more\n",
        "a.csv, line 4: a quote is never closed: the field continues to the end of the file; if quotes mean nothing in \
         this file, give --quote none (key data.quote); otherwise close the quote, or put",
    );
    folder.file("a.csv", "label,text\n1,\"two\nlines\"\r\n");
    assert_eq!(
        texts_and_labels(&folder.read("a.csv").unwrap()),
        [("two\nlines", "1")]
    );
    fails(
        "a.tsv",
        b"label\ttext\n1\tfine\n0\t\"quoted\n1\tmore\n0\tend\"\n",
        "a.tsv, line 3: a quote opens a field of 3 lines, each of which could be a row; if quotes mean nothing",
    );
}

#[test]
fn columns_and_label_names_can_be_chosen() {
    let folder = Folder::new();
    folder.file("a.csv", "text,body,stars\nx,y,1\nx,z,0\n");
    let mut options = SourceOptions {
        text_column: Some("body".into()),
        label_column: Some("stars".into()),
        label_names: Some(vec!["neg".into(), "pos".into()]),
        ..SourceOptions::default()
    };
    let split = folder.read_with("a.csv", options.clone()).unwrap();
    // As written; `Labels::read` makes names of them.
    assert_eq!(texts_and_labels(&split), [("y", "1"), ("z", "0")]);
    options.label_column = Some("star".into());
    assert_eq!(
        folder.read_with("a.csv", options).unwrap_err(),
        "a.csv: there is no column \"star\"; the columns are: text, body, stars; select it with \
         --label-column (key data.label_column)"
    );
}

#[test]
fn groups_are_read_from_their_column() {
    let folder = Folder::new();
    folder.file("a.csv", "text,label,kind,phenomenon\na,x,1,irony\nb,y,2,\n");
    folder.file(
        "a.tsv",
        "text\tlabel\tkind\tphenomenon\na\tx\t1\tirony\nb\ty\t2\t\n",
    );
    folder.file(
        "a.jsonl",
        "{\"text\":\"a\",\"label\":\"x\",\"kind\":1,\"phenomenon\":\"irony\"}\n\
         {\"text\":\"b\",\"label\":\"y\",\"kind\":2}\n",
    );
    let columns = [
        ("text", Column::Text(vec!["a", "b"])),
        ("label", Column::Text(vec!["x", "y"])),
        ("kind", Column::Int64(vec![1, 2])),
        ("phenomenon", Column::Maybe(vec![Some("irony"), None])),
    ];
    folder.file("a.parquet", parquet_file(&columns, None));
    let groups = |name: &str, column: Option<&str>| {
        let options = SourceOptions {
            group_column: column.map(str::to_owned),
            ..SourceOptions::default()
        };
        let split = folder.read_with(name, options)?;
        let groups = split.records.into_iter().map(|row| row.group);
        Ok::<_, String>(groups.map(|group| group.unwrap_or("-".into())).collect())
    };
    for name in ["a.csv", "a.tsv", "a.jsonl", "a.parquet"] {
        let read = |column| -> Vec<String> { groups(name, column).unwrap() };
        assert_eq!(read(None), ["irony", "-"], "{name}");
        assert_eq!(read(Some("kind")), ["1", "2"], "{name}");
        assert_eq!(read(Some("label")), ["x", "y"], "{name}");
        let message = groups(name, Some("sort")).unwrap_err();
        assert!(message.contains("there is no column \"sort\"; the columns are: "));
        assert!(
            message.ends_with("label, phenomenon, text; select it with --group-column")
                || message.ends_with("kind, phenomenon; select it with --group-column")
        );
    }
    // A column that was not requested counts only if it holds words.
    folder.file(
        "b.jsonl",
        "{\"text\":\"a\",\"label\":\"x\",\"phenomenon\":[1]}\n",
    );
    assert_eq!(groups("b.jsonl", None).unwrap(), ["-"]);
    assert_eq!(
        groups("b.jsonl", Some("phenomenon")).unwrap_err(),
        "b.jsonl, line 1: the value of \"phenomenon\" is a list; it must be a string, a number, \
         true, false or null"
    );
    // A format without columns has none to name.
    folder.file("a.txt", "__label__x a\n__label__y b\n");
    assert_eq!(groups("a.txt", None).unwrap(), ["-", "-"]);
    assert_eq!(
        groups("a.txt", Some("kind")).unwrap_err(),
        "a.txt: no row has a value in a column \"kind\"; name another one with --group-column"
    );
}

#[test]
fn unlabelled_rows_are_read_if_allowed() {
    let folder = Folder::new();
    let options = SourceOptions {
        unlabelled: true,
        ..SourceOptions::default()
    };
    folder.file("a.csv", "text\na\n");
    folder.file("a.jsonl", "{\"text\":\"a\"}\n");
    folder.file(
        "a.parquet",
        parquet_file(&[("text", Column::Text(vec!["a"]))], None),
    );
    for name in ["a.csv", "a.jsonl", "a.parquet"] {
        let split = folder.read_with(name, options.clone()).unwrap();
        assert_eq!(texts_and_labels(&split), [("a", "-")]);
        assert!(
            folder
                .read(name)
                .unwrap_err()
                .contains("there is no label column")
        );
    }
}

#[test]
fn broken_json_lines_are_refused() {
    let folder = Folder::new();
    let fails = |bytes: &[u8], expected: &str| {
        folder.file("a.jsonl", bytes);
        let message = folder.read("a.jsonl").unwrap_err();
        assert!(
            message.starts_with(expected),
            "{message}\nis not\n{expected}"
        );
    };
    fails(b"\n \n", "a.jsonl: there are no rows");
    let good = "{\"text\":\"a\",\"label\":true}\n\n";
    let fails_after = |line: &str, expected: &str| {
        fails(
            format!("{good}{line}\n").as_bytes(),
            &format!("a.jsonl, line 3: {expected}"),
        );
    };
    fails_after(
        "{\"text\":",
        "the line is not a JSON object (EOF while parsing",
    );
    fails_after("[1]", "the line is not a JSON object (");
    fails_after(
        "{\"label\":1}",
        "the key \"text\" is missing; it must be a string",
    );
    fails_after(
        "{\"text\":1,\"label\":1}",
        "the value of \"text\" is a number; it must be a string",
    );
    fails_after(
        "{\"text\":\"\"}",
        "the key \"label\" is missing; it must be a string, a number,",
    );
    fails_after(
        "{\"text\":\"\",\"label\":{}}",
        "the value of \"label\" is an object; it must be",
    );
    fails_after(
        "{\"text\":\"\",\"label\":[1,[2]]}",
        "the value of \"label\" is a list; it must be",
    );
    fails(
        b"{\"a\":\"\xff\"}",
        "a.jsonl, line 1: the text is not UTF-8; give",
    );
    fails(
        b"{\"b\":1,\"a\":2}",
        "a.jsonl, line 1: there is no text column (none of text, sentence, review, content, comment, message, tweet, document, question); the \
         columns are: b, a; select",
    );
}

#[test]
fn fasttext_lines_may_have_several_labels() {
    let folder = Folder::new();
    folder.file("a.txt", "__label__x\na __label__y\n");
    assert_eq!(
        texts_and_labels(&folder.read("a.txt").unwrap()),
        [("", "x"), ("a", "y")]
    );
    folder.file("a.txt", "__label__x a\n__label__x __label__y a\n");
    let split = folder.read("a.txt").unwrap();
    assert_eq!(split.records[1].labels, Some(vec!["x".into(), "y".into()]));
    assert_eq!(split.records[1].text, "a");
}

#[test]
fn broken_gzip_files_are_refused() {
    let folder = Folder::new();
    let rows: String = (0..5000).map(|i| format!("text {i},{}\n", i % 2)).collect();
    let whole = gzip(format!("text,label\n{rows}").as_bytes());
    folder.file("cut.csv.gz", &whole[..whole.len() / 2]);
    assert_eq!(
        folder.read("cut.csv.gz").unwrap_err(),
        "cut.csv.gz: the gzip data end too early; the file was cut off: copy or download it again"
    );
    let mut flipped = whole.clone();
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    folder.file("flipped.csv.gz", flipped);
    folder.file("junk.csv.gz", b"\0\x01\0\x02\0");
    for (name, problem) in [
        ("flipped.csv.gz", "the gzip data are damaged"),
        (
            "junk.csv.gz",
            "the file is not gzip data, but its name ends in .gz",
        ),
    ] {
        let message = folder.read(name).unwrap_err();
        assert!(
            message.starts_with(&format!("{name}: {problem}")),
            "{message}"
        );
    }
    // What a file holds counts, not its name; that they differ is said.
    folder.file("plain.csv.gz", "text,label\na,1\n");
    folder.file("plain.parquet.gz", two_columns());
    for name in ["plain.csv.gz", "plain.parquet.gz"] {
        let split = folder.read(name).unwrap();
        let notes: Vec<String> = split
            .notes
            .iter()
            .map(|note| folder.shorten(note))
            .collect();
        assert_eq!(
            notes,
            [format!(
                "{name}: the name ends in .gz, but the file is not compressed"
            )]
        );
    }
}

#[test]
fn parquet_labels_can_have_any_plain_type() {
    let folder = Folder::new();
    let texts = || ("sentence", Column::Text(vec!["a", "b", "c"]));
    let read = |label: Column| {
        folder.file(
            "a.parquet",
            parquet_file(&[("label", label), texts()], None),
        );
        let split = folder.read("a.parquet").unwrap();
        let labels = texts_and_labels(&split)
            .iter()
            .map(|(_, label)| label.to_string())
            .collect::<Vec<_>>();
        labels.join(" ")
    };
    assert_eq!(read(Column::Int64(vec![1, 0, -1])), "1 0 -1");
    assert_eq!(read(Column::Int32(vec![1, 0, -1])), "1 0 -1");
    assert_eq!(
        read(Column::Bool(vec![true, false, true])),
        "true false true"
    );
    assert_eq!(read(Column::Text(vec!["x", "", "z"])), "x - z");
    assert_eq!(read(Column::Maybe(vec![None, Some("y"), None])), "- y -");
}

#[test]
fn declared_class_names_are_used_unless_others_are_given() {
    let folder = Folder::new();
    let json = r#"{"info":{"features":{"label":{"names":["neg","pos"],"_type":"ClassLabel"}}}}"#;
    let columns = |labels| {
        [
            ("text", Column::Text(vec!["a", "b", "c"])),
            ("label", Column::Int64(labels)),
        ]
    };
    folder.file(
        "a.parquet",
        parquet_file(&columns(vec![1, 0, -1]), Some(json)),
    );
    let labels = |split: Split| -> Vec<Option<String>> {
        split
            .records
            .into_iter()
            .map(|record| record.label().map(str::to_owned))
            .collect()
    };
    assert_eq!(
        labels(folder.read("a.parquet").unwrap()),
        [Some("pos".into()), Some("neg".into()), None]
    );
    let options = SourceOptions {
        label_names: Some(vec!["bad".into(), "good".into()]),
        ..SourceOptions::default()
    };
    assert_eq!(
        labels(folder.read_with("a.parquet", options).unwrap()),
        [Some("1".into()), Some("0".into()), None]
    );
    folder.file(
        "b.parquet",
        parquet_file(&columns(vec![1, 2, 0]), Some(json)),
    );
    let message = folder.read("b.parquet").unwrap_err();
    assert!(
        message
            .starts_with("b.parquet, row 2: the label \"2\" is not an index into the class names"),
        "{message}"
    );
    folder.file(
        "c.parquet",
        parquet_file(&columns(vec![1, 2, 0]), Some("{]")),
    );
    assert_eq!(
        labels(folder.read("c.parquet").unwrap())[1],
        Some("2".into())
    );
}

#[test]
fn unsuitable_parquet_columns_are_refused() {
    let folder = Folder::new();
    let fails = |columns: &[(&str, Column)], expected: &str| {
        folder.file("a.parquet", parquet_file(columns, None));
        let message = folder.read("a.parquet").unwrap_err();
        assert!(
            message.starts_with(expected),
            "{message}\nis not\n{expected}"
        );
    };
    let label = || ("label", Column::Int64(vec![0, 1]));
    fails(
        &[("quote", Column::Text(vec!["a", "b"])), label()],
        "a.parquet: there is no text column (none of text, sentence, review, content, comment, message, tweet, document, question); the \
         columns are: quote, label; select",
    );
    fails(
        &[("text", Column::Int64(vec![1, 2])), label()],
        "a.parquet: the column \"text\" does not hold strings; name the column",
    );
    fails(
        &[("text", Column::Maybe(vec![Some("a"), None])), label()],
        "a.parquet, row 2: the text is null; remove the row",
    );
    fails(
        &[("text", Column::Bytes(vec![b"a", b"\xff"])), label()],
        "a.parquet, row 2: the text is not UTF-8",
    );
    fails(
        &[
            ("text", Column::Text(vec![])),
            ("label", Column::Int64(vec![])),
        ],
        "a.parquet: there are no rows",
    );
}

#[test]
fn damaged_parquet_files_are_errors_and_never_panics() {
    let folder = Folder::new();
    let good = two_columns();
    folder.file("a.parquet", &good[..good.len() - 9]);
    let message = folder.read("a.parquet").unwrap_err();
    assert!(
        message.starts_with("a.parquet: the file is not Parquet or is damaged ("),
        "{message}"
    );
    assert!(message.ends_with("); check that it was copied or downloaded completely"));
    folder.file("a.parquet", "text,label\n");
    assert!(folder.read("a.parquet").unwrap_err().starts_with(
        "a.parquet: the file does not begin with the bytes of the format that its name ends in"
    ));
    // Each byte of the file inverted: an error or different rows, but never a panic.
    for position in 0..good.len() {
        let mut damaged = good.clone();
        damaged[position] ^= 0xff;
        let _ = read_rows(
            Cursor::new(damaged),
            "damaged",
            &SourceOptions {
                format: Some(Format::Parquet),
                ..SourceOptions::default()
            },
        );
    }
}

#[test]
fn the_layout_of_acl_imdb_is_read() {
    let folder = Folder::new();
    folder.file("imdbEr.txt", "7.1\n");
    folder.file("README", "");
    folder.file("train/urls_pos.txt", "http://");
    for name in ["10_8.txt", "9_7.txt", "100_9.txt"] {
        folder.file(&format!("train/pos/{name}"), format!("good {name}\n"));
    }
    folder.file("train/neg/0_3.txt", "bad");
    folder.file("train/unsup/0_0.txt", "who knows");
    folder.file("test/neg/0_2.txt", "bad");
    folder.file("test/pos/0_10.txt", "good");
    let source = folder.open("").unwrap();
    assert_eq!(names(&source), ["train", "test", "unsupervised"]);
    assert_eq!(
        texts_and_labels(&source.split("train", &mut ()).unwrap()),
        [
            ("bad", "neg"),
            ("good 9_7.txt\n", "pos"),
            ("good 10_8.txt\n", "pos"),
            ("good 100_9.txt\n", "pos")
        ]
    );
    assert_eq!(
        texts_and_labels(&source.split("unsupervised", &mut ()).unwrap()),
        [("who knows", "-")]
    );
    let inner = folder.open("test").unwrap();
    assert_eq!(names(&inner), ["test"]);
    assert_eq!(inner.split("test", &mut ()).unwrap().records.len(), 2);

    folder.file("test/pos/1_1.txt", b"\xff");
    let message = source.split("test", &mut ()).unwrap_err();
    assert_eq!(
        folder.shorten(&message),
        "DIR, test: 1 of 3 files is not UTF-8: test/pos/1_1.txt; give the encoding with --encoding (key data.encoding), \
         perhaps windows-1252; --skip-bad-rows leaves them out"
    );
    fs::remove_dir_all(folder.path().join("test/pos")).unwrap();
    fs::create_dir(folder.path().join("test/pos")).unwrap();
    let message = folder.open("").unwrap().split("test", &mut ()).unwrap_err();
    assert_eq!(
        folder.shorten(&message),
        "test/pos: the class folder holds no .txt files; fill or remove it"
    );
}

#[test]
fn a_folder_of_classes_is_one_split() {
    let folder = Folder::new();
    folder.file("mine/spam/1.txt", "buy");
    folder.file("mine/ham/1.txt", "hello");
    folder.file("mine/.cache/1.txt", "");
    let source = folder.open("mine").unwrap();
    assert_eq!(names(&source), ["train"]);
    assert_eq!(
        texts_and_labels(&source.split("train", &mut ()).unwrap()),
        [("hello", "ham"), ("buy", "spam")]
    );
}

#[test]
fn a_folder_of_files_has_their_splits() {
    let folder = Folder::new();
    let one = |text: &'static str| {
        parquet_file(
            &[
                ("text", Column::Text(vec![text])),
                ("label", Column::Int64(vec![1])),
            ],
            None,
        )
    };
    folder.file("train-00001-of-00002.parquet", one("second"));
    folder.file("train-00000-of-00002.parquet", one("first"));
    folder.file("dev.tsv", "text\tlabel\nd\t1\n");
    folder.file("test.csv.gz", gzip(b"text,label\nt,1\n"));
    folder.file("unsupervised-00000-of-00001.parquet", "not read");
    folder.file("extra.jsonl", "not read");
    folder.file("README.md", "");
    let source = folder.open("").unwrap();
    assert_eq!(
        names(&source),
        ["train", "validation", "test", "extra", "unsupervised"]
    );
    let train = source.split("train", &mut ()).unwrap();
    assert_eq!(texts_and_labels(&train), [("first", "1"), ("second", "1")]);
    assert_eq!(train.records[1].row, 2);
    assert_eq!(train.origin, format!("{}, train", folder.path().display()));
    for (split, text) in [("validation", "d"), ("test", "t")] {
        assert_eq!(
            texts_and_labels(&source.split(split, &mut ()).unwrap()),
            [(text, "1")]
        );
    }
    assert!(!source.has_split("dev"));
}

#[test]
fn a_clone_of_a_hub_repository_is_read() {
    let folder = Folder::new();
    folder.file("README.md", "");
    folder.file("plain_text/train-00000-of-00001.parquet", two_columns());
    folder.file("other/train/0000.parquet", "not read");
    let source = folder.open("").unwrap();
    assert_eq!(names(&source), ["train"]);
    assert_eq!(
        texts_and_labels(&source.split("train", &mut ()).unwrap()),
        [("good", "1"), ("", "-1"), ("bad\nbad", "0")]
    );
    let options = SourceOptions {
        subset: Some("none".into()),
        ..SourceOptions::default()
    };
    assert_eq!(
        folder.open_with("", options).unwrap_err(),
        "DIR: there is no subset \"none\"; the subsets are: other, plain_text; choose one with \
         --subset NAME (key data.subset)"
    );
}

#[test]
fn folders_may_be_named_after_the_values_of_a_column() {
    let folder = Folder::new();
    folder.file("t/label=neg/part-0.csv", "id,text\n1,poor\n");
    folder.file("t/label=pos%2Fneg/part-0.csv", "id,text\n2,so so\n");
    folder.file("t/label=pos/part-0.csv", "id,text\n3,good\n4,fine\n");
    folder.file("t/label=pos/part-1.csv", "id,text\n5,lovely\n");
    folder.file("t/_SUCCESS", "");
    let read = folder.read("t").unwrap();
    assert_eq!(
        texts_and_labels(&read),
        [
            ("poor", "neg"),
            ("good", "pos"),
            ("fine", "pos"),
            ("lovely", "pos"),
            ("so so", "pos/neg"),
        ]
    );
    assert!(read.records.iter().map(|row| row.row).eq(1..=5));
    let subset = SourceOptions {
        subset: Some("label=neg".into()),
        unlabelled: true,
        ..SourceOptions::default()
    };
    folder.file("p/label=neg/part-0.parquet", two_columns());
    folder.file("p/label=pos/part-0.parquet", two_columns());
    assert_eq!(folder.read_with("p", subset).unwrap().records.len(), 3);
    // Without a value there is no label.
    folder.file(
        "n/label=__HIVE_DEFAULT_PARTITION__/part-0.csv",
        "text\nodd\n",
    );
    folder.file("n/label=a/part-0.csv", "text\neven\n");
    let read = folder.read("n").unwrap();
    assert_eq!(texts_and_labels(&read), [("odd", "-"), ("even", "a")]);
    let skipping = SourceOptions {
        skip_bad_rows: true,
        ..SourceOptions::default()
    };
    let read = folder.read_with("n", skipping).unwrap();
    assert_eq!(texts_and_labels(&read), [("even", "a")]);
    assert_eq!(read.skipped.len(), 1);
    // A column that is no label is not read; one with splits is.
    folder.file("y/split=dev/year=2020/0000.csv", "text,label\nold,a\n");
    folder.file("y/split=train/year=2021/0000.csv", "text,label\nnew,b\n");
    let source = folder.open("y").unwrap();
    assert_eq!(names(&source), ["train", "validation"]);
    let grouped = SourceOptions {
        group_column: Some("year".into()),
        ..SourceOptions::default()
    };
    let read = folder.read_with("y", grouped).unwrap();
    assert_eq!(read.records[0].group.as_deref(), Some("2021"));
    assert_eq!(texts_and_labels(&read), [("new", "b")]);
}

#[test]
fn the_name_of_a_file_determines_its_split() {
    let folder = Folder::new();
    for (name, split) in [
        ("train.csv", "train"),
        ("valid.csv", "validation"),
        ("dev.csv", "validation"),
        ("test.csv", "test"),
        ("mine.csv", "train"),
    ] {
        folder.file(name, "text,label\na,b\n");
        assert_eq!(names(&folder.open(name).unwrap()), [split]);
    }
}

#[test]
fn folders_without_data_are_refused() {
    let folder = Folder::new();
    assert_eq!(
        folder.open("").unwrap_err(),
        "DIR: the folder holds no data set: neither train/CLASS/*.txt, nor CLASS/*.txt, nor a file of texts for each class, \
         nor files ending in .parquet, .arrow, .csv, .tsv, .jsonl, .json and .txt, each also compressed; give the folder \
         that holds one of these, or a file"
    );
    folder.file("train.csv", "text,label\na,b\n");
    folder.file("train.tsv", "text\tlabel\na\tb\n");
    assert_eq!(
        folder.open("").unwrap_err(),
        "DIR: several files claim the split \"train\": train.csv, train.tsv; keep one of them, or \
         give the file itself"
    );
}

#[test]
fn a_missing_source_is_reported_with_the_nearest_name() {
    let folder = Folder::new();
    folder.file("reviews.csv", "");
    folder.file("other.csv", "");
    assert_eq!(
        folder.open("revews.csv").unwrap_err(),
        "revews.csv: there is no such file or folder; did you mean reviews.csv?"
    );
    assert_eq!(
        folder.open("nothing/like/it").unwrap_err(),
        "nothing/like/it: there is no such file or folder; give a file, a folder, sample, imdb, a \
         hub id such as owner/name, or - for standard input"
    );
    let message = Source::open("smaple", SourceOptions::default()).unwrap_err();
    assert!(message.to_string().ends_with("did you mean sample?"));
}

#[cfg(not(feature = "hub"))]
#[test]
fn without_the_feature_the_hub_is_not_queried() {
    let message = Source::open("imdb", SourceOptions::default()).unwrap_err();
    assert_eq!(
        message.to_string(),
        "stanfordnlp/imdb: there is no such file or folder, and this build cannot fetch data sets \
         from the hub; build with the Cargo feature hub (on by default), or download the Parquet \
         files and give their folder"
    );
}
