//! Models that are replaced while they are served.

use super::http::{Server, publish, run, two_models, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::spawn;
use tempfile::TempDir;

/// A folder with a copy of the first model, and what each model answers.
fn served() -> (TempDir, [Vec<u8>; 2]) {
    let folder = tempfile::tempdir().unwrap();
    publish(&two_models().join("first"), &folder.path().join("model"));
    let answer = |name: &str| {
        let printed = run(
            two_models(),
            &["predict", "--json", "--model", name, "A film."],
        );
        let (_, rest) = printed.trim_end().split_once(r#","label":"#).unwrap();
        format!(r#"{{"label":{rest}"#).into_bytes()
    };
    (folder, [answer("first"), answer("second")])
}

fn text() -> Value {
    json!({"inputs": "A film.", "details": true})
}

fn wait_for_answer(server: &Server, expected: &[u8]) {
    let found = wait_for(|| (server.post("/predict", &text()).body == expected).then_some(()));
    assert!(found.is_some());
}

#[test]
fn a_replaced_folder_is_served_without_a_signal() {
    let (folder, [first, second]) = served();
    let server = Server::start_in(folder.path(), &["--model", "model"]);
    let fingerprint = server.get("/info").json()["model_sha"].clone();
    assert_eq!(server.post("/predict", &text()).body, first);
    publish(&two_models().join("second"), &folder.path().join("model"));
    server.wait_for_notice("model: the new model is served from here on");
    assert_eq!(server.post("/predict", &text()).body, second);
    assert_ne!(server.get("/info").json()["model_sha"], fingerprint);
}

#[test]
fn a_broken_model_is_refused_and_the_old_one_goes_on() {
    let (folder, [first, second]) = served();
    let server = Server::start_in(folder.path(), &["--model", "model"]);
    let model = folder.path().join("model");
    let whole = fs::read(model.join("model.safetensors")).unwrap();
    fs::write(model.join("model.safetensors"), &whole[..whole.len() / 2]).unwrap();
    let notice = server.wait_for_notice("the new model is refused and the old one goes on");
    assert!(notice.contains("model.safetensors"), "{notice}");
    assert_eq!(server.post("/predict", &text()).body, first);
    let refused = server.get("/v1/models/model").json()["refused"].clone();
    assert!(
        refused.as_str().unwrap().contains("model.safetensors"),
        "{refused}"
    );
    let line = r#"birnn_model_reloads_total{model="model",result="refused"} 1"#;
    assert!(server.get("/metrics").text().contains(line));
    // Files of different models do not fit together, even if each is whole.
    fs::copy(
        two_models().join("second/config.json"),
        model.join("config.json"),
    )
    .unwrap();
    fs::remove_file(model.join("tokenizer.json")).unwrap();
    assert_eq!(server.post("/predict", &text()).body, first);
    publish(&two_models().join("second"), &model);
    wait_for_answer(&server, &second);
    assert_eq!(
        server.get("/v1/models/model").json()["refused"],
        Value::Null
    );
    fs::remove_dir_all(&model).unwrap();
    let found = wait_for(|| {
        server.get("/v1/models/model").json()["refused"]
            .as_str()
            .map(str::to_owned)
    });
    assert!(found.unwrap().contains("there is no such folder"));
    assert_eq!(server.post("/predict", &text()).body, second);
}

#[test]
fn a_signal_loads_all_models_again() {
    let (folder, [first, second]) = served();
    let server = Server::start_in(folder.path(), &["--model", "model", "--no-watch"]);
    server.signal("-HUP");
    server.wait_for_notice("model: the same files, nothing changes");
    publish(&two_models().join("second"), &folder.path().join("model"));
    assert_eq!(server.post("/predict", &text()).body, first);
    server.signal("-HUP");
    server.wait_for_notice("model: the new model is served from here on");
    assert_eq!(server.post("/predict", &text()).body, second);
}

#[test]
fn no_request_is_lost_or_answered_by_parts_of_two_models_while_they_are_replaced() {
    const RELOADS: usize = 20;
    let (folder, answers) = served();
    let server = Arc::new(Server::start_in(
        folder.path(),
        &["--model", "model", "--no-watch", "--no-access-log"],
    ));
    let (is_done, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients = (0..8).map(|_| {
        let (server, is_done, asked, answers) = (
            Arc::clone(&server),
            Arc::clone(&is_done),
            Arc::clone(&asked),
            answers.clone(),
        );
        spawn(move || {
            let mut connection = server.connect();
            let mut seen = [0, 0];
            while !is_done.load(Ordering::Relaxed) {
                let answer = connection.post("/predict", &text());
                assert_eq!(answer.status, 200, "{answer:?}");
                let model = answers.iter().position(|expected| *expected == answer.body);
                seen[model.unwrap_or_else(|| panic!("{answer:?}"))] += 1;
                asked.fetch_add(1, Ordering::Relaxed);
            }
            seen
        })
    });
    let clients: Vec<_> = clients.collect();
    for reload in 1..=RELOADS {
        let name = ["first", "second"][reload % 2];
        publish(&two_models().join(name), &folder.path().join("model"));
        server.signal("-HUP");
        let replaced = |line: &&String| line.contains("the new model is served");
        let found =
            wait_for(|| (server.notices().iter().filter(replaced).count() == reload).then_some(()));
        assert!(found.is_some(), "{:?}", server.notices());
    }
    is_done.store(true, Ordering::Relaxed);
    let seen = clients.into_iter().map(|client| client.join().unwrap());
    let seen: Vec<[usize; 2]> = seen.collect();
    assert!(
        seen.iter().all(|[first, second]| *first > 0 && *second > 0),
        "{seen:?}"
    );
    assert!(asked.load(Ordering::Relaxed) > 100);
}
