//! Files as other programs write them: what is in them is read, or said, or refused.

use super::program::temp;
use super::reading::{Found, read, refused, rows, said, write};
use birnn::data::{Quote, SourceOptions};

fn plain() -> SourceOptions {
    SourceOptions::default()
}

fn columns(text: &str, label: &str) -> SourceOptions {
    SourceOptions {
        text_column: Some(text.to_owned()),
        label_column: Some(label.to_owned()),
        ..plain()
    }
}

/// Little-endian UTF-16 with its mark.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[track_caller]
fn check(cases: Vec<(&str, Vec<u8>, SourceOptions, Found)>) {
    let folder = temp();
    for (name, bytes, options, expected) in cases {
        write(folder.path(), name, bytes);
        assert_eq!(read(folder.path(), name, &options), expected, "{name}");
    }
}

const TWO: [&str; 2] = ["pos|good, truly", "neg|bad"];

#[test]
fn tables_of_spreadsheets() {
    let semicolons = &["excel.csv: the columns are separated by semicolons"];
    let old = "text,label\r\"good, truly\",pos\rbad,neg\r";
    check(vec![
        (
            "excel.csv",
            b"sep=;\r\ntext;label\r\ngood, truly;pos\r\nbad;neg\r\n".into(),
            plain(),
            said(&TWO, semicolons),
        ),
        (
            "quoted.csv",
            b"\"sep=,\"\n\"text\",\"label\"\n\"good, truly\",\"pos\"\n\"bad\",\"neg\"\n".into(),
            plain(),
            rows(&TWO),
        ),
        (
            "unicode.txt",
            utf16("text\tlabel\r\ngood, truly\tpos\r\nbad\tneg\r\n"),
            plain(),
            rows(&TWO),
        ),
        (
            "commas.csv",
            b"text;label\ngood, truly;1,5\nbad;0,5\n".into(),
            plain(),
            said(
                &["1,5|good, truly", "0,5|bad"],
                &["commas.csv: the columns are separated by semicolons"],
            ),
        ),
        (
            "sheets.tsv",
            b"text\tlabel\r\ngood, truly\tpos\r\nbad\tneg\r\n".into(),
            plain(),
            rows(&TWO),
        ),
        (
            "old.csv",
            old.into(),
            plain(),
            said(
                &TWO,
                &["old.csv: the lines end with a carriage return alone"],
            ),
        ),
        (
            "trailing.csv",
            b"text,label,,\n\"good, truly\",pos,,\nbad,neg,,\n".into(),
            plain(),
            rows(&TWO),
        ),
        (
            "wide.csv",
            [&[0xff, 0xfe, 0, 0][..], b"t\0\0\0"].concat(),
            plain(),
            refused("wide.csv: this is a text in UTF-32; save it as UTF-8"),
        ),
        (
            "tilde.csv",
            b"text~label\na~pos\n".into(),
            SourceOptions {
                delimiter: Some(b'~'),
                ..plain()
            },
            rows(&["pos|a"]),
        ),
        (
            "header.csv",
            b"text,label\n".into(),
            plain(),
            refused("header.csv: there are no rows; check that the file was written completely"),
        ),
        (
            "one.csv",
            b"text,label\nbad,neg".into(),
            plain(),
            rows(&["neg|bad"]),
        ),
    ]);
}

#[test]
fn tables_of_other_programs() {
    let several =
        "several.csv: there are several columns \"label\"; give each column a name of its own";
    check(vec![
        ("index.csv", b",text,label\n0,\"good, truly\",pos\n1,bad,neg\n".into(), plain(), rows(&TWO)),
        ("several.csv", b"text,label,label\na,b,c\n".into(), plain(), refused(several)),
        ("other.csv", b"id,text,id,label\n1,bad,2,neg\n".into(), plain(), rows(&["neg|bad"])),
        // Files with byte order marks, one after the other.
        ("marks.csv", "\u{feff}\"text\",\"label\"\n\u{feff}\"good, truly\",pos\n\u{feff}\"text\",\"label\"\nbad,neg\n".into(), plain(), said(&TWO, &["marks.csv: 1 row that repeats the header is left out"])),
        ("lines.csv", b"label,text\npos,\"good,\r\n\r\ntruly \"\"so\"\", and\nlong\"\nneg,bad\n".into(), plain(), rows(&["pos|good,\r\n\r\ntruly \"so\", and\nlong", "neg|bad"])),
        ("spaces.csv", b"text,label\nbad, \"neg\"\ngood, \"pos\"\n".into(), plain(), said(&["\"neg\"|bad", "\"pos\"|good"], &["spaces.csv: 2 rows have fields with a space before their quotes; they are read as part of them (take out the spaces)"])),
        ("spaces2.csv", b"label,text\npos, \"good, truly\"\n".into(), plain(), refused("spaces2.csv, row 1 (line 2): the row has 3 fields, but the header has 2; take out the spaces before quotes; --skip-bad-rows leaves such rows out")),
        ("zeros.csv", [b"text,label\nbad,neg\n", &[0; 40][..]].concat(), plain(), refused("zeros.csv: this is not a text (it has many control characters); convert it to Parquet, CSV or JSON lines")),
        ("zero.csv", b"text,label\na long text with one b\0ad,neg\n".into(), plain(), rows(&["neg|a long text with one b\0ad"])),
        ("truth.csv", b"text,label\ngood,True\nbad,False\n".into(), plain(), rows(&["True|good", "False|bad"])),
        ("mac.tsv", b"ham\tgood, truly\rspam\tbad\rham\tbetter\rham\tbest\r".into(), plain(), said(&["ham|good, truly", "spam|bad", "ham|better", "ham|best"], &["mac.tsv: the lines end with a carriage return alone", "mac.tsv: the first line is read as a row, with the text in column 2 and the label in column 1"])),
        ("backslash.csv", br#"text,label
"a \"b\" \\ c:\new, d",neg
"#.into(), SourceOptions { quote: Some(Quote::Backslash), ..plain() }, rows(&[r#"neg|a "b" \ c:\new, d"#])),
        ("table.json", b"text,label\n\"good, truly\",pos\nbad,neg\n".into(), plain(), rows(&TWO)),
    ]);
}

#[test]
fn data_sets_as_they_are_published() {
    let tweets = latin1(
        "\"0\",\"1\",\"Mon\",\"NO_QUERY\",\"me\",\"caf\u{e9}, bad\"\n\"4\",\"2\",\"Mon\",\"NO_QUERY\",\"me\",\"good\"\n",
    );
    let no_header = |text: &str, label: &str| SourceOptions {
        no_header: true,
        encoding: Some("latin1".to_owned()),
        ..columns(text, label)
    };
    check(vec![
        (
            "tweets.csv",
            tweets.clone(),
            plain(),
            refused(
                "tweets.csv, line 1: the text is not UTF-8; give the encoding with --encoding (key data.encoding), perhaps windows-1252",
            ),
        ),
        (
            "tweets.csv",
            tweets,
            no_header("6", "1"),
            rows(&["0|caf\u{e9}, bad", "4|good"]),
        ),
        (
            "news.csv",
            b"\"3\",\"Title\",\"A, body\"\n\"1\",\"Other\",\"One\"\n".into(),
            no_header("2,3", "1"),
            rows(&["3|Title A, body", "1|Other One"]),
        ),
        (
            "yelp.json",
            b"{\"stars\": 5.0, \"text\": \"good\"}\n{\"stars\": 1.0, \"text\": \"bad\"}\n".into(),
            columns("text", "stars"),
            rows(&["5.0|good", "1.0|bad"]),
        ),
        (
            "emotions.jsonl",
            b"{\"text\": \"a\", \"labels\": [1, 2]}\n{\"text\": \"b\", \"labels\": []}\n".into(),
            plain(),
            rows(&["1+2|a", "|b"]),
        ),
        (
            "questions.label",
            latin1("DESC:manner How d\u{ed}d it end ?\nENTY:food What is it ?\n"),
            SourceOptions {
                encoding: Some("latin1".to_owned()),
                ..plain()
            },
            rows(&["DESC|How d\u{ed}d it end ?", "ENTY|What is it ?"]),
        ),
        (
            "trees.txt",
            b"(3 (2 A) (4 (4 lovely) (2 film)))\n(1 (2 Bad) (2 film))\n".into(),
            plain(),
            rows(&["3|A lovely film", "1|Bad film"]),
        ),
        (
            "mac.txt",
            b"__label__a one\r__label__b two".into(),
            plain(),
            said(
                &["a|one", "b|two"],
                &["mac.txt: the lines end with a carriage return alone"],
            ),
        ),
    ]);
}

#[test]
fn json_as_pandas_and_others_write_it() {
    let columns = |name: &str| {
        refused(&format!(
            "{name}: this is a JSON object of columns, not of rows; write one object a row, in pandas with to_json(..., orient=\"records\", lines=True)"
        ))
    };
    let two = r#"{"text":"good, truly","label":"pos"},{"text":"bad","label":"neg"}"#;
    let lines = two.replace("},{", "}\n{");
    let case = |text: String| text.into_bytes();
    check(vec![
        (
            "records.json",
            case(format!("[{two}]")),
            plain(),
            rows(&TWO),
        ),
        ("lines.json", case(lines.clone()), plain(), rows(&TWO)),
        (
            "split.json",
            case(r#"{"columns":["text","label"],"index":[0],"data":[["a","b"]]}"#.into()),
            plain(),
            columns("split.json"),
        ),
        (
            "index.json",
            case(r#"{"0":{"text":"a","label":"b"},"1":{"text":"c","label":"d"}}"#.into()),
            plain(),
            columns("index.json"),
        ),
        (
            "columns.json",
            case(r#"{"text":{"0":"a"},"label":{"0":"b"}}"#.into()),
            plain(),
            refused(
                "columns.json, line 1: the value of \"text\" is an object; it must be a string",
            ),
        ),
        (
            "values.json",
            case(r#"[["a","b"]]"#.into()),
            plain(),
            refused(
                "values.json, line 1: the line is not a JSON object (invalid type: list, expected an object at line 1 column 0); each line must hold one object, such as {\"text\": \"...\", \"label\": \"...\"}",
            ),
        ),
        (
            "table.json",
            case(format!(
                r#"{{"schema":{{"fields":[{{"name":"text"}}]}},"data":[{two}]}}"#
            )),
            plain(),
            rows(&TWO),
        ),
        (
            "data.json",
            case(format!("{{\"version\": \"[{{\", \"data\": [{two}]}}")),
            plain(),
            rows(&TWO),
        ),
        (
            "splits.json",
            case(format!(
                "{{\"train\": [{two}], \"test\": [{two}], \"dev\": [{two}]}}"
            )),
            plain(),
            said(
                &TWO,
                &[
                    "splits.json: the rows are those of \"train\"; the lists \"test\", \"dev\" are not read",
                ],
            ),
        ),
        (
            "together.json",
            case(format!("[{two}]\n[{two}]\n")),
            plain(),
            rows(&[TWO[0], TWO[1], TWO[0], TWO[1]]),
        ),
        (
            "after.json",
            case(format!("[{two}]\n{{}}")),
            plain(),
            refused(
                "after.json, line 2: something follows the list of objects; take it out, or write one object a line",
            ),
        ),
        ("list.csv", case(format!("[{two}]")), plain(), rows(&TWO)),
        (
            "mac.jsonl",
            case(lines.replace('\n', "\r")),
            plain(),
            said(
                &TWO,
                &["mac.jsonl: the lines end with a carriage return alone"],
            ),
        ),
        (
            "ids.jsonl",
            case(format!(
                r#"{{"id":{},"text":"a","label":true}}"#,
                "9".repeat(40)
            )),
            plain(),
            rows(&["true|a"]),
        ),
        (
            "nested.jsonl",
            case(r#"{"text":{"full":"a"},"label":1}"#.into()),
            plain(),
            refused(
                "nested.jsonl, line 1: the value of \"text\" is an object; it must be a string",
            ),
        ),
        (
            "null.jsonl",
            case(format!("{{\"text\":null,\"label\":1}}\n{lines}")),
            SourceOptions {
                skip_bad_rows: true,
                ..plain()
            },
            said(
                &TWO,
                &[
                    "null.jsonl: 1 of 3 rows are left out: null.jsonl, line 1: the value of \"text\" is null",
                ],
            ),
        ),
    ]);
}
