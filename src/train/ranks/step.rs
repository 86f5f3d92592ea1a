//! The gradients of a step, from all ranks.

use super::wire::{Reader, write};
use super::{Ranks, check_same_while};
use crate::error::{Error, Result};
use crate::optim::Gradients;
use crate::train::{StepMetrics, Task};
use candle_core::Device;
use std::ops::ControlFlow;

/// The batches of a step that this rank has, of all of them.
pub(in crate::train) struct StepBatches<'a, B> {
    /// Every R-th one, from that with the number of the rank on.
    pub own: &'a [B],
    /// The number of all.
    pub all: usize,
}

/// What all ranks know before a step.
pub(in crate::train) struct Agreed {
    /// The weight of each batch of the step.
    pub weights: Vec<f64>,
    /// Whether one of the ranks is to stop.
    pub stop: bool,
}

/// Called while others are waited for.
pub(in crate::train) type Waiting<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// Makes known to all ranks what each knows alone: the weights of its batches, and whether it is to stop.
///
/// # Errors
/// Those of [`Ranks::all_gather`].
pub(in crate::train) fn agree<T: Task>(
    task: &T,
    batches: &StepBatches<T::Batch>,
    stop: bool,
    ranks: &mut dyn Ranks,
    waiting: Waiting,
) -> Result<Agreed> {
    let own: Vec<f64> = batches
        .own
        .iter()
        .map(|batch| task.batch_weight(batch))
        .collect();
    if ranks.size() == 1 {
        return Ok(Agreed { weights: own, stop });
    }
    let mut bytes = vec![u8::from(stop)];
    own.iter()
        .for_each(|weight| bytes.extend_from_slice(&weight.to_le_bytes()));
    let all = ranks.all_gather(&bytes, waiting)?;
    let weight = |number: usize| {
        let (rank, place) = (number % all.len(), number / all.len());
        let bytes = all[rank].get(1..).unwrap_or_default();
        let weight = bytes.chunks_exact(size_of::<f64>()).nth(place)?;
        weight.try_into().ok().map(f64::from_le_bytes)
    };
    let weights: Option<Vec<f64>> = (0..batches.all).map(weight).collect();
    Ok(Agreed {
        weights: weights.ok_or_else(different)?,
        stop: all.iter().any(|bytes| bytes.first() == Some(&1)),
    })
}

/// The gradients of the mean loss over all batches of a step, added in their order, and the sums over them.
///
/// # Errors
/// Those of [`Task::batch_gradients`] and of [`Ranks::all_gather`].
pub(in crate::train) fn gradients<T: Task>(
    task: &T,
    batches: &StepBatches<T::Batch>,
    weights: &[f64],
    device: &Device,
    ranks: &mut dyn Ranks,
    waiting: Waiting,
) -> Result<(Gradients, StepMetrics)> {
    let total: f64 = weights.iter().sum();
    let (rank, size) = (ranks.rank(), ranks.size());
    let of_own = |place: usize| {
        let share = weights[rank + place * size] / total;
        task.batch_gradients(&batches.own[place], share)
    };
    let mut sums = Sums::default();
    if size == 1 {
        for place in 0..batches.own.len() {
            sums.add(of_own(place)?)?;
        }
        return Ok((sums.gradients, sums.metrics));
    }
    let mut bytes = Vec::new();
    for place in 0..batches.own.len() {
        write(&mut bytes, &of_own(place)?)?;
    }
    let all = ranks.all_gather(&bytes, waiting)?;
    let mut readers: Vec<Reader> = all.iter().map(|bytes| Reader::new(bytes, device)).collect();
    for number in 0..batches.all {
        sums.add(readers[number % size].batch()?)?;
    }
    Ok((sums.gradients, sums.metrics))
}

/// Sums over batches.
#[derive(Default)]
struct Sums {
    gradients: Gradients,
    metrics: StepMetrics,
}

impl Sums {
    fn add(&mut self, (gradients, metrics): (Gradients, StepMetrics)) -> Result<()> {
        self.gradients.add(gradients)?;
        self.metrics += metrics;
        Ok(())
    }
}

/// Checks that all ranks have the same parameters.
///
/// # Errors
/// A rank has others.
pub(in crate::train) fn check_parameters<T: Task>(
    task: &T,
    step: u64,
    ranks: &mut dyn Ranks,
    waiting: Waiting,
) -> Result<()> {
    if ranks.size() == 1 {
        return Ok(());
    }
    let hash = task.weights().hash()?;
    check_same_while(
        ranks,
        &format!("the parameters at step {step}"),
        &hash.to_le_bytes(),
        waiting,
    )
}

fn different() -> Error {
    Error::Ranks {
        problem: "they do not train on the same batches".to_owned(),
        remedy: "start the same program with the same arguments on every rank".to_owned(),
    }
}
