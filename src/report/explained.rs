//! Texts with the words marked that made their predictions.

use super::page::{Section, page};
use crate::inference::{Explanation, Prediction};
use maud::{Markup, html};
use serde::Serialize;

/// A text in parts, each with how strongly it speaks for the explained class or against it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedText {
    /// The class that is explained.
    pub class: String,
    /// The other class whose logit is subtracted.
    pub other: Option<String>,
    /// What is explained: the difference of the logits, or the logit.
    pub output: f64,
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// How many characters at the end are not shown.
    pub left_out: usize,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Part {
    /// The characters.
    pub text: String,
    /// From -3, strongly against the class, to 3, strongly for it; 0 also for what is between words.
    pub level: i8,
}

/// Of longer texts only the beginning is shown, up to a mark.
const LONGEST: usize = 4000;

impl ExplainedText {
    /// The explanation of a text by a model with these classes.
    pub fn new(text: &str, explanation: &Explanation, names: &[String]) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let mut add = |text: &str, level: i8| match parts.last_mut() {
            // Parts of the same level are one.
            Some(last) if last.level == level => last.text.push_str(text),
            _ if text.is_empty() => {}
            _ => parts.push(Part {
                text: text.to_owned(),
                level,
            }),
        };
        let mut at = 0;
        for mark in explanation.marks() {
            let (Some(before), Some(word)) =
                (text.get(at..mark.place.start), text.get(mark.place.clone()))
            else {
                continue;
            };
            if mark.place.end > LONGEST {
                break;
            }
            let level = mark.level as i8;
            add(before, 0);
            add(
                word,
                if mark.contribution < 0.0 {
                    -level
                } else {
                    level
                },
            );
            at = mark.place.end;
        }
        let rest = text.get(at..).unwrap_or_default();
        let left_out = match text.len() > LONGEST {
            true => rest.chars().count(),
            false => 0,
        };
        if left_out == 0 {
            add(rest, 0);
        }
        Self {
            class: names[explanation.class].clone(),
            other: explanation.other.map(|other| names[other].clone()),
            output: explanation.output,
            parts,
            left_out,
        }
    }

    pub(super) fn render(&self) -> Markup {
        html! {
            div.explained dir="auto" {
                @for part in &self.parts {
                    @match part.level {
                        0 => { (part.text) },
                        level if level > 0 => { mark class={ "for m" (level) } title="for" { (part.text) } },
                        level => { mark class={ "against m" (-level) } title="against" { (part.text) } },
                    }
                }
                @if self.left_out > 0 { span.quiet { " … (" (self.left_out) " more characters)" } }
            }
        }
    }

    /// What the marks are about.
    pub(super) fn subject(&self) -> String {
        match &self.other {
            Some(other) => format!("{} against {other}: logit {:+.2}", self.class, self.output),
            None => format!("{}: logit {:+.2}", self.class, self.output),
        }
    }
}

/// What the marks mean.
pub(super) fn key() -> Markup {
    html! {
        p.key {
            mark class="for m3" { "strongly for" } mark class="for m2" { "for" } mark class="for m1" { "slightly for" }
            mark class="against m3" { "strongly against" } mark class="against m2" { "against" }
            mark class="against m1" { "slightly against" }
            " the class that is named first"
        }
    }
}

/// A page of explained texts, each with its prediction and with the n-grams that add most, which asks nothing of any server.
///
/// `names` are those of the classes, and `ngrams` the largest number of n-grams that is listed for a text.
pub fn explanations_page<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a Prediction, &'a Explanation)>,
    names: &[String],
    ngrams: usize,
) -> String {
    let parts = texts.into_iter().map(|(text, prediction, explanation)| {
        let explained = ExplainedText::new(text, explanation, names);
        let predicted = prediction.classes.iter().map(|class| names[*class].as_str());
        let predicted: Vec<&str> = predicted.collect();
        let mut listed: Vec<_> = explanation.ngrams.iter().collect();
        listed.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        html! {
            h3 { (predicted.join(", ")) " " (format!("{:.4}", prediction.score())) }
            p.quiet { (explained.subject()) }
            (explained.render())
            @if ngrams > 0 && !listed.is_empty() {
                details {
                    summary { "N-grams that add most" }
                    ul {
                        @for ngram in listed.into_iter().take(ngrams) {
                            @let place = ngram.places.first().cloned().unwrap_or(0..0);
                            li { (format!("{:+.3} ", ngram.contribution)) q { (text.get(place).unwrap_or_default()) } }
                        }
                    }
                }
            }
        }
    });
    let body = html! {
        (key())
        @for part in parts { (part) }
    };
    let section = Section {
        id: "texts",
        title: "Texts",
        body,
    };
    page("birnn: why", &html! {}, &[section])
}
