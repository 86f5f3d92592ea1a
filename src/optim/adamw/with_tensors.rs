//! The step in plain tensor operations: for devices other than the CPU, and as the reference implementation.

use crate::error::Result;
use crate::optim::Gradient;
use birnn_kernels::adamw::Scalars;
use candle_core::{Tensor, Var};

/// Updates one parameter; returns its next moments.
pub(super) fn update_with_tensors(
    var: &Var,
    moments: &Tensor,
    difference: Option<&mut Tensor>,
    gradient: &Gradient,
    scalars: Scalars,
) -> Result<Tensor> {
    let device = var.device();
    let (first, second) = (moments.get(0)?, moments.get(1)?);
    let rows = match gradient {
        Gradient::Dense(_) => None,
        Gradient::Rows { rows, .. } => Some(rows.on(device)?),
    };
    let select = |tensor: &Tensor| match &rows {
        None => Ok(tensor.clone()),
        Some(rows) => tensor.index_select(rows, 0),
    };
    let gradient = (gradient.values() * f64::from(scalars.scale))?;
    let (old_first, old_second) = (select(&first)?, select(&second)?);
    let old = select(&var.as_detached_tensor())?;
    let blend = |old: &Tensor, new: &Tensor, beta: f32| {
        (old * f64::from(beta))? + (new * f64::from(1.0 - beta))?
    };
    let new_first = blend(&old_first, &gradient, scalars.beta1)?;
    let new_second = blend(&old_second, &gradient.sqr()?, scalars.beta2)?;
    let root = (new_second.sqrt()? * f64::from(scalars.root_correction))?;
    let direction = (&new_first / (root + f64::from(scalars.epsilon))?)?;
    let new = ((&old * f64::from(scalars.keep))? - (direction * f64::from(scalars.step_size))?)?;
    let replace = |whole: &Tensor, old: &Tensor, new: &Tensor| match &rows {
        None => Ok(new.clone()),
        Some(rows) => whole.index_add(rows, &(new - old)?, 0),
    };
    let whole = var.as_detached_tensor();
    if let Some(difference) = difference {
        let change = (replace(&whole, &old, &new)? - &whole)?;
        *difference = (&*difference - (change * f64::from(scalars.average))?)?;
    }
    var.set(&replace(&whole, &old, &new)?)?;
    let first = replace(&first, &old_first, &new_first)?;
    let second = replace(&second, &old_second, &new_second)?;
    Ok(Tensor::stack(&[first, second], 0)?)
}
