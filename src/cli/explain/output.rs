//! An explanation on a terminal, in a file, and as JSON.

use anstyle::{AnsiColor, Style};
use birnn::inference::{
    Classifier, Contribution, Explanation, ExplanationRecord, Method, Prediction,
};

/// A text with its explanation.
pub(super) struct Shown<'a> {
    pub text: &'a str,
    pub model: &'a Classifier,
    pub prediction: &'a Prediction,
    pub explanation: &'a Explanation,
    pub method: Method,
}

impl Shown<'_> {
    /// As one line of JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        let record = ExplanationRecord::new(
            self.text,
            self.prediction,
            self.explanation,
            self.model.labels().names(),
            self.method,
        );
        Ok(serde_json::to_string(&record)? + "\n")
    }

    /// A part of the text as it is written at its first place.
    fn written(&self, part: &Contribution) -> &str {
        let place = part.places.first().cloned().unwrap_or(0..0);
        self.text.get(place).unwrap_or_default()
    }

    /// As lines: the prediction, the parts of the output, the text with its words marked, and the n-grams that add most.
    pub fn plain(&self, ngrams: usize, is_coloured: bool) -> String {
        let found = self.explanation;
        let names = self.model.labels().names();
        let predicted: Vec<&str> = self.model.labels_of(self.prediction).collect();
        let predicted = match predicted.is_empty() {
            true => "(none)".to_owned(),
            false => predicted.join(","),
        };
        let of_ngrams: f64 = found.ngrams.iter().map(|ngram| ngram.contribution).sum();
        let of_tokens: f64 = found.tokens.iter().map(|token| token.contribution).sum();
        let explained = match found.other {
            Some(other) => format!("{} against {}", names[found.class], names[other]),
            None => names[found.class].clone(),
        };
        let mut parts = vec![format!("words {of_tokens:+.2}")];
        if !found.ngrams.is_empty() || found.head_bias != 0.0 {
            parts.push(format!("n-grams {of_ngrams:+.2}"));
        }
        parts.push(format!(
            "without words {:+.2}",
            found.baseline + found.head_bias
        ));
        let method = match self.method {
            Method::IntegratedGradients => {
                format!(
                    "integrated gradients, {} points, missed {:+.3}",
                    found.points, found.gap
                )
            }
            Method::Gradient => "gradient times embedding, which does not sum up".to_owned(),
            Method::Occlusion => "words left out one by one, which does not sum up".to_owned(),
        };
        let mut lines = format!(
            "{predicted} {:.4}\n{explained}: logit {:+.2} = {} ({method})\n{}\n",
            self.prediction.score(),
            found.output,
            parts.join(", "),
            self.marked(is_coloured)
        );
        lines.push_str(&self.listed(ngrams));
        lines
    }

    /// The text with its words marked by what they and the n-grams within them add.
    fn marked(&self, is_coloured: bool) -> String {
        let (mut marked, mut at) = (String::new(), 0);
        for mark in self.explanation.marks() {
            let place = mark.place;
            let (Some(before), Some(word)) =
                (self.text.get(at..place.start), self.text.get(place.clone()))
            else {
                continue;
            };
            marked.push_str(before);
            marked.push_str(&marked_word(
                word,
                mark.contribution > 0.0,
                mark.level,
                is_coloured,
            ));
            at = place.end;
        }
        marked.push_str(self.text.get(at..).unwrap_or_default());
        let words: Vec<&str> = marked.split_whitespace().collect();
        words.join(" ")
    }

    /// The n-grams that add most, in either direction.
    fn listed(&self, most: usize) -> String {
        let mut ngrams: Vec<&Contribution> = self.explanation.ngrams.iter().collect();
        ngrams.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        let lines = ngrams.iter().take(most).map(|ngram| {
            let times = match ngram.places.len() {
                0 | 1 => String::new(),
                times => format!("  {times} times"),
            };
            format!(
                "  {:+.3}  {:?}{times}\n",
                ngram.contribution,
                self.written(ngram)
            )
        });
        lines.collect()
    }
}

/// A word in the colour of its level, or with as many signs after it.
fn marked_word(word: &str, is_for: bool, level: usize, is_coloured: bool) -> String {
    if level == 0 {
        return word.to_owned();
    }
    if !is_coloured {
        let sign = if is_for { "+" } else { "-" };
        return format!("{word}({})", sign.repeat(level));
    }
    let colour = if is_for {
        AnsiColor::Green
    } else {
        AnsiColor::Red
    };
    let style = Style::new().fg_color(Some(colour.into()));
    let style = match level {
        1 => style.dimmed(),
        2 => style,
        _ => style.bold(),
    };
    format!("{style}{word}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_by_colours_or_signs() {
        assert_eq!(marked_word("good", true, 0, true), "good");
        assert_eq!(marked_word("good", true, 3, false), "good(+++)");
        assert_eq!(marked_word("bad", false, 1, false), "bad(-)");
        assert_eq!(marked_word("bad", false, 2, true), "\u{1b}[31mbad\u{1b}[0m");
        assert_eq!(
            marked_word("good", true, 3, true),
            "\u{1b}[1m\u{1b}[32mgood\u{1b}[0m"
        );
    }
}
