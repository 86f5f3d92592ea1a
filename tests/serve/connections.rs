//! Clients that are slow, broken, or gone.

use super::http::{Connection, Server, post, request, wait_for};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn slow_heads_and_bodies_end_while_others_are_answered() {
    let server = Server::start(&["--header-timeout", "1", "--body-timeout", "1"]);
    let began = Instant::now();
    let mut slow: Vec<Connection> = (0..50).map(|_| server.connect()).collect();
    for connection in &mut slow {
        connection.send(b"POST /predict HTTP/1.1\r\nHo");
    }
    let bytes = post("/predict", &json!({"inputs": "a"}));
    let mut bodies: Vec<Connection> = (0..50).map(|_| server.connect()).collect();
    for connection in &mut bodies {
        connection.send(&bytes[..bytes.len() - 3]);
    }
    assert_eq!(server.post("/predict", &json!({"inputs": "a"})).status, 200);
    for connection in &mut bodies {
        let answer = connection.answer().unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (408, "timeout"));
        assert!(connection.is_closed());
    }
    for connection in &mut slow {
        assert!(connection.is_closed());
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.post("/predict", &json!({"inputs": "a"})).status, 200);
}

#[test]
fn a_request_in_single_bytes_is_answered() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for byte in post("/predict", &json!({"inputs": "Not bad at all!"})) {
        connection.send(&[byte]);
    }
    assert_eq!(connection.answer().unwrap().json()[0]["label"], "positive");
}

#[test]
fn requests_one_after_the_other_without_waiting_are_answered_in_order() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    let texts = ["Not bad at all!", "I want my money back."];
    for number in 0..20 {
        connection.send(&post("/predict", &json!({"inputs": texts[number % 2]})));
    }
    for number in 0..20 {
        let answer = connection.answer().unwrap();
        assert_eq!(
            answer.json()[0]["label"],
            ["positive", "negative"][number % 2]
        );
    }
}

#[test]
fn what_is_no_http_is_refused() {
    let server = Server::start(&[]);
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: a\r\n".repeat(200));
    for (bytes, status) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"[..],
            400,
        ),
        (b"hello, is anybody there?\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /predict HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
            400,
        ),
        (long.as_bytes(), 431),
        (many.as_bytes(), 431),
    ] {
        let mut connection = server.connect();
        connection.send(bytes);
        assert_eq!(
            connection.answer().unwrap().status,
            status,
            "{:?}",
            &bytes[..20]
        );
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn clients_that_leave_take_their_requests_with_them() {
    let server = Server::start(&["--max-requests", "8"]);
    let text = "A film of many words. ".repeat(250);
    let bytes = post("/predict", &json!({"inputs": vec![text; 32]}));
    for _ in 0..8 {
        let mut connection = server.connect();
        connection.send(&bytes);
        // Closed without reading the answer.
    }
    // What was not begun is not computed: all of it would take far longer.
    let began = Instant::now();
    let answer = wait_for(|| {
        let answer = server.post("/predict", &json!({"inputs": "a"}));
        (answer.status == 200).then_some(answer)
    });
    assert!(answer.is_some());
    let metrics = server.get("/metrics");
    let metrics = metrics.text();
    let texts = metrics
        .lines()
        .find_map(|line| line.strip_prefix(r#"birnn_texts_total{model="shipped"} "#));
    assert!(
        texts.unwrap().parse::<u64>().unwrap() < 256,
        "after {:?}: {metrics}",
        began.elapsed()
    );
}

#[test]
fn a_client_that_closes_its_half_after_the_request_harms_nobody() {
    let server = Server::start(&[]);
    for _ in 0..20 {
        let mut connection = server.connect();
        connection.send(&post("/predict", &json!({"inputs": "a"})));
        connection.close_writing();
        // Answered, or taken for one that has left: a closed half looks the same.
        let _ = connection.answer();
        let mut connection = server.connect();
        connection.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
        connection.close_writing();
        assert!(
            connection
                .answer()
                .map_or(true, |answer| answer.status == 400)
        );
    }
    let open = wait_for(|| {
        let metrics = server.get("/metrics");
        metrics
            .text()
            .contains("birnn_connections 1\n")
            .then_some(())
    });
    assert!(open.is_some(), "connections stay");
}

#[test]
fn an_answer_that_is_not_read_ends_its_connection() {
    let server = Server::start(&["--body-timeout", "1", "--max-requests", "1"]);
    let mut connection = server.connect();
    let lines = "\"good\"\n".repeat(200_000);
    let bytes = request(
        "POST",
        "/predict",
        &[("Content-Type", "application/x-ndjson")],
        lines.as_bytes(),
    );
    connection.send(&bytes);
    server.wait_for_request();
    let status = || server.post("/predict", &json!({"inputs": "a"})).status;
    assert!(wait_for(|| (status() == 429).then_some(())).is_some());
    // Its permit is free again, since the connection has ended.
    assert!(wait_for(|| (status() == 200).then_some(())).is_some());
    assert!(connection.answer().is_err());
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = Server::start(&["--max-requests", "1"]);
    // It has the one permit.
    let mut busy = server.connect();
    let bytes = post("/predict", &json!({"inputs": "a"}));
    busy.send(&bytes[..bytes.len() - 1]);
    server.wait_for_request();
    let text = "a".repeat(400_000);
    for (path, kind, status) in [
        ("/predict", "application/json", 429),
        ("/nothing", "application/json", 404),
        ("/health", "application/json", 405),
    ] {
        let found = wait_for(|| {
            let bytes = request("POST", path, &[("Content-Type", kind)], text.as_bytes());
            let mut connection = server.connect();
            for part in bytes.chunks(20_000) {
                connection.send(part);
                std::thread::sleep(Duration::from_millis(2));
            }
            let answer = connection.answer().unwrap();
            // The connection goes on.
            assert_eq!(connection.ask("GET", "/health", &[], b"").status, 200);
            (answer.status == status).then_some(())
        });
        assert!(found.is_some(), "{path}");
    }
    busy.send(&bytes[bytes.len() - 1..]);
    assert_eq!(busy.answer().unwrap().status, 200);
}

#[test]
fn a_large_body_does_not_stop_others() {
    let server = Server::start(&[]);
    let zeros = format!("{{\"inputs\":[{}0]}}", "0,".repeat(900_000));
    let bytes = request(
        "POST",
        "/predict",
        &[("Content-Type", "application/json")],
        zeros.as_bytes(),
    );
    let mut large: Vec<Connection> = (0..8).map(|_| server.connect()).collect();
    for connection in &mut large {
        connection.send(&bytes);
    }
    assert_eq!(server.get("/health").status, 200);
    for connection in &mut large {
        let answer = connection.answer().unwrap();
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (413, "too_many_texts")
        );
    }
}
