//! How much the network counts beside an n-gram head that was fitted before it.

use crate::data::TextLabels;
use crate::error::Result;
use crate::inference::{fit_sigmoid_temperature, fit_temperature, log_probabilities};
use crate::ops::binary_cross_entropy::log_sigmoid;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// The shares of the network that are tried.
const SHARES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The number of standard errors by which the network must help.
const CERTAINTY: f64 = 2.0;

/// The share of the network's logits `[texts][classes]` with which the sum with the head's scores `[texts][classes]` has
/// the lowest loss on these texts, each share with a temperature of its own.
///
/// 0 unless the mean loss is lower than that of the head alone by more than [`CERTAINTY`] standard errors of that
/// difference: few texts say little, and the head alone is then what can be relied on.
pub(super) fn best(network: &[Vec<f32>], head: &[Vec<f32>], labels: &TextLabels) -> f64 {
    let alone = losses(head, labels);
    let of_share = |share: f64| (share, losses(&sums(network, head, share), labels));
    let sum = |losses: &[f64]| losses.iter().sum::<f64>();
    let (share, losses) = SHARES[1..]
        .iter()
        .map(|&share| of_share(share))
        .min_by(|(_, a), (_, b)| sum(a).total_cmp(&sum(b)))
        .unwrap_or((0.0, alone.clone()));
    let gains: Vec<f64> = alone.iter().zip(losses).map(|(a, b)| a - b).collect();
    match is_certain(&gains) {
        true => share,
        false => 0.0,
    }
}

/// Whether the mean of some numbers is above so many standard errors that it is hardly chance, although the best of
/// several epochs is taken.
fn is_certain(gains: &[f64]) -> bool {
    let count = gains.len() as f64;
    let mean = gains.iter().sum::<f64>() / count;
    let squares: f64 = gains.iter().map(|gain| (gain - mean).powi(2)).sum();
    gains.len() > 1 && mean > CERTAINTY * (squares / (count - 1.0) / count).sqrt()
}

/// The head's scores plus a share of the network's logits.
pub(super) fn sums(network: &[Vec<f32>], head: &[Vec<f32>], share: f64) -> Vec<Vec<f32>> {
    let sum = |(network, head): (&Vec<f32>, &Vec<f32>)| {
        let both = network.iter().zip(head);
        both.map(|(network, head)| share as f32 * network + head)
            .collect()
    };
    network.iter().zip(head).map(sum).collect()
}

/// The loss of each text at the temperature at which their mean is lowest.
fn losses(logits: &[Vec<f32>], labels: &TextLabels) -> Vec<f64> {
    let rows = logits.iter().enumerate();
    match labels {
        TextLabels::One(labels) => {
            let temperature = fit_temperature(logits, labels);
            let loss = |(text, row): (usize, &Vec<f32>)| {
                -log_probabilities(row, temperature)[labels[text] as usize]
            };
            rows.map(loss).collect()
        }
        TextLabels::Several(_) => {
            let temperature = fit_sigmoid_temperature(logits, labels);
            let loss = |(text, row): (usize, &Vec<f32>)| {
                let of_class = |(class, logit): (usize, &f32)| {
                    let sign = if labels.has(text, class) { 1.0 } else { -1.0 };
                    -log_sigmoid(sign * f64::from(*logit) / temperature)
                };
                row.iter().enumerate().map(of_class).sum()
            };
            rows.map(loss).collect()
        }
    }
}

/// Multiplies the logits of a network by a share.
pub(super) fn apply(weights: &mut BTreeMap<String, Tensor>, share: f64) -> Result<()> {
    if share == 1.0 {
        return Ok(());
    }
    for name in ["decoder.weight", "decoder.bias"] {
        if let Some(weight) = weights.get_mut(name) {
            *weight = (&*weight * share)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head that is right about three of four texts.
    fn head() -> (Vec<Vec<f32>>, TextLabels) {
        let labels: Vec<u32> = (0..40).map(|text| text % 2).collect();
        let row = |text: usize| match text.is_multiple_of(2) == (text % 8 < 6) {
            true => vec![1.0, -1.0],
            false => vec![-1.0, 1.0],
        };
        ((0..40).map(row).collect(), labels.into())
    }

    #[test]
    fn a_network_that_helps_has_a_share() {
        let (head, labels) = head();
        let right: Vec<Vec<f32>> = (0..40)
            .map(|text| [vec![2.0, -2.0], vec![-2.0, 2.0]][text % 2].clone())
            .collect();
        assert!(best(&right, &head, &labels) > 0.0);
        // Wrong, without a say, and on few texts.
        let wrong: Vec<Vec<f32>> = right.iter().map(|row| vec![row[1], row[0]]).collect();
        assert_eq!(best(&wrong, &head, &labels), 0.0);
        assert_eq!(best(&vec![vec![0.0, 0.0]; 40], &head, &labels), 0.0);
        assert_eq!(best(&right[..1], &head[..1], &vec![0].into()), 0.0);
        let several: Vec<Vec<u32>> = (0..40).map(|text| vec![text % 2]).collect();
        let several = TextLabels::Several(several);
        assert!(best(&right, &head, &several) > 0.0);
        assert_eq!(best(&wrong, &head, &several), 0.0);
    }

    #[test]
    fn the_mean_must_exceed_two_standard_errors() {
        assert!(is_certain(&[1.0, 1.0, 1.0]));
        // Mean 0.7 and standard error 0.3; then 0.65 and 0.35.
        assert!(is_certain(&[0.4, 1.0]));
        assert!(!is_certain(&[0.3, 1.0]));
        assert!(!is_certain(&[-1.0, -1.0]));
        assert!(!is_certain(&[]));
    }

    #[test]
    fn a_share_multiplies_the_logits() {
        let weight = Tensor::new(&[[2f32, 4.0]], &candle_core::Device::Cpu).unwrap();
        let mut weights = BTreeMap::from([("decoder.weight".to_owned(), weight)]);
        apply(&mut weights, 0.25).unwrap();
        assert_eq!(
            weights["decoder.weight"].to_vec2::<f32>().unwrap(),
            [[0.5, 1.0]]
        );
        let sum = sums(&[vec![4.0, 8.0]], &[vec![1.0, 1.0]], 0.25);
        assert_eq!(sum, [[2.0, 3.0]]);
    }
}
