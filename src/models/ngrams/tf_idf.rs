//! Fitting the n-gram head that reads the text itself.

use super::fit::text_weight;
use super::index::Index;
use super::newton::Regression;
use super::text::{TextRows, highest, kind, text_keys};
use super::{NgramConfig, NgramFit};
use crate::data::TextLabels;
use rayon::prelude::*;

/// An n-gram in at least so many training texts has a row. Rare ones help: in few texts most are in only one, and what a
/// text to classify shares with a single training text still says something.
const MIN_TEXTS: usize = 1;

/// The n-grams of texts, as rows of an index over all of them.
#[derive(Debug, Clone)]
pub struct NgramTexts {
    index: Index,
    kinds: Vec<u8>,
    texts: Vec<TextRows>,
}

/// A logistic regression that is being fitted to some texts, for one cost after another in ascending order.
#[derive(Debug, Clone)]
pub struct TfIdfFitting {
    idf: Vec<f32>,
    /// Whether a text that it is fitted to contains the n-gram.
    is_known: Vec<bool>,
    /// The values of the features of the texts that it is fitted to; the last feature, the bias, is 1 in each.
    values: Vec<Vec<(u32, f32)>>,
    /// The weights of each fitted class.
    classes: Vec<Vec<f32>>,
    /// Whether the only fitted class is the first of two that exclude each other.
    are_opposite: bool,
}

/// The labels of the texts of a fit, the number of classes, and their weights, if they have any.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// The labels of all texts.
    pub labels: &'a TextLabels,
    /// The number of classes.
    pub classes: usize,
    /// The weights of the classes.
    pub class_weights: Option<&'a [f64]>,
}

impl NgramTexts {
    /// The n-grams of these texts.
    pub fn new(texts: &[&str], config: NgramConfig) -> Self {
        let keys: Vec<Vec<(u64, u32)>> = texts
            .par_iter()
            .map(|text| text_keys(text, config))
            .collect();
        let all: Vec<u64> = keys.iter().flatten().map(|(key, _)| *key).collect();
        let index = Index::of_text_keys(all, MIN_TEXTS, config.features);
        let texts = keys
            .par_iter()
            .map(|keys| TextRows::new(keys, &index))
            .collect();
        let kinds = (0..index.len() as u32).map(|row| kind(index.key(row)) as u8);
        Self {
            kinds: kinds.collect(),
            index,
            texts,
        }
    }

    /// The number of n-grams with a row.
    pub fn features(&self) -> usize {
        self.index.len()
    }

    /// The number of values of all texts.
    pub fn values(&self) -> usize {
        self.texts.iter().map(|text| text.rows.len()).sum()
    }

    /// The kind of a row's n-gram.
    fn kind(&self, row: u32) -> usize {
        self.kinds[row as usize] as usize
    }

    /// Begins a fit to some of the texts. N-grams that none of them contains count as unknown.
    pub fn begin(&self, subset: &[usize], targets: Targets) -> TfIdfFitting {
        let mut counts = vec![0u32; self.features()];
        for &(row, _) in subset.iter().flat_map(|&text| &self.texts[text].rows) {
            counts[row as usize] += 1;
        }
        // As in scikit-learn, with one more text that contains everything.
        let all = 1.0 + subset.len() as f32;
        let is_known = counts.iter().map(|&count| count > 0).collect();
        let idf: Vec<f32> = counts
            .into_iter()
            .map(|count| (all / (1.0 + count.max(1) as f32)).ln() + 1.0)
            .collect();
        let highest_idf = highest(&idf);
        let bias = (self.features() as u32, 1.0);
        let values = |&text: &usize| {
            let text = &self.texts[text];
            let scales = text.scales(&idf, highest_idf, |row| (self.kind(row), true));
            let value = |&(row, frequency): &(u32, f32)| {
                (row, frequency * idf[row as usize] * scales[self.kind(row)])
            };
            let mut values: Vec<(u32, f32)> = text.rows.iter().map(value).collect();
            values.push(bias);
            values
        };
        let values: Vec<_> = subset.par_iter().map(values).collect();
        let are_opposite = targets.classes == 2 && matches!(targets.labels, TextLabels::One(_));
        let fitted = if are_opposite { 1 } else { targets.classes };
        let start = vec![0.0; self.features() + 1];
        TfIdfFitting {
            idf,
            is_known,
            values,
            classes: vec![start; fitted],
            are_opposite,
        }
    }

    /// The scores of some of the texts, `[texts][classes]`, by a regression that was fitted to others.
    pub fn scores(&self, subset: &[usize], fitting: &TfIdfFitting) -> Vec<Vec<f32>> {
        let highest_idf = highest(&fitting.idf);
        let score = |&text: &usize| {
            let text = &self.texts[text];
            let kind = |row| (self.kind(row), fitting.is_known[row as usize]);
            let scales = text.scales(&fitting.idf, highest_idf, kind);
            let one = |weights: &Vec<f32>| {
                let products = text.rows.iter().map(|&(row, frequency)| {
                    let at = row as usize;
                    f64::from(frequency * fitting.idf[at] * scales[self.kind(row)] * weights[at])
                });
                (products.sum::<f64>() + f64::from(weights[self.features()])) as f32
            };
            fitting.classes_of(fitting.classes.iter().map(one))
        };
        subset.par_iter().map(score).collect()
    }

    /// The head of a fitted regression, its scores divided by `temperature`.
    pub fn head(&self, fitting: &TfIdfFitting, temperature: f64) -> NgramFit {
        let scaled = |weight: f32| (f64::from(weight) / temperature) as f32;
        let row = |row: usize| {
            let of_class = |weights: &Vec<f32>| {
                let factor = fitting.idf.get(row).copied().unwrap_or(1.0);
                scaled(factor * weights[row])
            };
            fitting.classes_of(fitting.classes.iter().map(of_class))
        };
        NgramFit {
            keys: self.index.to_numbers(),
            weights: (0..self.features()).flat_map(row).collect(),
            idf: fitting.idf.clone(),
            bias: row(self.features()),
        }
    }
}

impl TfIdfFitting {
    /// Fits the regression for a cost, quicker after a similar one: one-versus-rest for each class.
    /// `texts` are those with which the fit began. `tolerance` is relative to the gradient at weights of zero. `None` if `keep_going` returns false.
    pub fn fit(
        &mut self,
        texts: &[usize],
        targets: Targets,
        cost: f64,
        tolerance: f64,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Option<()> {
        let values = &self.values;
        let of_class = |(class, weights): (usize, &mut Vec<f32>)| {
            let has = |&text: &usize| targets.labels.has(text, class);
            let positive: Vec<bool> = texts.iter().map(has).collect();
            let text_weights: Option<Vec<f64>> = targets.class_weights.map(|of_classes| {
                let weight = |&text: &usize| text_weight(of_classes, targets.labels, text, class);
                texts.iter().map(weight).collect()
            });
            let regression = Regression {
                values,
                positive: &positive,
                cost,
                text_weights: text_weights.as_deref(),
                tolerance,
            };
            regression.solve(weights, keep_going)
        };
        let classes = self.classes.par_iter_mut().enumerate();
        classes.map(of_class).collect()
    }

    /// The scores of all classes, from those of the fitted ones. With two classes that exclude each other, their
    /// difference is the log-odds.
    fn classes_of(&self, fitted: impl Iterator<Item = f32>) -> Vec<f32> {
        match self.are_opposite {
            true => fitted
                .flat_map(|score| [score / 2.0, -score / 2.0])
                .collect(),
            false => fitted.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ngrams::{NgramConfig, TextNgrams, Weighting};

    const CONFIG: NgramConfig = NgramConfig {
        order: 2,
        characters: 4,
        features: 5000,
        weighting: Weighting::TfIdf,
    };

    /// Texts whose class is an ending (`kavala` or `kavali`) that no other text has with the same stem.
    fn texts() -> (Vec<String>, TextLabels) {
        let stem = |text: usize| {
            let letters = "bdfgklmnprstvz".as_bytes();
            let letter = |at: usize| char::from(letters[(text * (2 * at + 3) + at * at) % 14]);
            format!("{}a{}o{}", letter(0), letter(1), letter(2))
        };
        let texts = (0..120).map(|text| format!("the {}{}", stem(text), ["ali", "ena"][text % 2]));
        let labels: Vec<u32> = (0..120).map(|text| text % 2).collect();
        (texts.collect(), labels.into())
    }

    fn fitted(
        ngrams: &NgramTexts,
        subset: &[usize],
        targets: Targets,
        costs: &[f64],
    ) -> TfIdfFitting {
        let mut fitting = ngrams.begin(subset, targets);
        for &cost in costs {
            let fitted = fitting.fit(subset, targets, cost, 1e-4, &|| true);
            fitted.unwrap();
        }
        fitting
    }

    fn targets(labels: &TextLabels) -> Targets<'_> {
        Targets {
            labels,
            classes: 2,
            class_weights: None,
        }
    }

    #[test]
    fn endings_of_unknown_words_are_learnt() {
        let (texts, labels) = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ngrams = NgramTexts::new(&texts, CONFIG);
        let (train, test): (Vec<usize>, Vec<usize>) = (0..120).partition(|text| text % 3 > 0);
        let fitting = fitted(&ngrams, &train, targets(&labels), &[8.0]);
        for (scores, text) in ngrams.scores(&test, &fitting).iter().zip(&test) {
            let class = usize::from(scores[1] > scores[0]);
            assert_eq!(class, text % 2, "{}", texts[*text]);
            // The log-odds is their difference.
            assert_eq!(scores[0], -scores[1]);
        }
    }

    #[test]
    fn the_head_of_a_model_has_the_scores_of_its_fit() {
        let (texts, labels) = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ngrams = NgramTexts::new(&texts, CONFIG);
        let all: Vec<usize> = (0..120).collect();
        let fitting = fitted(&ngrams, &all, targets(&labels), &[2.0]);
        let config = NgramConfig {
            features: ngrams.features(),
            ..CONFIG
        };
        let head = TextNgrams::of_fit(config, &ngrams.head(&fitting, 2.0)).unwrap();
        let expected = ngrams.scores(&all, &fitting);
        for (found, expected) in head.scores(&texts).unwrap().iter().zip(&expected) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((2.0 * found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
        // Without n-grams the bias remains; an empty text has none.
        let empty = head.scores(&["", "?!"]).unwrap();
        assert_eq!(empty[0], empty[1]);
        assert!(empty[0][0].is_finite());
    }

    #[test]
    fn a_path_of_costs_ends_where_the_last_one_does() {
        let (texts, labels) = texts();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ngrams = NgramTexts::new(&texts, CONFIG);
        let all: Vec<usize> = (0..120).collect();
        let scores = |costs: &[f64]| {
            let fitting = fitted(&ngrams, &all, targets(&labels), costs);
            ngrams.scores(&all, &fitting).concat()
        };
        for (path, direct) in scores(&[0.5, 2.0, 8.0]).iter().zip(scores(&[8.0])) {
            assert!((path - direct).abs() < 0.02, "{path} {direct}");
        }
    }

    #[test]
    fn a_class_of_weight_two_is_its_texts_twice() {
        let texts = ["a b", "a c", "b c", "c d"];
        let labels: TextLabels = vec![1, 0, 0, 0].into();
        let ngrams = NgramTexts::new(&texts, CONFIG);
        let fit = |subset: &[usize], class_weights| {
            let targets = Targets {
                class_weights,
                ..targets(&labels)
            };
            let mut fitting = ngrams.begin(&[0, 1, 2, 3], targets);
            // With the same weights of n-grams.
            for &text in &subset[4..] {
                fitting.values.push(fitting.values[text].clone());
            }
            let fitted = fitting.fit(subset, targets, 0.25, 1e-6, &|| true);
            fitted.unwrap();
            ngrams.scores(&[0, 1, 2, 3], &fitting).concat()
        };
        let weighted = fit(&[0, 1, 2, 3], Some(&[1.0, 2.0]));
        let twice = fit(&[0, 1, 2, 3, 0], None);
        let once = fit(&[0, 1, 2, 3], None);
        for ((weighted, twice), once) in weighted.iter().zip(twice).zip(once) {
            assert!((weighted - twice).abs() < 1e-3, "{weighted} {twice}");
            assert!((weighted - once).abs() > 1e-2, "{weighted} {once}");
        }
    }

    #[test]
    fn several_classes_have_scores_of_their_own() {
        let texts: Vec<String> = (0..40)
            .map(|text| format!("{} {}", ["u", "v"][text % 2], ["x", "y"][text / 2 % 2]))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let set = |text: usize| -> Vec<u32> {
            let has = [text % 2 == 1, text / 2 % 2 == 1];
            (0..2).filter(|&class| has[class as usize]).collect()
        };
        let labels = TextLabels::Several((0..40).map(set).collect());
        let ngrams = NgramTexts::new(&texts, CONFIG);
        let all: Vec<usize> = (0..40).collect();
        let fitting = fitted(&ngrams, &all, targets(&labels), &[8.0]);
        for (text, scores) in ngrams.scores(&all, &fitting).iter().enumerate() {
            let found: Vec<u32> = (0..2)
                .filter(|&class| scores[class as usize] > 0.0)
                .collect();
            assert_eq!(found, set(text));
        }
    }

    #[test]
    fn ngrams_that_no_training_text_has_count_as_unknown() {
        let texts = ["a b", "a c", "a z"];
        let labels: TextLabels = vec![0, 1, 1].into();
        let ngrams = NgramTexts::new(&texts, CONFIG);
        let two = fitted(&ngrams, &[0, 1], targets(&labels), &[8.0]);
        let alone = NgramTexts::new(&texts[..2], CONFIG);
        let labels: TextLabels = vec![0, 1].into();
        let expected = fitted(&alone, &[0, 1], targets(&labels), &[8.0]);
        let config = NgramConfig {
            features: alone.features(),
            ..CONFIG
        };
        let head = TextNgrams::of_fit(config, &alone.head(&expected, 1.0)).unwrap();
        let found = ngrams.scores(&[2], &two)[0][0];
        let expected = head.scores(&["a z"]).unwrap()[0][0];
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}
