//! The displayed shapes: symbolic and observed, for every recipe, and the output of the command.

use crate::support::birnn;
use birnn::config::Config;
use birnn::rnn::kernels::CellType;
use birnn::shapes::{Part, Symbol, Walk};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Three texts of different lengths; two tokens occur twice.
fn texts() -> Vec<Vec<u32>> {
    vec![vec![1, 2, 3, 4, 1], vec![5], vec![6, 2]]
}

fn walk(config: &Config) -> Walk {
    Walk::new(config, 50, 7, &texts(), true).unwrap()
}

fn check(walk: &Walk, context: &str) {
    for row in &walk.rows {
        assert!(
            row.agrees(&walk.values),
            "{context}: {} is {}, found {}",
            row.name,
            row.symbolic_text(),
            row.actual_text()
        );
        assert!(!row.why.is_empty(), "{context}: {}", row.name);
    }
    for part in Part::ALL {
        assert!(walk.part(part).count() > 3, "{context}: {part:?}");
    }
}

#[test]
fn symbols_and_shapes_agree_in_every_recipe() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let small = [("model.ngrams.features".to_owned(), "100".to_owned())];
        let config = Config::from_toml(Some((&path, &text)), &small).unwrap();
        check(&walk(&config), &path.display().to_string());
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn symbols_and_shapes_agree_for_every_architecture() {
    for cell in [
        CellType::RnnTanh,
        CellType::RnnRelu,
        CellType::Gru,
        CellType::Lstm,
    ] {
        for (layers, bidirectional, bias) in [(1, true, false), (4, false, true), (2, true, true)] {
            let mut config = Config::default();
            let model = &mut config.model;
            (model.cell, model.num_layers) = (cell, layers);
            (model.bidirectional, model.bias) = (bidirectional, bias);
            // Distinct numbers that cannot be confused.
            (model.embedding_size, model.num_hiddens) = (11, 13);
            let walk = walk(&config);
            check(&walk, &format!("{cell:?}, {layers} layers"));
            assert_eq!(walk.values[&Symbol::Tokens], 8);
            assert_eq!(walk.values[&Symbol::Steps], 5);
            assert_eq!(walk.values[&Symbol::UsedRows], 6);
        }
    }
}

#[test]
fn the_textbooks_numbers() {
    let config = Config::default();
    let walk = walk(&config);
    let row = |part, name: &str| {
        let row = walk.part(part).find(|row| row.name == name).unwrap();
        (row.symbolic_text(), row.actual_text())
    };
    let both = |symbolic: &str, actual: &str| (symbolic.to_owned(), actual.to_owned());
    assert_eq!(
        row(Part::Parameters, "decoder.weight"),
        both("(classes, 4*num_hiddens)", "(7, 400)")
    );
    assert_eq!(
        row(Part::Parameters, "encoder.weight_ih_l1_reverse"),
        both("(4*num_hiddens, directions*num_hiddens)", "(400, 200)")
    );
    assert_eq!(
        row(Part::Views, "h_n by layer and direction"),
        both(
            "(num_layers, directions, batch, num_hiddens)",
            "(2, 2, 3, 100)"
        )
    );
    assert_eq!(
        row(Part::Training, "gradient of embedding.weight"),
        both("(used_rows, embedding_size)", "(6, 100)")
    );
    assert_eq!(row(Part::Training, "loss"), both("()", "()"));
    // 50 x 100, then 4 x 100 x (100 + 100 + 2) and 4 x 100 x (200 + 100 + 2) in two directions, 7 x 401.
    let parameters = 5_000 + 2 * 80_800 + 2 * 120_800 + 2_807;
    assert_eq!(walk.elements(Part::Parameters), parameters);
}

fn shapes(arguments: &[&str]) -> Output {
    let arguments = [&["shapes"], arguments].concat();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    birnn(here, &arguments).output().unwrap()
}

#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = shapes(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn output_is_tables_or_json() {
    let small = [
        "--set",
        "text.vocabulary_size=100",
        "--set",
        "model.num_hiddens=7",
    ];
    let text = printed(&[&small[..], &["What a film!", "Bad."]].concat());
    let line = "  decoder.weight                (classes, 4*num_hiddens)                 (2, 28)     \
                first and last step, x two directions\n";
    assert!(text.contains(line), "{text}");
    assert!(
        text.starts_with("Parameters\n  embedding.weight "),
        "{text}"
    );
    assert!(!text.contains("One step inside a cell"));
    assert!(text.ends_with(" MB\n"), "{text}");

    let json = printed(&[&small[..], &["--steps", "--json", "What a film!", "Bad."]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["symbols"]["tokens"], 6);
    assert_eq!(json["symbols"]["steps"], 4);
    let tensors = json["tensors"].as_array().unwrap();
    let gate = tensors.iter().find(|tensor| tensor["name"] == "f").unwrap();
    assert_eq!(gate["part"], "cell");
    assert_eq!(
        gate["symbolic"],
        serde_json::json!(["batch", "num_hiddens"])
    );
    assert_eq!(gate["actual"], serde_json::json!([2, 7]));
}

#[test]
fn a_diagram_and_a_page_are_complete_documents() {
    let svg = printed(&["--format", "svg", "A <b> & so on"]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("&lt;") && svg.contains("&amp;") && !svg.contains("<b>"));
    assert_eq!(svg.matches("class=\"token\"").count(), 7);
    // Seven tokens, two layers.
    assert_eq!(svg.matches("class=\"forward\"").count(), 14);
    assert_eq!(svg.matches("class=\"reverse\"").count(), 14);
    let output = shapes(&["--format", "svg", "--steps", "fine"]);
    assert_eq!(output.status.code(), Some(2));
    let page = printed(&["--format", "html", "fine"]);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("<td>decoder.weight</td>"));
}

#[test]
fn a_model_is_shown_with_its_own_vocabulary() {
    let text = printed(&["--model", "tests/fixtures/textbook", "--json", "the film"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["symbols"]["num_hiddens"], 5);
    assert_eq!(json["symbols"]["tokens"], 2);
    let output = shapes(&[
        "--model",
        "tests/fixtures/textbook",
        "--set",
        "model.bias=false",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("cannot be used with"), "{errors}");
}
