//! A page with the diagram of a network and all its tensors.

use super::network::Walk;
use super::picture::{escaped, svg};
use super::{Part, Row};
use crate::models::classifier::ModelConfig;

/// An HTML page about the model of a walk, with its [diagram](svg()) for the tokens of its first text.
pub fn html(walk: &Walk, config: &ModelConfig, tokens: &[String]) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Shapes</title>\n<style>\n\
         body { font-family: sans-serif; margin: 2em; } table { border-collapse: collapse; }\n\
         td { padding: 0.2em 1em 0.2em 0; vertical-align: top; } td.shape { font-family: monospace; }\n\
         </style></head><body>\n",
    );
    page += &svg(walk, config, tokens);
    for part in Part::ALL {
        let rows: Vec<&Row> = walk.part(part).collect();
        if rows.is_empty() {
            continue;
        }
        page += &format!("<h2>{}</h2>\n<table>\n", part.title());
        for row in rows {
            page += &format!(
                "<tr><td>{}</td><td class=\"shape\">{}</td><td class=\"shape\">{}</td><td>{}</td></tr>\n",
                escaped(&row.name),
                escaped(&row.symbolic_text()),
                row.actual_text(),
                escaped(&row.why)
            );
        }
        page += "</table>\n";
    }
    page + &format!("<p>{}</p>\n</body></html>\n", summary(walk))
}

/// The number of parameters, and their memory in single precision.
pub fn summary(walk: &Walk) -> String {
    let megabytes = |numbers: usize| (numbers * size_of::<f32>()) as f64 / 1e6;
    let parameters = walk.elements(Part::Parameters);
    format!(
        "{parameters} parameters, {:.2} MB; with gradients and moments at most {:.2} MB; tensors of the \
         forward pass {:.2} MB",
        megabytes(parameters),
        megabytes(4 * parameters),
        megabytes(walk.elements(Part::Prediction))
    )
}
