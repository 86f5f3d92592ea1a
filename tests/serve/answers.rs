//! What is answered to texts.

use super::http::{Server, predicted, run, two_models};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::thread::spawn;

const TEXTS: [&str; 4] = [
    "Not bad at all!",
    "I want my money back.",
    "",
    "Ünïcödé and 日本語 and \u{1f600}, \"quoted\"\n\ttwice.",
];

fn scores(answer: &Value) -> Vec<(String, f64)> {
    let classes = answer.as_array().unwrap().iter();
    classes
        .map(|class| {
            (
                class["label"].as_str().unwrap().to_owned(),
                class["score"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_text_gets_a_list_of_classes_and_a_list_a_list_of_them() {
    let server = Server::start(&[]);
    let one = server.post("/predict", &json!({"inputs": TEXTS[0]}));
    assert_eq!(one.status, 200, "{one:?}");
    assert_eq!(one.header("content-type"), Some("application/json"));
    assert_eq!(one.header("x-compute-tokens"), Some("5"));
    assert_eq!(one.header("x-truncated-texts"), Some("0"));
    assert_eq!(one.header("x-model"), Some("shipped"));
    let classes = scores(&one.json());
    assert_eq!(classes[0].0, "positive");
    assert!(classes[0].1 > classes[1].1);
    assert!((classes[0].1 + classes[1].1 - 1.0).abs() < 1e-6);
    // The same path in this version, and by the name of the model.
    for path in ["/v1/predict", "/v1/models/shipped/predict"] {
        assert_eq!(
            server.post(path, &json!({"inputs": TEXTS[0]})).body,
            one.body
        );
    }
    // A list of one is a list, also where each text has a list of its own.
    for inputs in [json!([TEXTS[0]]), json!([[TEXTS[0]]])] {
        let list = server.post("/predict", &json!({"inputs": inputs}));
        assert_eq!(list.json(), json!([one.json()]));
    }
    let all = server.post("/predict", &json!({"inputs": TEXTS}));
    let all = all.json();
    assert_eq!(all.as_array().unwrap().len(), TEXTS.len());
    assert_eq!(scores(&all[1])[0].0, "negative");
}

#[test]
fn raw_scores_are_logits() {
    let server = Server::start(&[]);
    let raw = server
        .post("/predict", &json!({"inputs": TEXTS[0], "raw_scores": true}))
        .json();
    let details = server
        .post("/predict", &json!({"inputs": TEXTS[0], "details": true}))
        .json();
    let logits = details["logits"].as_array().unwrap();
    assert_eq!(
        scores(&raw),
        [
            ("positive".to_owned(), logits[1].as_f64().unwrap()),
            ("negative".to_owned(), logits[0].as_f64().unwrap())
        ]
    );
    // The probability is the softmax with the temperature of the model.
    let temperature = 0.6325;
    let margin = (logits[1].as_f64().unwrap() - logits[0].as_f64().unwrap()) / temperature;
    let positive = 1.0 / (1.0 + (-margin).exp());
    assert!((details["scores"]["positive"].as_f64().unwrap() - positive).abs() < 1e-6);
}

#[test]
fn details_are_the_bytes_of_the_command_line_whatever_else_is_classified() {
    let long = "A long story about a film. ".repeat(60);
    let very_long = "word ".repeat(2000);
    let mut texts: Vec<String> = TEXTS.map(str::to_owned).to_vec();
    texts.extend([long, very_long]);
    texts.extend(
        (0..60).map(|number| format!("{} number {number}.", "A good film".repeat(number % 9))),
    );
    let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
    let expected = Arc::new(predicted(&borrowed));
    let texts = Arc::new(texts);
    let server = Arc::new(Server::start(&["--batch-tokens", "500"]));
    // Eight clients at once, each with requests of other sizes.
    let clients = (1..=8).map(|client: usize| {
        let (texts, expected, server) = (
            Arc::clone(&texts),
            Arc::clone(&expected),
            Arc::clone(&server),
        );
        spawn(move || {
            let mut connection = server.connect();
            let mut at = client;
            for _ in 0..20 {
                let number = 1 + (at * client) % 8;
                let chosen: Vec<usize> = (0..number)
                    .map(|next| (at + 7 * next) % texts.len())
                    .collect();
                let inputs: Vec<&str> = chosen.iter().map(|&text| texts[text].as_str()).collect();
                let answer =
                    connection.post("/predict", &json!({"inputs": inputs, "details": true}));
                let right: Vec<&str> = chosen.iter().map(|&text| expected[text].as_str()).collect();
                assert_eq!(answer.text(), format!("[{}]", right.join(",")));
                at += number;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().unwrap();
    }
}

#[test]
fn what_is_cut_is_counted_and_can_be_refused() {
    let server = Server::start(&[]);
    let long = "word ".repeat(1600);
    let answer = server.post("/predict", &json!({"inputs": ["short", long]}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-truncated-texts"), Some("1"));
    assert_eq!(answer.header("x-compute-tokens"), Some("1501"));
    let refused = server.post(
        "/predict",
        &json!({"inputs": ["short", long], "truncate": false}),
    );
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (413, "too_many_tokens")
    );
    assert_eq!(
        refused.json()["error"],
        "text 2 has 1600 tokens, but the model reads 1500"
    );
    let unknown = server.post("/predict", &json!({"inputs": "xyzzyq good"}));
    assert_eq!(unknown.header("x-unknown-tokens"), Some("1"));
}

#[test]
fn a_pipeline_answers_with_the_classes_of_each_text() {
    let server = Server::start(&[]);
    let predicted = server.post("/predict", &json!({"inputs": TEXTS})).json();
    assert_eq!(
        server.post("/", &json!({"inputs": TEXTS})).json(),
        predicted
    );
    let one = server.post(
        "/",
        &json!({"inputs": TEXTS[0], "options": {"wait_for_model": true}}),
    );
    assert_eq!(one.json(), json!([predicted[0]]));
    let top = json!({"inputs": TEXTS[0], "parameters": {"top_k": 1}});
    assert_eq!(server.post("/", &top).json(), json!([[predicted[0][0]]]));
    let details = server
        .post("/predict", &json!({"inputs": TEXTS[0], "details": true}))
        .json();
    let logit = details["logits"][1].as_f64().unwrap();
    let by = |function: &str| {
        let body = json!({"inputs": TEXTS[0], "parameters": {"function_to_apply": function}});
        server.post("/", &body).json()[0][0]["score"]
            .as_f64()
            .unwrap()
    };
    assert_eq!(by("none"), logit);
    assert_eq!(by("softmax"), predicted[0][0]["score"].as_f64().unwrap());
    assert!((by("sigmoid") - 1.0 / (1.0 + (-logit / 0.6325).exp())).abs() < 1e-6);
    let wrong = server.post("/", &json!({"inputs": "a", "parameters": {"top_k": 0}}));
    assert_eq!((wrong.status, wrong.code().as_str()), (422, "wrong_field"));
}

#[test]
fn explanations_are_those_of_the_command_line_with_the_text_in_parts() {
    let server = Server::start(&[]);
    let text = "The plot is thin, but the acting is wonderful.";
    let answer = server.post("/explain", &json!({"inputs": text}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let printed = run(Path::new("."), &["explain", "--json", text]);
    // The numbers after the same bytes are the parts.
    assert!(
        answer
            .text()
            .starts_with(printed.trim_end().strip_suffix('}').unwrap())
    );
    let parts = answer.json()["parts"].clone();
    let parts = parts.as_array().unwrap().iter();
    let whole: String = parts
        .clone()
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    assert_eq!(whole, text);
    let strongest = parts.max_by_key(|part| part["level"].as_i64()).unwrap();
    assert_eq!(*strongest, json!({"text": "wonderful", "level": 3}));
    let other = json!({"inputs": [text], "class": "negative", "method": "occlusion"});
    let other = server.post("/v1/models/shipped/explain", &other).json();
    assert_eq!(
        (&other[0]["class"], &other[0]["method"]),
        (&json!("negative"), &json!("occlusion"))
    );
    for (body, code) in [
        (json!({"inputs": text, "class": "neutral"}), "no_such_class"),
        (json!({"inputs": text, "points": 0}), "wrong_field"),
        (json!({"inputs": text, "points": 100_000}), "wrong_field"),
        (json!({"inputs": text, "method": "magic"}), "wrong_field"),
        (
            json!({"inputs": text, "method": {"ig": null}}),
            "wrong_field",
        ),
    ] {
        let refused = server.post("/explain", &body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (422, code),
            "{body}"
        );
    }
}

#[test]
fn what_is_no_request_is_refused_with_a_reason_and_a_remedy() {
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for (body, status, code) in [
        (json!({"inputs": [["a", "b"]]}), 422, "pair_of_texts"),
        (
            json!({"inputs": [{"text": "a", "text_pair": "b"}]}),
            422,
            "pair_of_texts",
        ),
        (json!({"inputs": []}), 422, "no_texts"),
        (json!({"inputs": 7}), 422, "not_a_text"),
        (json!({"inputs": null}), 422, "not_a_text"),
        (json!({"inputs": ["a", 7]}), 422, "not_a_text"),
        (json!({"inputs": [["a", "b", "c"]]}), 422, "not_a_text"),
        (json!({"inputs": {"a": "b"}}), 422, "not_a_text"),
        (json!({}), 422, "wrong_field"),
        (json!({"input": "a"}), 422, "wrong_field"),
        (
            json!({"inputs": "a", "truncate": "yes"}),
            422,
            "wrong_field",
        ),
        (json!({"inputs": "a", "more": 1}), 422, "wrong_field"),
        (json!(["a"]), 422, "not_an_object"),
        (json!("a"), 422, "not_an_object"),
    ] {
        let refused = connection.post("/predict", &body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{body}"
        );
    }
    let json = ("Content-Type", "application/json");
    for (body, headers, status, code) in [
        (&b"{\"inputs\": \"a\""[..], &[json][..], 400, "not_json"),
        (b"", &[json], 400, "not_json"),
        (b"{\"inputs\": \"\xff\"}", &[json], 400, "not_json"),
        (b"{\"inputs\": \"\\ud800\"}", &[json], 400, "not_json"),
        (b"{\"inputs\": \"a\"}", &[], 415, "content_type"),
        (
            b"{\"inputs\": \"a\"}",
            &[("Content-Type", "text/plain")],
            415,
            "content_type",
        ),
    ] {
        let refused = connection.ask("POST", "/predict", headers, body);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{body:?}"
        );
    }
    let compressed = [json, ("Content-Encoding", "gzip")];
    let refused = connection.ask("POST", "/predict", &compressed, b"\x1f\x8b");
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (415, "content_encoding")
    );
    let marked = connection.ask(
        "POST",
        "/predict",
        &[json],
        b"\xef\xbb\xbf{\"inputs\": \"a\"}",
    );
    assert_eq!(marked.status, 200);
    let utf8 = ("Content-Type", "application/json; charset=utf-8");
    let answer = connection.ask("POST", "/predict", &[utf8], b"{\"inputs\": \"a\"}");
    assert_eq!(answer.status, 200);
    for (method, path, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/v1/models/none/predict", 404, "no_such_model"),
        ("GET", "/v1/models/none", 404, "no_such_model"),
        ("GET", "/v1/models/%FF", 404, "no_such_model"),
        ("POST", "/v1/models/%FF/predict", 404, "no_such_model"),
        ("GET", "/predict", 405, "wrong_method"),
        ("DELETE", "/", 405, "wrong_method"),
    ] {
        let refused = connection.ask(method, path, &[json], b"");
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{method} {path}"
        );
    }
    assert_eq!(
        connection.ask("GET", "/predict", &[], b"").header("allow"),
        Some("POST")
    );
}

#[test]
fn several_models_answer_by_name_and_the_first_without() {
    let folder = two_models();
    let server = Server::start_in(folder, &["--model", "first", "--model", "b=second"]);
    let names = |answer: Value| -> Vec<String> {
        let models = answer["models"].as_array().unwrap().clone();
        models
            .iter()
            .map(|model| model["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(server.get("/v1/models").json()), ["first", "b"]);
    assert_eq!(names(server.get("/info").json()), ["first", "b"]);
    let text = json!({"inputs": "A film.", "details": true});
    let (first, second) = (
        server.post("/v1/models/first/predict", &text),
        server.post("/v1/models/b/predict", &text),
    );
    assert_ne!(first.body, second.body);
    assert_eq!(server.post("/predict", &text).body, first.body);
    for (name, answer) in [("first", first), ("second", second)] {
        let printed = run(folder, &["predict", "--json", "--model", name, "A film."]);
        assert!(
            printed.contains(answer.text().trim_start_matches('{')),
            "{printed}"
        );
    }
    let one = server.get("/v1/models/b").json();
    assert_eq!(one["labels"], json!(["negative", "positive"]));
    assert_eq!(one["fingerprint"].as_str().unwrap().len(), 64);
}

#[test]
fn the_server_describes_itself() {
    let server = Server::start(&["--max-texts", "5"]);
    for path in ["/health", "/ready"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ok"}"#));
    }
    let info = server.get("/info").json();
    assert_eq!(info["model_id"], "shipped");
    assert_eq!(
        info["model_type"]["classifier"]["id2label"],
        json!({"0": "negative", "1": "positive"})
    );
    assert_eq!(info["max_client_batch_size"], 5);
    assert_eq!(info["max_input_length"], 1500);
    let document = server.get("/openapi.json").json();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/",
            "/explain",
            "/health",
            "/info",
            "/metrics",
            "/predict",
            "/ready",
            "/v1/explain",
            "/v1/models",
            "/v1/models/{name}",
            "/v1/models/{name}/explain",
            "/v1/models/{name}/predict",
            "/v1/predict"
        ]
    );
    assert_eq!(
        document["components"]["schemas"]["Inputs"]["oneOf"][1]["maxItems"],
        5
    );
    server.post("/predict", &json!({"inputs": ["good film", "bad"]}));
    server.post("/predict", &json!({"inputs": 1}));
    server.get("/nothing/1");
    server.get("/nothing/2");
    let metrics = server.get("/metrics");
    for line in [
        r#"birnn_requests_total{route="/predict",status="200"} 1"#,
        r#"birnn_requests_total{route="/predict",status="422"} 1"#,
        r#"birnn_requests_total{route="other",status="404"} 2"#,
        r#"birnn_texts_total{model="shipped"} 2"#,
        r#"birnn_tokens_total{model="shipped"} 3"#,
        "birnn_batch_texts_sum 2.0",
        "# EOF",
    ] {
        assert!(
            metrics.text().lines().any(|found| found == line),
            "{line}\n{}",
            metrics.text()
        );
    }
}

#[test]
fn the_page_comes_with_a_policy_for_exactly_its_script_and_style() {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    let server = Server::start(&[]);
    let page = server.get("/");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    let html = page.text();
    for tag in ["script", "style"] {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        assert_eq!(html.matches(&open).count(), 1);
        let content = html
            .split_once(&open)
            .unwrap()
            .1
            .split_once(&close)
            .unwrap()
            .0;
        let hash = base64::prelude::BASE64_STANDARD.encode(Sha256::digest(content));
        assert!(
            policy.contains(&format!("{tag}-src 'sha256-{hash}'")),
            "{policy}"
        );
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!html.contains("style=\"") && !html.contains("http-equiv"));
}
