//! Counts the subnormal numbers that training produces: none, on any processor.

use super::model::Classifier;
use super::workload::Workload;
use crate::device::storage::read;
use crate::error::Result;
use crate::optim::{Gradients, Weights};
use birnn_kernels::subnormals::{Count, Place, counted};
use candle_core::{Device, Tensor};
use serde::Serialize;

/// The numbers of steps after which numbers are counted.
const STEPS: [u64; 2] = [1, 50];

/// The count of one kind of numbers after some training steps, and how many of them are subnormal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subnormals {
    /// The kind of numbers.
    pub numbers: &'static str,
    /// Number of steps taken.
    pub steps: u64,
    /// The count of all numbers.
    pub count: u64,
    /// The count of subnormal ones.
    pub subnormal: u64,
}

/// Trains a workload's classifier, with averaged parameters, and counts in the recurrent layers, the gradients, and
/// everything that a step updates.
///
/// # Errors
/// A tensor operation fails.
pub fn subnormals(workload: &Workload) -> Result<Vec<Subnormals>> {
    let mut classifier = Classifier::averaged(workload, &Device::Cpu)?;
    let mut found = Vec::new();
    for steps in 1..=STEPS[STEPS.len() - 1] {
        if !STEPS.contains(&steps) {
            classifier.step()?;
            continue;
        }
        let (gradients, counts) = counted(|| classifier.gradients());
        let (gradients, _) = gradients?;
        let of_gradients = in_gradients(&gradients)?;
        classifier.update(gradients)?;
        let of_place = |place: Place| (name(place), counts[place as usize]);
        let mut kinds: Vec<(&'static str, Count)> = Place::ALL.into_iter().map(of_place).collect();
        kinds.push(("gradients of the whole model", of_gradients));
        kinds.extend(in_weights(classifier.weights())?);
        found.extend(kinds.into_iter().map(|(numbers, count)| Subnormals {
            numbers,
            steps,
            count: count.numbers,
            subnormal: count.subnormal,
        }));
    }
    Ok(found)
}

fn name(place: Place) -> &'static str {
    match place {
        Place::Saved => "saved activations",
        Place::Carried => "gradients carried from step to step",
        Place::Sums => "gradients of the gates",
        Place::Gradients => "gradients of the layers",
    }
}

/// Counts in the gradients of all parameters.
///
/// # Errors
/// A tensor that is not on the CPU.
fn in_gradients(gradients: &Gradients) -> Result<Count> {
    let mut count = Count::default();
    for (_, gradient) in gradients.iter() {
        add(&mut count, gradient.values())?;
    }
    Ok(count)
}

/// Counts in everything that a step updates: parameters, moments, differences from the averages, by name.
///
/// # Errors
/// A tensor that is not on the CPU.
fn in_weights(weights: &Weights) -> Result<[(&'static str, Count); 3]> {
    let mut kinds = [
        ("parameters", Count::default()),
        ("moments", Count::default()),
        ("differences", Count::default()),
    ];
    for (name, tensor) in weights.tensors() {
        for (kind, count) in &mut kinds {
            if name.split('/').next() == Some(kind) {
                add(count, &tensor)?;
            }
        }
    }
    Ok(kinds)
}

fn add(count: &mut Count, tensor: &Tensor) -> Result<()> {
    Ok(read(&tensor.contiguous()?, |values| {
        count.add(values);
        Ok(())
    })?)
}
