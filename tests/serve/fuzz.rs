//! Mutated requests: each is answered or its connection closed, never with a failure of the server.
//!
//! As many as counted in docs/serve.md with
//!
//! ```sh
//! BIRNN_FUZZ=1000000 cargo test --release --test serve fuzz -- --nocapture
//! ```

use super::http::{Connection, Server, request};
use birnn::rng::{Rng, Stream};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;

const FEW: usize = 3000;
/// So many clients at once.
const CLIENTS: usize = 4;

/// Whole requests.
fn seeds() -> Vec<Vec<u8>> {
    let json = ("Content-Type", "application/json");
    let lines = ("Content-Type", "application/x-ndjson");
    let bodies = [
        json!({"inputs": "Not bad at all!"}),
        json!({"inputs": ["one", "two", "\u{1f600} drei"], "details": true, "truncate": false}),
        json!({"inputs": [["one"], ["two"]], "raw_scores": true}),
        json!({"inputs": [["a", "pair"]]}),
        json!({"inputs": "a", "parameters": {"top_k": 1, "function_to_apply": "sigmoid"}, "options": {"x": [1, 2]}}),
        json!({"inputs": "why", "class": "positive", "method": "gradient", "points": 2}),
    ];
    let mut seeds = Vec::new();
    for body in &bodies {
        for path in ["/predict", "/", "/explain", "/v1/models/shipped/predict"] {
            seeds.push(request("POST", path, &[json], body.to_string().as_bytes()));
        }
    }
    seeds.push(request(
        "POST",
        "/predict",
        &[lines],
        b"\"one\"\n{\"inputs\":\"two\",\"id\":7}\nbad\n",
    ));
    for path in [
        "/health",
        "/ready",
        "/info",
        "/metrics",
        "/openapi.json",
        "/",
        "/v1/models",
        "/v1/models/shipped",
    ] {
        seeds.push(request(
            "GET",
            path,
            &[("Accept", "*/*"), ("Origin", "https://example.org")],
            b"",
        ));
    }
    let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    seeds.push(
        [
            head.as_bytes(),
            b"5\r\n{\"inp\r\nA\r\nuts\": \"a\"}\r\n0\r\n\r\n",
        ]
        .concat(),
    );
    seeds
}

/// Words that requests are made of.
const WORDS: [&[u8]; 28] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b" ",
    b"\0",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"inputs",
    b"[[[[[[[[[[[[[[[[",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.0",
    b"%00%2e%2e/",
    b"99999999999999999999",
];

fn mutated(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        match rng.below(7) {
            0 => bytes.insert(at, rng.below(256) as u8),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 if at < bytes.len() => {
                let end = (at + 1 + rng.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => bytes.truncate(at.max(1)),
            4 => {
                let word = WORDS[rng.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            5 => {
                let end = (at + 1 + rng.below(30)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                // The body alone, with the length that it has then.
                if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                    let body = &bytes[head + 4..];
                    let body: Vec<u8> = match body.is_empty() {
                        true => Vec::new(),
                        false => {
                            let mut body = body.to_vec();
                            let at = rng.below(body.len());
                            let word = WORDS[rng.below(WORDS.len())];
                            body.splice(at..at, word.iter().copied());
                            body
                        }
                    };
                    let first = String::from_utf8_lossy(&bytes[..head]).into_owned();
                    let mut words = first.split(' ');
                    let (method, path) = (
                        words.next().unwrap_or("POST"),
                        words.next().unwrap_or("/predict"),
                    );
                    bytes = request(method, path, &[("Content-Type", "application/json")], &body);
                }
            }
        }
        if bytes.is_empty() {
            bytes.push(b'G');
        }
    }
    bytes
}

#[test]
fn mutated_requests_are_answered_or_closed_and_never_fail_the_server() {
    let number = std::env::var("BIRNN_FUZZ").map_or(FEW, |number| {
        number.parse().expect("BIRNN_FUZZ is a number")
    });
    let server = Server::start(&["--no-access-log", "--header-timeout", "60"]);
    let port = server.port;
    let clients = (0..CLIENTS).map(|client| {
        std::thread::spawn(move || {
            let seeds = seeds();
            let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
            for round in 0..number / CLIENTS {
                let mut rng = Rng::new(client as u64, Stream::Shuffle, round as u64, 0);
                let bytes = mutated(&seeds[rng.below(seeds.len())], &mut rng);
                let mut connection = Connection::open(port);
                if connection.stream.write_all(&bytes).is_err() {
                    continue;
                }
                // Whatever is missing never comes.
                let _ = connection.stream.shutdown(std::net::Shutdown::Write);
                while let Ok(answer) = connection.answer() {
                    *statuses.entry(answer.status).or_default() += 1;
                    assert!(
                        answer.status < 500,
                        "{answer:?} to {:?}",
                        String::from_utf8_lossy(&bytes)
                    );
                }
            }
            statuses
        })
    });
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    for client in clients.collect::<Vec<_>>() {
        for (status, times) in client.join().unwrap() {
            *statuses.entry(status).or_default() += times;
        }
    }
    println!("{number} requests: {statuses:?}");
    assert!(statuses.len() > 5, "{statuses:?}");
    // It has answered everything, and answers still.
    assert_eq!(server.post("/predict", &json!({"inputs": "a"})).status, 200);
    let ended = server.stop();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(
        ended.notices,
        ["ending: 0 requests are still being answered"]
    );
}
