//! What is over a limit is refused, and everything else goes on.

use super::http::{Answer, Connection, Server, post, request, wait_for};
use serde_json::json;
use std::io::Write;
use std::thread::spawn;

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
}

#[test]
fn texts_have_limits() {
    let server = Server::start(&["--max-texts", "3", "--max-characters", "10"]);
    let mut connection = server.connect();
    assert_eq!(
        connection
            .post("/predict", &json!({"inputs": ["a", "b", "c"]}))
            .status,
        200
    );
    let four = connection.post("/predict", &json!({"inputs": ["a", "b", "c", "d"]}));
    refused(&four, 413, "too_many_texts");
    // Characters, not bytes.
    assert_eq!(
        connection
            .post("/predict", &json!({"inputs": "ä".repeat(10)}))
            .status,
        200
    );
    let long = connection.post("/predict", &json!({"inputs": ["a", "ä".repeat(11)]}));
    refused(&long, 413, "text_too_long");
    assert_eq!(
        long.json()["error"],
        "text 2: the text has more than 10 characters"
    );
}

#[test]
fn a_body_over_the_limit_is_refused_with_an_answer_that_arrives() {
    let server = Server::start(&["--max-body", "1000", "--max-waiting-bytes", "5000"]);
    let json = ("Content-Type", "application/json");
    let mut connection = server.connect();
    for length in [1001, 4000] {
        let answer = connection.ask("POST", "/predict", &[json], &vec![b' '; length]);
        refused(&answer, 413, "body_too_large");
    }
    // Without its length before.
    let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(head.as_bytes());
    for _ in 0..5 {
        connection.send(b"100\r\n");
        connection.send(&[b' '; 256]);
        connection.send(b"\r\n");
    }
    connection.send(b"0\r\n\r\n");
    refused(&connection.answer().unwrap(), 413, "body_too_large");
    // The same connection goes on.
    assert_eq!(
        connection.post("/predict", &json!({"inputs": "a"})).status,
        200
    );
    // Far over it, the server does not read on.
    let mut connection = server.connect();
    let mut sent = 0;
    let head = request("POST", "/predict", &[json], b"");
    let head = String::from_utf8(head)
        .unwrap()
        .replace("Content-Length: 0", "Content-Length: 100000000");
    connection.send(head.as_bytes());
    while sent < 100_000_000 && connection.stream.write_all(&[b' '; 65536]).is_ok() {
        sent += 65536;
    }
    assert!(sent < 50_000_000, "{sent} bytes were read");
}

#[test]
fn a_burst_over_the_limit_gets_answers_or_a_time_to_come_back() {
    let server = Server::start(&["--max-requests", "4"]);
    let text = "A film of many words. ".repeat(300);
    let body = json!({"inputs": vec![text; 16]});
    let clients = (0..40).map(|_| {
        let (port, body) = (server.port, body.clone());
        spawn(move || Connection::open(port).post("/predict", &body))
    });
    let answers: Vec<Answer> = clients
        .collect::<Vec<_>>()
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    let (accepted, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(accepted.len() >= 4, "{}", accepted.len());
    assert!(!others.is_empty());
    for answer in others {
        refused(answer, 429, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(
        accepted
            .iter()
            .all(|answer| answer.body == accepted[0].body)
    );
    // Afterwards there is room again.
    assert_eq!(server.post("/predict", &json!({"inputs": "a"})).status, 200);
}

#[test]
fn a_batch_is_one_request_and_bodies_that_are_being_sent_count() {
    let server = Server::start(&["--max-requests", "1"]);
    let mut slow = server.connect();
    let bytes = post("/predict", &json!({"inputs": "a"}));
    slow.send(&bytes[..bytes.len() - 1]);
    server.wait_for_request();
    let found = wait_for(|| {
        let answer = server.post("/predict", &json!({"inputs": "b"}));
        (answer.status == 429).then_some(answer)
    });
    refused(&found.unwrap(), 429, "overloaded");
    // What asks for no computing needs no permit.
    assert_eq!(server.get("/info").status, 200);
    slow.send(&bytes[bytes.len() - 1..]);
    assert_eq!(slow.answer().unwrap().status, 200);
    assert_eq!(
        slow.post("/predict", &json!({"inputs": ["a", "b"]})).status,
        200
    );
}

#[test]
fn all_bodies_together_have_a_limit() {
    let server = Server::start(&["--max-body", "10000", "--max-waiting-bytes", "15000"]);
    let text = "a".repeat(9000);
    let bytes = post("/predict", &json!({"inputs": text}));
    let mut slow = server.connect();
    slow.send(&bytes[..bytes.len() - 1]);
    server.wait_for_request();
    let found = wait_for(|| {
        let answer = server.post("/predict", &json!({"inputs": text}));
        (answer.status == 429).then_some(answer)
    });
    refused(&found.unwrap(), 429, "overloaded");
    slow.send(&bytes[bytes.len() - 1..]);
    assert_eq!(slow.answer().unwrap().status, 200);
    assert_eq!(
        server.post("/predict", &json!({"inputs": text})).status,
        200
    );
}

#[test]
fn connections_over_the_limit_are_answered_and_closed() {
    let server = Server::start(&["--max-connections", "2"]);
    let mut kept: Vec<Connection> = (0..2).map(|_| server.connect()).collect();
    for connection in &mut kept {
        assert_eq!(connection.ask("GET", "/health", &[], b"").status, 200);
    }
    let mut third = server.connect();
    refused(&third.answer().unwrap(), 429, "overloaded");
    assert!(third.is_closed());
    kept.pop();
    let answer = wait_for(|| {
        let answer = server.get("/health");
        (answer.status == 200).then_some(answer)
    });
    assert!(answer.is_some());
    assert_eq!(kept[0].ask("GET", "/health", &[], b"").status, 200);
}

#[test]
fn explanations_have_a_limit_of_their_own() {
    let server = Server::start(&["--max-explanations", "1"]);
    let bytes = post("/explain", &json!({"inputs": "a"}));
    let mut busy = server.connect();
    busy.send(&bytes[..bytes.len() - 1]);
    server.wait_for_request();
    let found = wait_for(|| {
        let answer = server.post("/explain", &json!({"inputs": "a"}));
        (answer.status == 429).then_some(answer)
    });
    refused(&found.unwrap(), 429, "overloaded");
    // Predictions do not wait for them.
    assert_eq!(server.post("/predict", &json!({"inputs": "a"})).status, 200);
    busy.send(&bytes[bytes.len() - 1..]);
    assert_eq!(busy.answer().unwrap().status, 200);
}

#[test]
fn what_would_take_too_long_to_explain_is_refused() {
    let server = Server::start(&[]);
    let long = "word ".repeat(1500);
    for (body, status) in [
        (json!({"inputs": long, "method": "gradient"}), 200),
        (json!({"inputs": long, "method": "occlusion"}), 413),
        (json!({"inputs": long, "points": 100}), 413),
        (json!({"inputs": [long, long]}), 413),
    ] {
        let answer = server.post("/explain", &body);
        assert_eq!(answer.status, status, "{body}");
        if status == 413 {
            refused(&answer, 413, "too_much_to_explain");
        }
    }
}

#[test]
fn settings_with_which_nothing_could_be_answered_are_refused() {
    use super::support::birnn;
    for (arguments, part) in [
        (&["--max-texts", "0"][..], "--max-texts: 0 is not from 1 to"),
        (
            &["--max-body", "9", "--max-waiting-bytes", "8"],
            "--max-waiting-bytes: 8 is not from 9",
        ),
        (
            &["--cors", "example.org"],
            "--cors: \"example.org\" is not an origin",
        ),
        (&["--listen", "nowhere"], "cannot listen at nowhere"),
        (&["--model", "/nowhere"], "there is no such folder"),
        (
            &["--model", "a/b=data/pretrained"],
            "cannot be part of an address",
        ),
        (
            &["--model", "data/pretrained", "--model", "data/pretrained"],
            "two have the name pretrained",
        ),
        (&["--token-file", "/nowhere"], "cannot read /nowhere"),
    ] {
        let all = [&["serve"], arguments].concat();
        let output = birnn(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), &all)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(
            errors.starts_with("error: ") && errors.contains(part),
            "{errors}"
        );
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}
