//! The programs that the documents show are the examples that are compiled and run.

use std::fs;
use std::path::Path;

/// The lines of an example without the comment at its top.
fn program(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name);
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("//!"))
        .collect();
    lines.join("\n").trim().to_owned()
}

#[test]
fn the_programs_side_by_side() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/layers.md");
    let document = fs::read_to_string(path).unwrap();
    for (name, title) in [
        ("ragged.rs", "birnn"),
        ("ragged_candle_nn.rs", "candle-nn alone"),
    ] {
        let program = program(name);
        assert!(
            document.contains(&format!("```rust\n{program}\n```")),
            "{name}"
        );
        let lines = program.lines().count();
        assert!(
            document.contains(&format!("{title}: {lines} lines")),
            "{name}: {lines}"
        );
    }
    assert!(program("ragged.rs").lines().count() <= 30);
}
