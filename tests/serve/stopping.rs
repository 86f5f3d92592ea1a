//! The end of a server.

use super::http::{Connection, Server, post, request, wait_for};
use serde_json::json;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

#[test]
fn a_signal_ends_a_server_that_has_nothing_to_do_at_once() {
    for signal in ["-TERM", "-INT"] {
        let server = Server::start(&[]);
        let mut idle = server.connect();
        assert_eq!(idle.ask("GET", "/health", &[], b"").status, 200);
        let began = Instant::now();
        server.signal(signal);
        let ended = server.wait();
        assert_eq!(ended.status.code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(
            ended.notices,
            ["ending: 0 requests are still being answered"]
        );
        assert!(idle.is_closed());
    }
}

#[test]
fn what_was_accepted_is_answered_after_the_signal() {
    let server = Server::start(&[]);
    let bytes = post("/predict", &json!({"inputs": "Not bad at all!"}));
    let mut begun: Vec<Connection> = (0..10).map(|_| server.connect()).collect();
    for connection in &mut begun {
        connection.send(&bytes[..bytes.len() - 1]);
    }
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET", "/health", &[], b"").status, 200);
    let port = server.port;
    server.signal("-TERM");
    server.wait_for_notice("ending:");
    // Nothing new, but on a connection that is there.
    let refused = Connection::try_open(port).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let ready = idle.ask("GET", "/ready", &[], b"");
    assert_eq!(
        (ready.status, ready.text()),
        (503, r#"{"status":"draining"}"#)
    );
    assert_eq!(ready.header("connection"), Some("close"));
    sleep(Duration::from_millis(1500));
    for connection in &mut begun {
        connection.send(&bytes[bytes.len() - 1..]);
        assert_eq!(connection.answer().unwrap().status, 200);
    }
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn what_is_not_answered_in_time_is_counted() {
    let server = Server::start(&["--drain-timeout", "1"]);
    let mut connection = server.connect();
    connection.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
    let begun = wait_for(|| {
        server
            .get("/metrics")
            .text()
            .contains("birnn_requests_in_flight 2\n")
            .then_some(())
    });
    assert!(begun.is_some());
    server.signal("-TERM");
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(
        ended.notices.last().unwrap(),
        "error: 1 request was not answered within --drain-timeout"
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    connection.send(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
    let begun = wait_for(|| {
        server
            .get("/metrics")
            .text()
            .contains("birnn_requests_in_flight 2\n")
            .then_some(())
    });
    assert!(begun.is_some());
    server.signal("-TERM");
    server.wait_for_notice("ending:");
    server.signal("-TERM");
    assert_eq!(server.wait().status.code(), Some(143));
}

#[test]
fn under_load_every_request_of_an_accepted_connection_is_answered() {
    for _ in 0..3 {
        let server = Server::start(&["--no-access-log"]);
        let (port, asked) = (server.port, Arc::new(AtomicUsize::new(0)));
        let clients = (0..16).map(|_| {
            let asked = Arc::clone(&asked);
            spawn(move || {
                // Until no connection is accepted any more.
                while let Ok(mut connection) = Connection::try_open(port) {
                    loop {
                        connection.send(&post("/predict", &json!({"inputs": "A film."})));
                        let answer = connection.answer().expect("a request was lost");
                        assert_eq!(answer.status, 200);
                        asked.fetch_add(1, Ordering::Relaxed);
                        if answer.header("connection") == Some("close") {
                            break;
                        }
                    }
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        sleep(Duration::from_millis(300));
        let ended = server.stop();
        assert_eq!(ended.status.code(), Some(0));
        for client in clients {
            client.join().unwrap();
        }
        assert!(asked.load(Ordering::Relaxed) > 50);
    }
}

#[test]
fn a_killed_server_can_be_started_again_at_once() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    for _ in 0..3 {
        let server = Server::start_at(std::path::Path::new("."), &address, &[]);
        let mut connection = server.connect();
        assert_eq!(connection.ask("GET", "/health", &[], b"").status, 200);
        connection.send(&request("GET", "/health", &[], b""));
        // With an open connection and a request.
        server.signal("-KILL");
        drop(server);
    }
}

#[test]
fn an_address_that_is_in_use_is_an_error() {
    let server = Server::start(&[]);
    let address = format!("127.0.0.1:{}", server.port);
    let output =
        super::support::birnn(std::path::Path::new("."), &["serve", "--listen", &address]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.starts_with(&format!("error: cannot listen at {address}: ")),
        "{errors}"
    );
}

#[test]
fn connections_that_have_arrived_are_answered_even_if_the_server_was_busy() {
    for _ in 0..5 {
        let server = Server::start(&[]);
        let zeros = format!("{{\"inputs\":[{}0]}}", "0,".repeat(900_000));
        let large = request(
            "POST",
            "/predict",
            &[("Content-Type", "application/json")],
            zeros.as_bytes(),
        );
        let mut busy: Vec<Connection> = (0..4).map(|_| server.connect()).collect();
        for connection in &mut busy {
            connection.send(&large);
        }
        let mut arrived: Vec<Connection> = (0..200).map(|_| server.connect()).collect();
        for connection in &mut arrived {
            connection.send(&post("/predict", &json!({"inputs": "a"})));
        }
        server.signal("-TERM");
        for connection in &mut arrived {
            assert_eq!(connection.answer().unwrap().status, 200);
        }
        drop(busy);
        assert_eq!(server.wait().status.code(), Some(0));
    }
}
