//! Folders, lists of files, and files that are no texts: what is in them is read, or said, or refused.

use super::program::temp;
use super::reading::{Found, read, refused, rows, said, write};
use birnn::data::SourceOptions;
use std::path::Path;

const TWO: [&str; 2] = ["pos|good, truly", "neg|bad"];

fn plain() -> SourceOptions {
    SourceOptions::default()
}

/// Little-endian UTF-16 with its mark.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn class_folders_name_what_they_leave_out() {
    let folder = temp();
    let path = folder.path();
    for (name, text) in [
        ("mail/ham/0001.ea7e79d3153e", "hello"),
        ("mail/ham/cmds", "mv 1 2"),
        ("mail/spam/0001.00bc", "win"),
        ("groups/alt.atheism/49960", "hello"),
        ("groups/sci.space/60000", "moon"),
        ("notes/neg/1.txt", "bad"),
        ("notes/neg/scores.csv", "1"),
        ("notes/pos/1.txt", "good"),
        ("notes/pos/more/2.txt", "fine"),
        ("é, [1]/neg/1.txt", "bad"),
        ("é, [1]/pos/1.txt", "good"),
        ("lines/pos.txt", "good\nfine\n"),
        ("lines/neg.txt", "bad\n"),
        ("lines/LICENSE.txt", "MIT\n"),
        ("uci/a.data", "x\n"),
        ("uci/a.names", "y\n"),
        ("empty/neg/1.txt", "bad"),
        ("empty/images/1.png", "x"),
    ] {
        write(path, name, text);
    }
    write(path, "wide/neg/1.txt", utf16("bad"));
    write(path, "wide/pos/1.txt", utf16("good"));
    for (name, expected) in [
        (
            "mail",
            said(
                &["ham|hello", "spam|win"],
                &["mail/ham/cmds is not read: it is no text of the class folder by its name"],
            ),
        ),
        ("groups", rows(&["alt.atheism|hello", "sci.space|moon"])),
        (
            "notes",
            said(
                &["neg|bad", "pos|good"],
                &[
                    "notes/neg/scores.csv and 1 more are not read: they are no texts of class folders by their names",
                ],
            ),
        ),
        ("é, [1]", rows(&["neg|bad", "pos|good"])),
        ("lines", rows(&["neg|bad", "pos|good", "pos|fine"])),
        ("wide", rows(&["neg|bad", "pos|good"])),
        (
            "empty",
            refused("empty/images: the class folder holds no .txt files; fill or remove it"),
        ),
    ] {
        assert_eq!(read(path, name, &plain()), expected, "{name}");
    }
    let Found::Refused(message) = read(path, "uci", &plain()) else {
        panic!("no classes")
    };
    assert!(
        message.starts_with("uci: the folder holds no data set"),
        "{message}"
    );
}

#[test]
fn several_files_and_links() {
    let folder = temp();
    let path = folder.path();
    let table = "text,label\nbad,neg\n";
    for name in [
        "a/one.csv",
        "a/two.csv",
        "a, [b] é.csv",
        "sets/train.csv",
        "sets/README.csv",
    ] {
        write(path, name, table);
    }
    let twice = "a/one.csv: the file is given twice, so each of its rows would be there twice; give it once; a pattern may match it already";
    let list = format!("a/*.csv,{}", path.join("a/one.csv").display());
    let both = format!("a/one.csv,{}", path.join("a, [b] é.csv").display());
    for (name, expected) in [
        ("a/*.csv", rows(&["neg|bad", "neg|bad"])),
        ("a/[ot]*.csv", rows(&["neg|bad", "neg|bad"])),
        (&list, refused(twice)),
        (
            "a/*.tsv",
            refused("a/*.tsv: no file matches the pattern; check the folder and the pattern"),
        ),
        (
            "s*",
            refused(
                "s*: the pattern matches only folders; give one folder, or the files in it: folder/*.csv",
            ),
        ),
        ("a, [b] é.csv", rows(&["neg|bad"])),
        // A comma is part of a name where there is such a file.
        (&both, rows(&["neg|bad", "neg|bad"])),
        (
            "a/one.csv,b.csv",
            refused(
                "b.csv: there is no such file; give several files as a.csv b.csv or with a pattern such as data/*.csv",
            ),
        ),
        (
            "a*",
            said(
                &["neg|bad"],
                &["a*: a is a folder, which is not read (a pattern for what is in it: a/*)"],
            ),
        ),
        ("sets", rows(&["neg|bad"])),
    ] {
        assert_eq!(read(path, name, &plain()), expected, "{name}");
    }
    #[cfg(unix)]
    {
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path.join(name)).unwrap();
        link("a/one.csv", "link.csv");
        link("nowhere.csv", "lost.csv");
        assert_eq!(read(path, "link.csv", &plain()), rows(&["neg|bad"]));
        let lost = "lost.csv: this is a link to a file that is not there; give the file itself";
        assert_eq!(read(path, "lost.csv", &plain()), refused(lost));
    }
}

#[test]
fn what_is_no_table_is_named() {
    let folder = temp();
    let cases: [(&str, &[u8], &str); 7] = [
        ("a.7z", b"7z\xbc\xaf\x27\x1c\0", "a 7z archive; unpack it"),
        (
            "a.csv.Z",
            b"\x1f\x9d\x90abc",
            "a file of compress (.Z); unpack it",
        ),
        ("a.rar", b"Rar!\x1a\x07", "a RAR archive; unpack it"),
        (
            "a.pdf",
            b"%PDF-1.4",
            "a PDF; save its text as a .txt or .csv file",
        ),
        (
            "a.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "an old Microsoft Office file (such as .xls); save it as CSV",
        ),
        (
            "a.csv",
            b"<!DOCTYPE html><html>",
            "an HTML page; download the file itself: this may be the page about it, or a message of the server",
        ),
        (
            "a.pkl",
            &[0x80, 4, 0x95, 1],
            "a Python pickle; convert it to Parquet, CSV or JSON lines",
        ),
    ];
    for (name, bytes, message) in cases {
        write(folder.path(), name, bytes);
        let expected = refused(&format!("{name}: this is {message}"));
        assert_eq!(read(folder.path(), name, &plain()), expected);
    }
}

/// The rows of a fixture, which `tests/fixtures/files/generate.py` wrote.
fn fixture(name: &str) -> Found {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/files");
    read(&folder, name, &plain())
}

#[test]
fn parquet_and_arrow_of_any_type() {
    for name in [
        "categories.parquet",
        "views.parquet",
        "large.parquet",
        "lz4.arrow",
        "zstd.arrow",
        "stream.arrow",
    ] {
        assert_eq!(fixture(name), rows(&TWO), "{name}");
    }
    assert_eq!(
        fixture("unsigned.parquet"),
        rows(&["9223372036854775813|good, truly", "2|bad"])
    );
    assert_eq!(
        fixture("truth.parquet"),
        rows(&["true|good, truly", "false|bad"])
    );
    let refusal = |name: &str, what: &str| {
        refused(&format!(
            "{name}: the column \"label\" holds {what}; write them as strings, or name the column with the labels with --label-column"
        ))
    };
    assert_eq!(
        fixture("dates.parquet"),
        refusal("dates.parquet", "dates or times")
    );
    assert_eq!(
        fixture("times.parquet"),
        refusal("times.parquet", "dates or times")
    );
    assert_eq!(
        fixture("decimals.parquet"),
        refusal("decimals.parquet", "decimal numbers")
    );
    // Buffers that are large when unpacked, next to empty ones.
    let Found::Rows(many, said) = fixture("many.arrow") else {
        panic!("{:?}", fixture("many.arrow"))
    };
    assert_eq!(
        (many.len(), &*many[0], &said[..]),
        (20_000, "pos|good", &[][..])
    );
}
