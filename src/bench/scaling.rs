//! How the cost of training grows with each dimension of a shape.

use super::model::Classifier;
use super::timing::Timing;
use super::workload::{Shape, Workload};
use crate::error::{Error, Result};
use crate::rnn::kernels::CellType;
use candle_core::Device;
use serde::Serialize;
use std::time::Instant;

/// The letters of the sizes that are varied, with their indices in `B,T,E,H,L,V`.
const VARIED: [(&str, usize); 5] = [("T", 1), ("B", 0), ("H", 3), ("L", 4), ("V", 5)];

/// How an optimizer step grows with one size, all others fixed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// The letter of the size: `T`, `B`, `H`, `L` or `V`.
    pub size: &'static str,
    /// The times, by increasing size.
    pub points: Vec<Point>,
    /// The exponent p that best fits time ~ size^p: the least-squares slope of the logarithm of the
    /// median time over the logarithm of the size.
    pub exponent: f64,
}

/// The time of an optimizer step at one value of a size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The value of the size.
    pub value: usize,
    /// Times of the step.
    #[serde(flatten)]
    pub timing: Timing,
}

/// Measures an optimizer step at a quarter, half, once and twice every size of `shape` (for layers:
/// half, once, twice and three times); every row has all steps. After a warm-up, the values of a
/// size are measured in turn, `repeats` times, so that disturbances affect all of them alike.
/// `progress` is called with each size and its values before they are measured.
///
/// # Errors
/// A size that is too large at its largest value, or a failing tensor operation.
pub fn scaling(
    shape: Shape,
    cell: CellType,
    repeats: usize,
    progress: &mut dyn FnMut(&str, &[usize]),
) -> Result<Vec<Growth>> {
    // All shapes are created first, so that an invalid one is found before any measurement.
    let mut plan = Vec::new();
    for (size, index) in VARIED {
        let values = values(size, shape.numbers()[index]);
        let workload = |&value: &usize| {
            Workload::new(shape.with(index, value), cell, None).map_err(|problem| {
                Error::argument(
                    "shape",
                    format!("{size} = {value} would also be measured: {problem}"),
                )
            })
        };
        let workloads = values.iter().map(workload).collect::<Result<Vec<_>>>()?;
        plan.push((size, values, workloads));
    }
    let mut growths = Vec::new();
    for (size, values, workloads) in plan {
        progress(size, &values);
        // On a thread of the pool, like the trainer.
        let timings = rayon::scope(|_| in_turns(&workloads, repeats))?;
        let points = values.into_iter().zip(timings);
        let points: Vec<Point> = points
            .map(|(value, timing)| Point { value, timing })
            .collect();
        let exponent = exponent(&points);
        growths.push(Growth {
            size,
            points,
            exponent,
        });
    }
    Ok(growths)
}

/// The times of an optimizer step for each workload: after a warm-up they are measured in turn.
fn in_turns(workloads: &[Workload], repeats: usize) -> Result<Vec<Timing>> {
    let mut classifiers = Vec::new();
    for workload in workloads {
        let mut classifier = Classifier::new(workload, &Device::Cpu)?;
        classifier.step()?;
        classifiers.push((classifier, Vec::new()));
    }
    for _ in 0..repeats.max(1) {
        for (classifier, seconds) in &mut classifiers {
            let started = Instant::now();
            classifier.step()?;
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    let times = classifiers.into_iter().map(|(_, seconds)| seconds);
    Ok(times.map(Timing::of).collect())
}

/// The values of a size, increasing, at least two.
fn values(size: &str, base: usize) -> Vec<usize> {
    let mut values = match size {
        "L" => vec![base.div_ceil(2), base, 2 * base, 3 * base],
        _ => vec![base.div_ceil(4), base.div_ceil(2), base, 2 * base],
    };
    values.dedup();
    values
}

/// The slope of log time over log value by least squares.
fn exponent(points: &[Point]) -> f64 {
    let logarithms = points.iter().map(|point| {
        let time = point.timing.median_seconds;
        ((point.value as f64).ln(), time.ln())
    });
    let logarithms: Vec<(f64, f64)> = logarithms.collect();
    let count = logarithms.len() as f64;
    let mean_x = logarithms.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = logarithms.iter().map(|(_, y)| y).sum::<f64>() / count;
    let covariance: f64 = logarithms
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let variance: f64 = logarithms.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    covariance / variance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_of_a_power_is_found() {
        let points: Vec<Point> = [1, 2, 4, 8]
            .into_iter()
            .map(|value| Point {
                value,
                timing: Timing {
                    median_seconds: 0.3 * (value as f64).powf(1.5),
                    minimum_seconds: 0.0,
                    repeats: 1,
                },
            })
            .collect();
        assert!((exponent(&points) - 1.5).abs() < 1e-12);
    }

    #[test]
    fn sizes_are_varied_round_the_base() {
        assert_eq!(values("T", 500), [125, 250, 500, 1000]);
        assert_eq!(values("L", 2), [1, 2, 4, 6]);
        assert_eq!(values("L", 1), [1, 2, 3]);
        assert_eq!(values("B", 1), [1, 2]);
    }

    #[test]
    fn every_size_is_measured_at_its_values() {
        let shape: Shape = "2,3,4,5,1,7".parse().unwrap();
        let mut reported = Vec::new();
        let growths = scaling(shape, CellType::RnnTanh, 1, &mut |size, values| {
            reported.push((size.to_owned(), values.to_vec()));
        })
        .unwrap();
        let expected = [
            ("T", vec![1, 2, 3, 6]),
            ("B", vec![1, 2, 4]),
            ("H", vec![2, 3, 5, 10]),
            ("L", vec![1, 2, 3]),
            ("V", vec![2, 4, 7, 14]),
        ];
        assert_eq!(
            reported,
            expected.map(|(size, values)| (size.to_owned(), values))
        );
        for (growth, (size, values)) in growths.iter().zip(&reported) {
            let measured: Vec<usize> = growth.points.iter().map(|point| point.value).collect();
            assert_eq!((growth.size, &measured), (size.as_str(), values));
            assert!(growth.exponent.is_finite());
        }
        let large: Shape = "2,3,4,5,64,7".parse().unwrap();
        let message = scaling(large, CellType::Gru, 1, &mut |_, _| panic!("too late")).unwrap_err();
        assert_eq!(
            message.to_string(),
            "shape: L = 128 would also be measured: shape: L is 128; use a number from 1 to 64"
        );
    }
}
