//! Who may ask, and what is written about it.

use super::http::{Server, predicted, wait_for};
use serde_json::{Value, json};
use std::fs;

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn without_the_token_only_the_page_and_the_state_are_open() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "a-secret\n").unwrap();
    let server = Server::start_in(folder.path(), &["--token-file", "token"]);
    let mut connection = server.connect();
    let json = ("Content-Type", "application/json");
    let body = json!({"inputs": "a"}).to_string();
    for path in ["/health", "/ready", "/", "/openapi.json"] {
        assert_eq!(connection.ask("GET", path, &[], b"").status, 200, "{path}");
    }
    for value in [
        "",
        "a-secret",
        "Bearer",
        "Bearer a-secre",
        "Bearer a-secrets",
        "Basic a-secret",
    ] {
        let answer = connection.ask(
            "POST",
            "/predict",
            &[json, ("Authorization", value)],
            body.as_bytes(),
        );
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "unauthorized"),
            "{value}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    for path in ["/info", "/metrics", "/v1/models", "/v1/models/shipped"] {
        assert_eq!(connection.ask("GET", path, &[], b"").status, 401, "{path}");
    }
    for path in ["/", "/explain", "/v1/predict", "/v1/models/shipped/predict"] {
        assert_eq!(
            connection
                .ask("POST", path, &[json], body.as_bytes())
                .status,
            401,
            "{path}"
        );
    }
    for value in ["Bearer a-secret", "bearer a-secret"] {
        let answer = connection.ask(
            "POST",
            "/predict",
            &[json, ("Authorization", value)],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 200, "{value}");
    }
    assert!(!server.stop().log.contains("a-secret"));
}

#[test]
fn other_origins_may_ask_only_if_named() {
    let origin = ("Origin", "https://example.org");
    let preflight = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type,authorization",
        ),
    ];
    let closed = Server::start(&[]);
    let answer = closed.connect().ask("GET", "/health", &[origin], b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(
        closed
            .connect()
            .ask("OPTIONS", "/predict", &preflight, b"")
            .status,
        405
    );
    let open = Server::start(&["--cors", "https://example.org"]);
    let answer = open.connect().ask("OPTIONS", "/predict", &preflight, b"");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://example.org")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type,authorization")
    );
    let answer = open
        .connect()
        .ask("GET", "/health", &[("Origin", "https://example.com")], b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn the_log_has_a_line_for_each_request_and_no_text_unless_asked() {
    let ask = |arguments: &[&str]| {
        let server = Server::start(arguments);
        server.post("/predict", &json!({"inputs": ["a secret film", "x"]}));
        server.post("/predict", &json!({"inputs": [["a secret", "pair"]]}));
        server.get("/health");
        server.stop().log
    };
    let log = ask(&[]);
    assert!(!log.contains("secret"), "{log}");
    let entries = lines(&log);
    let found: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry["method"].as_str().unwrap(),
                entry["path"].as_str().unwrap(),
                entry["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("POST", "/predict", 200),
            ("POST", "/predict", 422),
            ("GET", "/health", 200)
        ]
    );
    assert_eq!(
        (
            &entries[0]["texts"],
            &entries[0]["tokens"],
            &entries[0]["model"]
        ),
        (&json!(2), &json!(4), &json!("shipped"))
    );
    assert_eq!(entries[1]["code"], "pair_of_texts");
    assert!(
        entries[0]["client"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert!(entries[0]["milliseconds"].as_f64().unwrap() > 0.0);
    let time = entries[0]["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    let log = ask(&["--log-texts"]);
    assert_eq!(lines(&log)[0]["inputs"], json!(["a secret film", "x"]));
    assert_eq!(ask(&["--no-access-log"]), "");
}

#[test]
fn queries_are_not_in_the_log() {
    let server = Server::start(&[]);
    let answer = server.connect().ask(
        "POST",
        "/predict?key=a-secret",
        &[("Content-Type", "application/json")],
        br#"{"inputs": "Not bad at all!", "details": true}"#,
    );
    assert_eq!(answer.text(), predicted(&["Not bad at all!"])[0]);
    let log = server.stop().log;
    assert!(
        log.contains("/predict") && !log.contains("a-secret"),
        "{log}"
    );
}

#[test]
fn a_request_whose_client_leaves_is_in_the_log_too() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
    let flying = "birnn_requests_in_flight 2\n";
    assert!(wait_for(|| server.get("/metrics").text().contains(flying).then_some(())).is_some());
    drop(connection);
    let counted = r#"birnn_requests_total{route="/predict",status="4"#;
    assert!(
        wait_for(|| server
            .get("/metrics")
            .text()
            .contains(counted)
            .then_some(()))
        .is_some()
    );
    let log = server.stop().log;
    let entries = lines(&log);
    let entry = entries
        .iter()
        .find(|entry| entry["path"] == "/predict")
        .unwrap();
    // Its connection is seen to be closed, or its body to be broken.
    let code = entry["code"].as_str().unwrap();
    assert!(["client_left", "broken_body"].contains(&code), "{entry}");
}
