//! `birnn predict --url`: the same output as with the model here.

use super::http::{Server, publish, run, two_models};
use super::support::birnn;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

fn table(rows: usize) -> String {
    let mut table = "id,body\n".to_owned();
    for row in 0..rows {
        let text = [
            "Not bad at all!",
            "I want my money back.",
            "",
            "Long. ".repeat(200).as_str(),
        ][row % 4]
            .to_owned();
        table += &format!("{row},\"{text}\"\n");
    }
    table
}

#[test]
fn every_output_is_that_of_the_model_itself() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("reviews.csv"), table(150)).unwrap();
    fs::write(
        folder.join("lines.txt"),
        "Not bad at all!\nI want my money back.\n",
    )
    .unwrap();
    let server = Server::start(&[]);
    let url = server.url();
    for arguments in [
        &["Not bad at all!", "I want my money back."][..],
        &["--json", "Not bad at all!", "xyzzyq", ""],
        &["--file", "lines.txt"],
        &["--file", "reviews.csv", "--text-column", "body"],
        &["--file", "reviews.csv", "--text-column", "body", "--scores"],
        &["--file", "reviews.csv", "--text-column", "body", "--json"],
        &[
            "--label-map",
            "negative=bad,positive=good",
            "Not bad at all!",
        ],
    ] {
        let here = run(folder, &[&["predict"], arguments].concat());
        let there = run(folder, &[&["predict", "--url", &url], arguments].concat());
        assert_eq!(here, there, "{arguments:?}");
    }
    for out in [
        "out.csv",
        "out.tsv",
        "out.jsonl",
        "out.parquet",
        "out.arrow",
    ] {
        let arguments = [
            "predict",
            "--file",
            "reviews.csv",
            "--text-column",
            "body",
            "--scores",
            "--force",
            "--out",
            out,
        ];
        run(folder, &arguments);
        let here = fs::read(folder.join(out)).unwrap();
        run(folder, &[&arguments[..], &["--url", &url]].concat());
        assert!(here == fs::read(folder.join(out)).unwrap(), "{out}");
    }
}

#[test]
fn what_was_cut_or_unknown_is_noted_as_here() {
    let folder = tempfile::tempdir().unwrap();
    let long = "word ".repeat(1600);
    fs::write(
        folder.path().join("texts.txt"),
        format!("{long}\nxyzzyq qqqq\n"),
    )
    .unwrap();
    let server = Server::start(&[]);
    let notes = |more: &[&str]| {
        let arguments = [&["predict", "--file", "texts.txt"], more].concat();
        let output = birnn(folder.path(), &arguments).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let here = notes(&[]);
    assert!(here.contains("cut at"), "{here}");
    assert_eq!(notes(&["--url", &server.url()]), here);
}

#[test]
fn a_model_is_chosen_by_its_address() {
    let folder = two_models();
    let server = Server::start_in(folder, &["--model", "first", "--model", "second"]);
    let predict = |more: &[&str]| run(folder, &[&["predict", "--json", "A film."], more].concat());
    let address = |name: &str| format!("{}/v1/models/{name}", server.url());
    assert_eq!(
        predict(&["--url", &server.url()]),
        predict(&["--model", "first"])
    );
    assert_eq!(
        predict(&["--url", &address("second")]),
        predict(&["--model", "second"])
    );
    let output = birnn(folder, &["predict", "--url", &address("third"), "a"])
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors.ends_with("the server has no such model; GET /v1/models lists its models\n"),
        "{errors}"
    );
}

#[test]
fn a_small_server_is_asked_in_small_requests() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("reviews.csv"), table(60)).unwrap();
    let server = Server::start(&[
        "--max-texts",
        "3",
        "--max-body",
        "20000",
        "--max-waiting-bytes",
        "20000",
        "--max-requests",
        "1",
    ]);
    let arguments = ["predict", "--file", "reviews.csv", "--text-column", "body"];
    let here = run(folder.path(), &arguments);
    // It has no room for all of them at once either: they come again.
    assert_eq!(
        run(
            folder.path(),
            &[&arguments[..], &["--url", &server.url()]].concat()
        ),
        here
    );
}

#[test]
fn errors_name_the_server_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "secret").unwrap();
    fs::write(folder.path().join("wrong"), "other").unwrap();
    let server = Server::start_in(
        folder.path(),
        &["--token-file", "token", "--max-characters", "20"],
    );
    let url = server.url();
    let fail = |arguments: &[&str], code: i32| {
        let output = birnn(folder.path(), &[&["predict"], arguments].concat())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    for arguments in [
        &["--url", &url, "a"][..],
        &["--url", &url, "--token-file", "wrong", "a"],
    ] {
        let message = fail(arguments, 1);
        assert!(
            message.contains("the token is missing or wrong"),
            "{message}"
        );
    }
    let right = ["predict", "--url", &url, "--token-file", "token"];
    assert!(
        run(folder.path(), &[&right[..], &["Not bad at all!"]].concat()).starts_with("positive\t")
    );
    let message = fail(
        &["--url", &url, "--token-file", "token", &"a".repeat(21)],
        1,
    );
    assert!(
        message.contains("the text has more than 20 characters; send a part of it"),
        "{message}"
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let message = fail(&["--url", &format!("http://{closed}"), "a"], 1);
    assert!(
        message.contains("refused")
            && message.contains("is it the address of a running `birnn serve`?"),
        "{message}"
    );
    let message = fail(&["--url", "127.0.0.1:8080", "a"], 1);
    assert!(
        message.contains("give an address such as http://127.0.0.1:8080"),
        "{message}"
    );
    let message = fail(&["--url", &url, "--model", "x", "a"], 2);
    assert!(message.contains("cannot be used with"), "{message}");
}

#[test]
fn a_model_that_is_replaced_in_the_meantime_is_an_error_and_not_a_mixture() {
    let folder = tempfile::tempdir().unwrap();
    publish(&two_models().join("first"), &folder.path().join("model"));
    let server = Server::start_in(folder.path(), &["--model", "model", "--no-watch"]);
    let mut command = birnn(folder.path(), &["predict", "--url", &server.url()]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one film\n").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.ends_with("\tone film\n"), "{line}");
    publish(&two_models().join("second"), &folder.path().join("model"));
    server.signal("-HUP");
    server.wait_for_notice("the new model is served");
    input.write_all(b"another film\n").unwrap();
    drop(input);
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        errors.contains("the server has replaced the model in the meantime; start again"),
        "{errors}"
    );
}
