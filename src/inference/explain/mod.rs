//! Why a classifier says what it says: what each token and each n-gram of a text adds.

mod marks;
mod network;
mod quadrature;

pub use marks::Mark;

use super::classifier::Classifier;
use super::predict::Prediction;
use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;
use crate::models::ngrams::NgramContribution;
use crate::ops::argmax::argmax;
use network::Target;
use serde::Serialize;
use std::ops::Range;

/// How the contributions of tokens to an output of the network are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Integrated gradients (Sundararajan, Taly and Yan 2017) along the embeddings, from embeddings of zero: the
    /// contributions sum to the difference of the outputs for the text and for these.
    #[default]
    IntegratedGradients,
    /// The gradient times the embedding.
    Gradient,
    /// By how much the output falls if the embedding of the token is zero.
    Occlusion,
}

/// What is explained, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainSettings {
    /// How the network is explained.
    pub method: Method,
    /// The class whose output is explained; by default the one with the highest.
    pub class: Option<usize>,
    /// The number of points of integrated gradients. Where the contributions miss the difference of the outputs by more than
    /// one per cent of it, the number is doubled.
    pub points: usize,
    /// But not beyond this number.
    pub most_points: usize,
}

impl Default for ExplainSettings {
    fn default() -> Self {
        Self {
            method: Method::default(),
            class: None,
            points: 32,
            most_points: 512,
        }
    }
}

/// Why a classifier says what it says of a text.
///
/// What is explained is the logit of a class minus the highest one of the other classes, before the temperature; where a
/// text may have several classes, the logit of the class alone. It is the sum of [`Explanation::baseline`],
/// [`Explanation::head_bias`] and all contributions, for integrated gradients up to [`Explanation::gap`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The class.
    pub class: usize,
    /// The other class whose logit is subtracted.
    pub other: Option<usize>,
    /// What is explained.
    pub output: f64,
    /// The network's part of it for embeddings of zero.
    pub baseline: f64,
    /// The n-gram head's part of it for a text without n-grams.
    pub head_bias: f64,
    /// What each token that is read adds, in their order.
    pub tokens: Vec<Contribution>,
    /// What each n-gram adds, exactly; none without an n-gram head.
    pub ngrams: Vec<Contribution>,
    /// By how much the contributions of the tokens miss the network's part of the output less the baseline.
    pub gap: f64,
    /// The number of points of integrated gradients; 0 for other methods.
    pub points: usize,
}

/// What a part of a text adds to an output.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Contribution {
    /// The bytes of the text that it comes from; several for an n-gram that occurs several times.
    pub places: Vec<Range<usize>>,
    /// What it adds.
    pub contribution: f64,
}

impl Explanation {
    /// What each token adds together with its share of the n-grams: that of an n-gram is divided evenly among its places,
    /// and there among the tokens that overlap them. An n-gram that overlaps none, since only a part of the text is read,
    /// is left out.
    #[must_use]
    pub fn by_token(&self) -> Vec<f64> {
        let place = |token: &Contribution| token.places.first().cloned().unwrap_or(0..0);
        let places: Vec<Range<usize>> = self.tokens.iter().map(place).collect();
        let mut sums: Vec<f64> = self.tokens.iter().map(|token| token.contribution).collect();
        for ngram in &self.ngrams {
            let of_place = ngram.contribution / ngram.places.len().max(1) as f64;
            for at in &ngram.places {
                let first = places.partition_point(|token| token.end <= at.start);
                let after = places[first..].partition_point(|token| token.start < at.end);
                let overlapping = &mut sums[first..first + after];
                let share = of_place / overlapping.len().max(1) as f64;
                overlapping.iter_mut().for_each(|sum| *sum += share);
            }
        }
        sums
    }
}

/// With a larger share of the difference that is missed, integrated gradients need more points.
const LARGEST_GAP: f64 = 0.01;

impl Classifier {
    /// Explains what the classifier says of a text.
    ///
    /// # Errors
    /// A class that it does not have, no points, or a text on which the tokenizer fails.
    pub fn explain(&self, text: &str, settings: &ExplainSettings) -> Result<Explanation> {
        Ok(self.predict_and_explain(text, settings)?.1)
    }

    /// The same with the prediction, which is made in any case.
    ///
    /// # Errors
    /// As [`Classifier::explain`].
    pub fn predict_and_explain(
        &self,
        text: &str,
        settings: &ExplainSettings,
    ) -> Result<(Prediction, Explanation)> {
        let parts = self.parts();
        let classes = parts.labels.len();
        if let Some(class) = settings.class.filter(|class| *class >= classes) {
            let problem = format!("{class}, but the classes are 0 to {}", classes - 1);
            return Err(Error::argument("class", problem));
        }
        if settings.points == 0 {
            return Err(Error::argument("points", "0, but at least 1 is needed"));
        }
        let mut placed = parts.encoder.encode_placed(text)?;
        if placed.is_empty() {
            placed.push((parts.encoder.unknown_id().unwrap_or(0), 0..0));
        }
        let (ids, places): (Vec<u32>, Vec<Range<usize>>) = placed.into_iter().unzip();
        // There is one for each text.
        let prediction = self.predict(&[text])?.into_iter().next();
        let prediction = prediction.ok_or(Error::Stopped)?;
        let logits: Vec<f64> = prediction.logits.iter().copied().map(f64::from).collect();
        let class = settings.class.unwrap_or_else(|| argmax(&logits));
        let other = match parts.model.output() {
            OutputKind::Sigmoid => None,
            OutputKind::Softmax => {
                let others = (0..classes).filter(|other| *other != class);
                others.max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)))
            }
        };
        let mut weights = vec![0.0; classes];
        weights[class] = 1.0;
        if let Some(other) = other {
            weights[other] = -1.0;
        }
        let target = Target::new(&parts.model, &ids, &weights)?;
        let ends = target.scaled(&[1.0, 0.0])?;
        let difference = ends[0] - ends[1];
        let (contributions, points) = contributions(&target, settings, difference)?;
        let (head_bias, ngrams) = self.of_ngrams(text, (&ids, &places), &weights)?;
        let gap = contributions.iter().sum::<f64>() - difference;
        let tokens = places.into_iter().zip(contributions);
        let explanation = Explanation {
            class,
            other,
            output: logits[class] - other.map_or(0.0, |other| logits[other]),
            baseline: ends[1],
            head_bias,
            tokens: tokens
                .map(|(place, contribution)| Contribution {
                    places: vec![place],
                    contribution,
                })
                .collect(),
            ngrams,
            gap,
            points,
        };
        Ok((prediction, explanation))
    }

    /// What a text without n-grams and each n-gram add to the weighted scores of the head.
    fn of_ngrams(
        &self,
        text: &str,
        (ids, places): (&[u32], &[Range<usize>]),
        weights: &[f64],
    ) -> Result<(f64, Vec<Contribution>)> {
        let model = &self.parts().model;
        let of_bytes = |ngram: NgramContribution| Contribution {
            places: ngram.places,
            contribution: ngram.contribution,
        };
        if let Some(head) = model.text_ngrams() {
            let found = head.contributions(text, weights)?;
            return Ok((found.bias, found.ngrams.into_iter().map(of_bytes).collect()));
        }
        let Some(head) = model.token_ngrams() else {
            return Ok((0.0, Vec::new()));
        };
        let of_tokens = |ngram: NgramContribution| Contribution {
            places: ngram
                .places
                .iter()
                .map(|tokens| places[tokens.start].start..places[tokens.end - 1].end)
                .collect(),
            contribution: ngram.contribution,
        };
        let found = head.contributions(ids, weights)?;
        Ok((0.0, found.into_iter().map(of_tokens).collect()))
    }
}

/// What each token adds to the network's output, and the number of points of integrated gradients.
fn contributions(
    target: &Target,
    settings: &ExplainSettings,
    difference: f64,
) -> Result<(Vec<f64>, usize)> {
    let mut points = settings.points;
    match settings.method {
        Method::Gradient => Ok((target.gradients(&[(1.0, 1.0)])?, 0)),
        Method::Occlusion => Ok((target.occlusion()?, 0)),
        Method::IntegratedGradients => loop {
            let found = target.integrated_gradients(points)?;
            let gap = (found.iter().sum::<f64>() - difference).abs();
            if gap <= LARGEST_GAP * difference.abs() || 2 * points > settings.most_points {
                return Ok((found, points));
            }
            points *= 2;
        },
    }
}
