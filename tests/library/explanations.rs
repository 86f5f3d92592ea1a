//! Explanations of predictions: against Captum (`tests/fixtures/explanations.py` recorded its values), finite differences and
//! the logits themselves.

use super::support::fixture_path;
use birnn::checkpoint::SavedClassifier;
use birnn::inference::{Classifier, ExplainSettings, Explanation, Method};
use candle_core::Device;
use serde::Deserialize;

const CPU: Device = Device::Cpu;

#[derive(Deserialize)]
struct Recorded {
    text: String,
    logits: Vec<f64>,
    integrated_gradients: Vec<f64>,
    gradient: Vec<f64>,
    occlusion: Vec<f64>,
}

fn settings(method: Method) -> ExplainSettings {
    ExplainSettings {
        method,
        ..ExplainSettings::default()
    }
}

fn tokens(explanation: &Explanation) -> Vec<f64> {
    explanation
        .tokens
        .iter()
        .map(|token| token.contribution)
        .collect()
}

/// The sum of all parts of an explanation.
fn sum(explanation: &Explanation) -> f64 {
    let ngrams = explanation.ngrams.iter().map(|ngram| ngram.contribution);
    let all = tokens(explanation).into_iter().chain(ngrams);
    all.sum::<f64>() + explanation.baseline + explanation.head_bias
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} for {expected}"
    );
}

#[test]
fn contributions_are_captums() {
    let text = std::fs::read_to_string(fixture_path("explanations.json")).unwrap();
    let recorded: Vec<Recorded> = serde_json::from_str(&text).unwrap();
    let model = Classifier::from_dir(fixture_path("textbook"), &CPU).unwrap();
    for text in &recorded {
        let own = usize::from(text.logits[1] > text.logits[0]);
        for (method, expected) in [
            (Method::IntegratedGradients, &text.integrated_gradients),
            (Method::Gradient, &text.gradient),
            (Method::Occlusion, &text.occlusion),
        ] {
            let found = model.explain(&text.text, &settings(method)).unwrap();
            assert_eq!((found.class, found.other), (own, Some(1 - own)));
            close(found.output, text.logits[own] - text.logits[1 - own], 1e-5);
            // More points than Captum's may have been needed.
            let is_same = found.points <= 32;
            assert_eq!(found.tokens.len(), expected.len());
            for (found, expected) in tokens(&found).into_iter().zip(expected) {
                close(found, *expected, if is_same { 1e-4 } else { 0.02 });
            }
        }
    }
}

#[test]
fn the_parts_sum_to_the_output_of_the_shipped_model() {
    let model = Classifier::from(SavedClassifier::shipped(&CPU).unwrap());
    let text = "I don\u{2019}t like it.<br />The plot is thin, but the acting is WONDERFUL, truly wonderful: caf\u{e9} noir!";
    for class in 0..2 {
        let asked = ExplainSettings {
            class: Some(class),
            ..ExplainSettings::default()
        };
        let found = model.explain(text, &asked).unwrap();
        let network = found.output
            - found.head_bias
            - found
                .ngrams
                .iter()
                .map(|ngram| ngram.contribution)
                .sum::<f64>();
        close(found.gap, 0.0, 0.01 * (network - found.baseline).abs());
        close(sum(&found) - found.gap, found.output, 1e-4);
        let words: f64 = found.by_token().iter().sum();
        close(words + found.baseline + found.head_bias, sum(&found), 1e-9);
        for part in found.tokens.iter().chain(&found.ngrams) {
            assert!(!part.places.is_empty());
            for place in &part.places {
                assert!(text.get(place.clone()).is_some_and(|part| !part.is_empty()));
            }
        }
    }
    let [against, forward] = [0, 1].map(|class| {
        let asked = ExplainSettings {
            class: Some(class),
            ..ExplainSettings::default()
        };
        model.explain(text, &asked).unwrap()
    });
    close(against.output, -forward.output, 1e-12);
    let written: Vec<&str> = forward
        .tokens
        .iter()
        .map(|token| &text[token.places[0].clone()])
        .collect();
    assert_eq!(written[..5], ["I", "do", "n\u{2019}t", "like", "it"]);
}

#[test]
fn points_are_doubled_until_the_gap_is_small() {
    let model = Classifier::from_dir(fixture_path("textbook"), &CPU).unwrap();
    let text = "The plot was awful, but the acting was good.";
    let of = |points: usize| {
        let settings = ExplainSettings {
            points,
            ..ExplainSettings::default()
        };
        model.explain(text, &settings).unwrap()
    };
    let (few, many) = (of(4), of(256));
    assert!((8..=64).contains(&few.points), "{}", few.points);
    let difference = tokens(&few).iter().sum::<f64>() - few.gap;
    close(few.gap, 0.0, 0.01 * difference.abs());
    assert_eq!(many.points, 256);
    close(many.gap, 0.0, 1e-4);
}

#[test]
fn texts_and_settings_at_the_edges() {
    let model = Classifier::from_dir(fixture_path("textbook"), &CPU).unwrap();
    let empty = model.explain(" ", &ExplainSettings::default()).unwrap();
    assert_eq!(empty.tokens.len(), 1);
    assert_eq!(empty.tokens[0].places, std::slice::from_ref(&(0..0)));
    close(sum(&empty) - empty.gap, empty.output, 1e-5);
    let message =
        |settings: ExplainSettings| model.explain("good", &settings).unwrap_err().to_string();
    let class = ExplainSettings {
        class: Some(2),
        ..ExplainSettings::default()
    };
    assert_eq!(message(class), "class: 2, but the classes are 0 to 1");
    let points = ExplainSettings {
        points: 0,
        ..ExplainSettings::default()
    };
    assert_eq!(message(points), "points: 0, but at least 1 is needed");
}
