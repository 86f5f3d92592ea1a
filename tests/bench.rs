//! `birnn bench` from the outside, on shapes that are measured quickly.

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::process::{Command, Output};

const SMALL: [&str; 4] = ["--shape", "3,5,6,4,2,50", "--repeats", "2"];

fn bench(arguments: &[&str]) -> Output {
    let mut command = Command::new(cargo_bin("birnn"));
    command.arg("bench").args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    std::str::from_utf8(&output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let arguments = [&SMALL, arguments, &["--json"]].concat();
    serde_json::from_str(stdout(&bench(&arguments))).unwrap()
}

#[track_caller]
fn positive(report: &Value, pointer: &str) -> f64 {
    let number = report.pointer(pointer).and_then(Value::as_f64);
    let number = number.unwrap_or_else(|| panic!("{pointer} is not a number: {report}"));
    assert!(number > 0.0 && number.is_finite(), "{pointer} is {number}");
    number
}

#[test]
fn every_part_has_its_figures() {
    let report = json(&["--threads", "1"]);
    for pointer in [
        "/training/tokens_per_second",
        "/training/floor_seconds",
        "/training/times_floor",
        "/training/gflops",
        "/recurrent/tokens_per_second",
        "/recurrent/times_floor",
        "/inference/tokens_per_second",
        "/inference/times_floor",
        "/latency/milliseconds",
        "/latency/minimum_milliseconds",
        "/tokenizer/one_thread/texts_per_second",
        "/tokenizer/one_thread/tokens_per_second",
        "/tokenizer/all_threads/texts_per_second",
        "/gemm/gflops",
        "/gemm/products/0/gflops",
    ] {
        positive(&report, pointer);
    }
    for part in ["training", "recurrent", "inference"] {
        let of = |key: &str| positive(&report, &format!("/{part}/{key}"));
        assert!(of("minimum_seconds") <= of("median_seconds"));
        assert_eq!(of("repeats"), 2.0);
    }
    if cfg!(target_os = "linux") {
        let peak = positive(&report, "/peak_memory_bytes");
        assert!((1e6..1e9).contains(&peak), "{peak} bytes");
    }
    assert_eq!(positive(&report, "/latency/repeats"), 200.0);
    assert_eq!(report["threads"], 1);
    assert_eq!(report["cell"], "lstm");
    assert_eq!(report["tokens"], 15);
    assert_eq!(report["shape"]["vocabulary_size"], 50);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    // 15 tokens, 2 directions, 4 x 4 rows of weights: layer 0 with 6 + 4 columns, layer 1 with 8 +
    // 4; two operations each in the forward pass, and twice as many in the backward pass.
    assert_eq!(
        report["inference"]["gflop"],
        (2 * 15 * 2 * 16 * 22) as f64 / 1e9
    );
    assert_eq!(
        report["training"]["gflop"],
        (6 * 15 * 2 * 16 * 22) as f64 / 1e9
    );
    assert_eq!(report["recurrent"]["gflop"], report["training"]["gflop"]);
}

#[test]
fn only_the_requested_parts_are_measured() {
    let arguments = [
        "--only",
        "latency,recurrent",
        "--cell",
        "gru",
        "--lengths",
        "2-9",
    ];
    let report = json(&arguments);
    positive(&report, "/latency/milliseconds");
    positive(&report, "/recurrent/tokens_per_second");
    for part in [
        "training",
        "inference",
        "tokenizer",
        "gemm",
        "peak_memory_bytes",
    ] {
        assert!(report[part].is_null(), "{part} in {report}");
    }
    // Without the matrix products there is no floor.
    assert!(report["recurrent"]["times_floor"].is_null());
    assert_eq!(report["cell"], "gru");
    assert_eq!(report["shape"]["steps"], 9);
    let rows = report["rows"].as_array().unwrap();
    let rows: Vec<u64> = rows.iter().filter_map(Value::as_u64).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], 9);
    assert!(rows.iter().all(|length| (2..=9).contains(length)));
    assert_eq!(report["tokens"], rows.iter().sum::<u64>());
}

#[test]
fn instructions_are_named_and_can_be_chosen() {
    let report = json(&["--only", "latency", "--instructions", "scalar"]);
    positive(&report, "/latency/milliseconds");
    assert_eq!(report["instructions"], "scalar");
    let best = birnn::rnn::kernels::cpu::InstructionSet::available()[0].name();
    assert_eq!(json(&["--only", "latency"])["instructions"], best);
}

#[test]
fn subnormal_numbers_are_counted() {
    let report = json(&["--only", "subnormals"]);
    let counts = report["subnormals"].as_array().unwrap();
    assert_eq!(counts.len(), 16);
    for count in counts {
        positive(count, "/count");
        assert_eq!(count["subnormal"], 0, "{count}");
    }
    let arguments = [&SMALL[..], &["--only", "subnormals"]].concat();
    let output = bench(&arguments);
    let text = stdout(&output);
    assert!(
        text.contains("gradients carried from step to step"),
        "{text}"
    );
}

#[test]
fn the_table_fits_a_terminal() {
    let output = bench(&SMALL);
    let text = stdout(&output);
    for part in [
        "training",
        "recurrent",
        "inference",
        "latency",
        "one thread",
        "square",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
    }
    let progress = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(progress.lines().count(), 6, "{progress}");
}

#[test]
fn growth_is_measured_for_every_size() {
    let report = json(&["--scaling", "--cell", "rnn"]);
    let growths = report["scaling"].as_array().unwrap();
    let sizes: Vec<&str> = growths
        .iter()
        .filter_map(|growth| growth["size"].as_str())
        .collect();
    assert_eq!(sizes, ["T", "B", "H", "L", "V"]);
    for growth in growths {
        assert!(
            growth["exponent"].as_f64().is_some_and(f64::is_finite),
            "{growth}"
        );
        assert!(growth["points"].as_array().unwrap().len() >= 2);
        positive(growth, "/points/0/median_seconds");
    }
}

#[test]
fn invalid_arguments_are_refused() {
    for (arguments, part) in [
        (
            &["--shape", "1,2,3"][..],
            "3 numbers, but six are needed: B,T,E,H,L,V",
        ),
        (
            &["--shape", "0,2,3,4,5,6"],
            "B is 0; use a number from 1 to 65536",
        ),
        (&["--shape", "1,2,3,4,5,x"], "\"x\" is not a number"),
        (&["--lengths", "400-100"], "400 is more than 100"),
        (&["--lengths", "0-100"], "a row needs at least one step"),
        (&["--lengths", "9"], "there is no dash"),
        (
            &["--lengths", "1-100000"],
            "1-100000 is not a range; use numbers from 1 to 65536",
        ),
        (&["--cell", "LSTM"], "choose from lstm, gru, rnn, rnn-relu"),
        (
            &["--only", "train"],
            "\"train\" is unknown; choose from training, recurrent",
        ),
        (&["--repeats", "0"], "0 is not in 1..=10000"),
        (
            &["--shape", "1,1,8192,1,1,16777216"],
            "the embedding would have 137438953472 numbers",
        ),
        (&["--instructions", "mmx"], "this machine has "),
        (&["--threads", "5000"], "5000 is not in 0..=1024"),
        (&["--scaling", "--only", "gemm"], "cannot be used with"),
        (
            &["--scaling", "--shape", "1,2,3,4,64,6"],
            "L = 128 would also be measured",
        ),
    ] {
        let output = bench(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty());
        assert!(errors.contains(part), "{part:?} is not in {errors}");
    }
}
