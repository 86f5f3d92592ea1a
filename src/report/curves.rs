//! How good the probabilities are: calibration, ranking, and what is gained by not answering.

use super::chart::{Axis, Chart, Kind, Series, evenly};
use super::page::figure;
use super::table::{Cell, Column, Table};
use crate::error::Result;
use crate::inference::{CalibrationBin, Evaluation, JudgedText, RankingCurve};
use maud::{Markup, html};
use serde::Serialize;

/// How good the probabilities of a model are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Curves {
    /// Texts by the probability of their predicted class.
    pub calibration: Vec<CalibrationBin>,
    /// The classes whose ROC and precision-recall curves are shown: at most four, the most frequent ones.
    pub ranking: Vec<ClassCurve>,
    /// What is left to answer, and how well, if a probability is required.
    pub answered: Vec<Answered>,
    /// The number of classes.
    #[serde(skip)]
    classes: usize,
}

/// The curves of a class against all others.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassCurve {
    /// Its name.
    pub name: String,
    /// Its curve.
    #[serde(skip)]
    curve: RankingCurve,
}

/// The texts that are answered if the predicted class must have a probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answered {
    /// The lowest probability that is answered.
    pub probability: f64,
    /// The number of texts that are.
    pub texts: u64,
    /// Their share of all texts.
    pub share: f64,
    /// The share of them that is answered correctly.
    pub accuracy: Option<f64>,
}

/// The probabilities in the table of answered texts.
const REQUIRED: [f64; 10] = [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999];
/// At most so many curves are drawn.
const MOST_CURVES: usize = 4;
/// So many rows has the table of a curve.
const CURVE_ROWS: usize = 20;

impl Curves {
    pub(super) fn new(evaluation: &Evaluation, names: &[String], curves: &[RankingCurve]) -> Self {
        let mut shown: Vec<ClassCurve> = names
            .iter()
            .zip(curves)
            .filter(|(_, curve)| curve.positives > 0 && curve.negatives > 0)
            .map(|(name, curve)| ClassCurve {
                name: name.clone(),
                curve: curve.clone(),
            })
            .collect();
        if shown.len() > MOST_CURVES {
            shown.sort_by_key(|class| std::cmp::Reverse(class.curve.positives));
            shown.truncate(MOST_CURVES);
        }
        let answered = REQUIRED.map(|probability| answered(&evaluation.judged, probability));
        let mut answered = answered.to_vec();
        // Where everything has a probability of at least a half, one row says it.
        answered.dedup_by_key(|row| row.texts);
        Self {
            calibration: evaluation.calibration.bins().collect(),
            ranking: shown,
            answered,
            classes: names.len(),
        }
    }

    pub(super) fn render(&self) -> Result<Markup> {
        Ok(html! {
            div.figures {
                (self.reliability()?)
                (self.roc()?)
                (self.precision_recall()?)
                (self.abstention()?)
            }
        })
    }

    fn reliability(&self) -> Result<Markup> {
        let points = self.calibration.iter();
        let points = points.map(|bin| (bin.probability, bin.accuracy)).collect();
        let chart = Chart {
            name: "Reliability: the share of correct predictions by their probability",
            x: unit("probability of the predicted class"),
            y: unit("share of correct predictions"),
            series: vec![
                reference(vec![(0.0, 0.0), (1.0, 1.0)]),
                Series {
                    name: Some("predictions"),
                    kind: Kind::Dotted,
                    points,
                },
            ],
        };
        let columns = vec![
            Column::text("probability"),
            Column::number("mean %"),
            Column::number("correct %"),
            Column::number("texts"),
        ];
        let mut table = Table::new("Texts by the probability of their class", columns);
        let row = |bin: &CalibrationBin| {
            vec![
                Cell::text(&format!("{:.3} to {:.3}", bin.from, bin.to)),
                Cell::percent(bin.probability),
                Cell::percent(bin.accuracy),
                Cell::count(bin.texts),
            ]
        };
        table.rows = self.calibration.iter().map(row).collect();
        Ok(figure(
            "Reliability: on the line, probabilities are true",
            &chart.draw()?,
            &table.render(),
        ))
    }

    fn roc(&self) -> Result<Markup> {
        let mut series = vec![reference(vec![(0.0, 0.0), (1.0, 1.0)])];
        series.extend(self.series(RankingCurve::roc));
        let chart = Chart {
            name: "ROC curves",
            x: unit("share of the other texts that is taken"),
            y: unit("share of the class that is found"),
            series,
        };
        self.ranking_figure(
            &format!("ROC: {} against the others", self.shown()),
            &chart,
            ("taken %", "found %"),
            RankingCurve::roc,
        )
    }

    fn precision_recall(&self) -> Result<Markup> {
        let chart = Chart {
            name: "Precision-recall curves",
            x: unit("recall"),
            y: unit("precision"),
            series: self.series(RankingCurve::precision_recall).collect(),
        };
        self.ranking_figure(
            &format!("Precision and recall: {} against the others", self.shown()),
            &chart,
            ("recall %", "precision %"),
            RankingCurve::precision_recall,
        )
    }

    /// Which classes are shown.
    fn shown(&self) -> &'static str {
        match self.ranking.len() == self.classes {
            true => "each class",
            false => "each of the most frequent classes",
        }
    }

    fn series<'a>(
        &'a self,
        points: impl Fn(&RankingCurve) -> Vec<(f64, f64)> + 'a,
    ) -> impl Iterator<Item = Series<'a>> {
        self.ranking.iter().map(move |class| Series {
            name: Some(&class.name),
            kind: Kind::Line,
            points: points(&class.curve),
        })
    }

    /// A chart of curves with a table of some of their points.
    fn ranking_figure(
        &self,
        title: &str,
        chart: &Chart,
        (x, y): (&str, &str),
        points: impl Fn(&RankingCurve) -> Vec<(f64, f64)>,
    ) -> Result<Markup> {
        if self.ranking.is_empty() {
            return Ok(html! {});
        }
        let columns = vec![Column::text("class"), Column::number(x), Column::number(y)];
        let mut table = Table::new("Some points of the curves", columns);
        for class in &self.ranking {
            let points = points(&class.curve);
            let chosen = evenly(&points, CURVE_ROWS);
            table.rows.extend(
                chosen.map(|(x, y)| {
                    vec![Cell::text(&class.name), Cell::percent(x), Cell::percent(y)]
                }),
            );
        }
        Ok(figure(title, &chart.draw()?, &table.render()))
    }

    fn abstention(&self) -> Result<Markup> {
        let points = self.answered.iter();
        let points = points.filter_map(|row| Some((100.0 * row.share, 100.0 * row.accuracy?)));
        let chart = Chart {
            name: "Accuracy of the texts that are answered",
            x: Axis {
                name: "texts that are answered, %",
                range: Some((0.0, 100.0)),
            },
            y: Axis {
                name: "accuracy, %",
                range: None,
            },
            series: vec![Series {
                name: Some("accuracy"),
                kind: Kind::Dotted,
                points: points.collect(),
            }],
        };
        let columns = vec![
            Column::number("probability"),
            Column::number("answered %"),
            Column::number("accuracy %"),
            Column::number("texts"),
        ];
        let mut table = Table::new("If a probability is required", columns);
        let row = |row: &Answered| {
            vec![
                Cell::number(row.probability, 3),
                Cell::percent(row.share),
                Cell::percent(row.accuracy),
                Cell::count(row.texts),
            ]
        };
        table.rows = self.answered.iter().map(row).collect();
        Ok(figure(
            "Answering only what is sure",
            &chart.draw()?,
            &table.render(),
        ))
    }
}

fn unit(name: &str) -> Axis<'_> {
    Axis {
        name,
        range: Some((0.0, 1.0)),
    }
}

fn reference(points: Vec<(f64, f64)>) -> Series<'static> {
    Series {
        name: None,
        kind: Kind::Reference,
        points,
    }
}

fn answered(judged: &[JudgedText], probability: f64) -> Answered {
    let (mut texts, mut correct) = (0, 0);
    for text in judged.iter().filter(|text| text.score >= probability) {
        texts += 1;
        correct += u64::from(text.is_correct());
    }
    Answered {
        probability,
        texts,
        share: texts as f64 / judged.len().max(1) as f64,
        accuracy: (texts > 0).then(|| correct as f64 / texts as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sure_is_answered() {
        let rows = [0.95, 0.85, 0.55].map(|first: f64| vec![first.ln(), (1.0 - first).ln()]);
        let evaluation = Evaluation::new(&rows, &[0, 1, 0], 2).unwrap();
        let found = answered(&evaluation.judged, 0.8);
        assert_eq!((found.texts, found.accuracy), (2, Some(0.5)));
        assert!((found.share - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(answered(&evaluation.judged, 0.96).accuracy, None);
        let names = ["a", "b"].map(str::to_owned);
        let curves = Curves::new(&evaluation, &names, &[]);
        // 0.0 and 0.5 answer the same texts, as do 0.6 to 0.8; and all above 0.95.
        let texts: Vec<u64> = curves.answered.iter().map(|row| row.texts).collect();
        assert_eq!(texts, [3, 2, 1, 0]);
    }
}
