//! Streams of JSON lines.

use super::http::{Connection, Server, predicted, request};
use serde_json::{Value, json};
use std::io::Write;
use std::thread::spawn;

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

fn lines(answer: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(answer).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Begins a stream whose parts are sent later.
fn begin(connection: &mut Connection, path: &str) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\n{}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        NDJSON.0, NDJSON.1
    );
    connection.send(head.as_bytes());
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[test]
fn each_line_gets_a_line_in_order_also_one_that_is_wrong() {
    let server = Server::start(&["--max-characters", "100"]);
    let long = "a".repeat(101);
    let body = format!(
        "\"Not bad at all!\"\n\n{{\"inputs\": \"I want my money back.\", \"id\": {{\"row\": 7}}}}\r\n{{\"text\": \"good\"}}\nnot json\n{{\"inputs\": [\"a\", \"b\"]}}\n{{\"inputs\": \"a\", \"more\": 1}}\n17\n\"{long}\"\n{{\"id\": 1}}\n\"last\""
    );
    let answer = server
        .connect()
        .ask("POST", "/predict", &[NDJSON], body.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let found = lines(&answer.body);
    let numbers: Vec<u64> = found
        .iter()
        .map(|line| line["line"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    let labels: Vec<&str> = found[..3]
        .iter()
        .map(|line| line["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["positive", "negative", "positive"]);
    assert_eq!(found[1]["id"], json!({"row": 7}));
    let codes: Vec<&str> = found[3..9]
        .iter()
        .map(|line| line["code"].as_str().unwrap())
        .collect();
    assert_eq!(
        codes,
        [
            "not_json",
            "pair_of_texts",
            "wrong_field",
            "not_a_text",
            "text_too_long",
            "not_a_text"
        ]
    );
    assert_eq!(found[8]["id"], 1);
    assert!(found[9]["label"].is_string());
    // The numbers are those of the command line.
    let expected = predicted(&["Not bad at all!"]);
    let first = String::from_utf8(answer.body).unwrap();
    let first = first.lines().next().unwrap().to_owned();
    assert_eq!(first, expected[0].replacen('{', r#"{"line":1,"#, 1));
}

#[test]
fn a_line_is_answered_before_the_next_is_sent() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    begin(&mut connection, "/v1/models/shipped/predict");
    for number in 1..=5 {
        connection.send(&chunk(b"\"one"));
        connection.send(&chunk(b" film\"\n"));
        if number == 1 {
            assert_eq!(connection.head().unwrap().status, 200);
        }
        let answer = lines(&connection.chunk().unwrap().unwrap());
        assert_eq!((answer.len(), &answer[0]["line"]), (1, &json!(number)));
    }
    connection.send(b"0\r\n\r\n");
    assert!(connection.chunk().unwrap().is_none());
    assert_eq!(
        connection.post("/predict", &json!({"inputs": "a"})).status,
        200
    );
}

#[test]
fn a_stream_has_no_limit_of_lines_and_little_memory() {
    const LINES: usize = 20_000;
    let server = Server::start(&["--max-body", "10000", "--max-waiting-bytes", "1000000"]);
    let mut connection = server.connect();
    assert_eq!(
        connection.post("/predict", &json!({"inputs": "a"})).status,
        200
    );
    let before = memory(server.process());
    let line = format!("\"{}\"\n", "good ".repeat(20));
    let head = request("POST", "/predict", &[NDJSON], &[]);
    let head = String::from_utf8(head).unwrap();
    let head = head.replace(
        "Content-Length: 0",
        &format!("Content-Length: {}", LINES * line.len()),
    );
    connection.send(head.as_bytes());
    let mut writer = connection.stream.try_clone().unwrap();
    let writing = spawn(move || {
        let many = line.repeat(1000);
        for _ in 0..LINES / 1000 {
            writer.write_all(many.as_bytes()).unwrap();
        }
    });
    let answer = connection.answer().unwrap();
    writing.join().unwrap();
    assert_eq!(
        answer.body.iter().filter(|&&byte| byte == b'\n').count(),
        LINES
    );
    let last = lines(answer.body.rsplit(|&byte| byte == b'\n').nth(1).unwrap());
    assert_eq!(last[0]["line"], LINES);
    if let (Some(before), Some(after)) = (before, memory(server.process())) {
        assert!(after < before + 40_000, "{before} KiB, then {after} KiB");
    }
}

/// The largest memory of a process so far, in KiB.
fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_ones_are_answered() {
    let server = Server::start(&["--max-body", "1000", "--max-waiting-bytes", "100000"]);
    let long = "a".repeat(3000);
    let lines_of = |length: usize| format!("\"a\"\n\"{long}\"\n\"b\"\n\"{}", &long[..length]);
    let mut connection = server.connect();
    // In one part, and in many.
    let whole = lines_of(2000);
    let answer = connection.ask("POST", "/predict", &[NDJSON], whole.as_bytes());
    begin(&mut connection, "/predict");
    for part in whole.as_bytes().chunks(100) {
        connection.send(&chunk(part));
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.answer().unwrap().body, answer.body);
    let found = lines(&answer.body);
    let codes: Vec<&Value> = found.iter().map(|line| &line["code"]).collect();
    let too_long = json!("line_too_long");
    assert_eq!(codes, [&Value::Null, &too_long, &Value::Null, &too_long]);
    assert_eq!(found[3]["line"], 4);
}

#[test]
fn blank_lines_take_no_room() {
    let server = Server::start(&["--max-body", "10000", "--max-waiting-bytes", "200000"]);
    let body = "\n".repeat(1_000_000) + "\"a\"\n";
    let mut connection = server.connect();
    let answer = connection.ask("POST", "/predict", &[NDJSON], body.as_bytes());
    let found = lines(&answer.body);
    assert_eq!((found.len(), &found[0]["line"]), (1, &json!(1_000_001)));
}

#[test]
fn a_pause_over_the_time_ends_the_stream_with_a_reason() {
    let server = Server::start(&["--body-timeout", "1"]);
    let mut connection = server.connect();
    begin(&mut connection, "/predict");
    connection.send(&chunk(b"\"a\"\n\"b"));
    let answer = connection.answer().unwrap();
    let found = lines(&answer.body);
    assert_eq!((found.len(), &found[1]["code"]), (2, &json!("timeout")));
}

#[test]
fn a_stream_is_in_the_log_when_it_ends() {
    let server = Server::start(&[]);
    let answer = server
        .connect()
        .ask("POST", "/predict", &[NDJSON], b"\"a film\"\n\"b\"\nwrong\n");
    assert_eq!(lines(&answer.body).len(), 3);
    let ended = server.stop();
    let log = lines(ended.log.as_bytes());
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&log[0]["texts"], &log[0]["tokens"]),
        (&json!(2), &json!(3))
    );
}
