//! Explaining predictions.

use super::program::{fail, run, run_with_input, stdout, succeed, temp, trained};
use serde_json::Value;

const TEXT: &str = "Not bad at all, I was delighted!";

fn explained(arguments: &[&str]) -> Value {
    let folder = temp();
    let output = run(folder.path(), &[&["explain", "--json"], arguments].concat());
    serde_json::from_str(&succeed(&output)).unwrap()
}

#[test]
fn the_parts_of_an_explanation_sum_to_its_output() {
    let found = explained(&[TEXT]);
    assert_eq!(found["text"], TEXT);
    assert_eq!(found["predicted"][0], found["class"]);
    let number = |value: &Value| value.as_f64().unwrap();
    let sum = |parts: &Value| -> f64 {
        parts
            .as_array()
            .unwrap()
            .iter()
            .map(|part| number(&part["contribution"]))
            .sum()
    };
    let whole = sum(&found["tokens"])
        + sum(&found["ngrams"])
        + number(&found["baseline"])
        + number(&found["head_bias"]);
    assert!(
        (whole - number(&found["gap"]) - number(&found["output"])).abs() < 1e-3,
        "{found}"
    );
    for part in found["tokens"].as_array().unwrap() {
        let place = &part["places"][0];
        let at = |end: usize| place[end].as_u64().unwrap() as usize;
        assert_eq!(part["text"], TEXT[at(0)..at(1)]);
    }
    // Against the other class, everything is the other way round.
    let other = found["other"].as_str().unwrap();
    let against = explained(&["--class", other, TEXT]);
    assert!((number(&against["output"]) + number(&found["output"])).abs() < 1e-9);
    for method in ["gradient", "occlusion"] {
        assert_eq!(explained(&["--method", method, TEXT])["method"], method);
    }
}

#[test]
fn words_are_marked_in_the_text() {
    let folder = temp();
    let text = succeed(&run(
        folder.path(),
        &["explain", "--ngrams", "2", TEXT, "Awful."],
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("positive 0.8"), "{text}");
    assert!(
        lines[1].starts_with("positive against negative: logit +"),
        "{text}"
    );
    assert!(lines[1].contains("(integrated gradients, "), "{text}");
    // No colours, as this is no terminal.
    assert!(lines[2].contains("delighted(+"), "{text}");
    let plain: String = lines[2].replace(['(', ')', '+', '-'], "");
    assert_eq!(plain, TEXT);
    let next = lines.iter().position(|line| line.is_empty()).unwrap();
    assert!(next <= 5, "{text}");
    assert!(lines[next + 1].starts_with("negative "), "{text}");
}

#[test]
fn texts_come_from_files_and_models_from_folders() {
    let folder = temp();
    let path = folder.path();
    std::fs::write(path.join("texts.txt"), "A fine film.\nA poor one.\n").unwrap();
    let model = trained().join("model").display().to_string();
    let arguments = ["explain", "--model", &model, "--json"];
    let output = run(path, &[&arguments[..], &["--file", "texts.txt"]].concat());
    let from_file = succeed(&output);
    assert_eq!(from_file.lines().count(), 2);
    let output = run_with_input(path, &arguments, b"A fine film.\nA poor one.\n");
    assert_eq!(stdout(&output), from_file);

    let message = fail(&run(path, &["explain", "--class", "good", "x"]), 2);
    assert_eq!(message, "--class good: the classes are negative, positive");
    let message = fail(&run(path, &["explain", "--points", "0", "x"]), 1);
    assert_eq!(message, "points: 0, but at least 1 is needed");
}

#[test]
fn explanations_are_one_page_or_coloured_where_that_is_asked_for() {
    let folder = temp();
    let path = folder.path();
    let page = succeed(&run(
        path,
        &["explain", "--format", "html", TEXT, "A <b>bad</b> film."],
    ));
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    assert!(page.contains("<mark class=\"for m3\" title=\"for\">"));
    // What a text holds is text.
    assert!(page.contains("&lt;") && !page.contains("<b>bad"));
    let coloured = succeed(&run(path, &["explain", "--format", "ansi", TEXT]));
    assert!(coloured.contains("\u{1b}[32mNot\u{1b}[0m"), "{coloured}");
    let output = run(path, &["explain", "--format", "html", "--json", TEXT]);
    assert_eq!(output.status.code(), Some(2));
}
