//! Gradients by parameter name, dense or by rows.

use crate::device::indices::Indices;
use crate::device::storage::read;
use crate::error::{Error, Result};
use birnn_kernels::slices;
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;

/// The gradient of one parameter.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// A tensor of the parameter's shape.
    Dense(Tensor),
    /// The rows of a table that have a gradient; all other rows have a zero gradient.
    Rows {
        /// Row numbers, ascending, without duplicates.
        rows: Indices,
        /// Their gradients, [rows, columns].
        values: Tensor,
    },
}

impl Gradient {
    /// The elements that may be nonzero.
    pub(crate) fn values(&self) -> &Tensor {
        match self {
            Self::Dense(values) | Self::Rows { values, .. } => values,
        }
    }

    fn add(self, other: Self) -> Result<Self> {
        match (self, other) {
            (Self::Dense(a), Self::Dense(b)) => Ok(Self::Dense((a + b)?)),
            (
                Self::Rows { rows, values },
                Self::Rows {
                    rows: more,
                    values: added,
                },
            ) => {
                let mut union = rows.to_vec();
                union.extend(more.iter());
                union.sort_unstable();
                union.dedup();
                let position = |row: &u32| union.binary_search(row).unwrap_or_default() as u32;
                let positions =
                    |rows: &[u32]| Tensor::from_iter(rows.iter().map(position), values.device());
                let sum = Tensor::zeros(
                    (union.len(), values.dim(1)?),
                    values.dtype(),
                    values.device(),
                )?
                .index_add(&positions(&rows)?, &values, 0)?
                .index_add(&positions(&more)?, &added, 0)?;
                Ok(Self::Rows {
                    rows: union.into(),
                    values: sum,
                })
            }
            _ => Err(Error::argument(
                "gradients",
                "a dense one cannot be added to one by rows",
            )),
        }
    }
}

/// The factor that scales gradients of norm `norm` down to `clip_norm`; 1 for shorter ones, and if `clip_norm` is 0.
pub fn clip_scale(norm: f64, clip_norm: f64) -> f64 {
    match clip_norm > 0.0 && norm > clip_norm {
        true => clip_norm / norm,
        false => 1.0,
    }
}

/// Gradients by parameter name.
#[derive(Debug, Clone, Default)]
pub struct Gradients(BTreeMap<String, Gradient>);

impl Gradients {
    /// Sets the gradient of a parameter.
    pub fn insert(&mut self, name: impl Into<String>, gradient: Gradient) {
        self.0.insert(name.into(), gradient);
    }

    /// Adds the gradients of another batch.
    ///
    /// # Errors
    /// Gradients of one parameter that differ in kind or shape.
    pub fn add(&mut self, other: Self) -> Result<()> {
        for (name, gradient) in other.0 {
            let sum = match self.0.remove(&name) {
                Some(present) => present.add(gradient)?,
                None => gradient,
            };
            self.0.insert(name, sum);
        }
        Ok(())
    }

    /// Drops the gradients of frozen parameters.
    pub fn retain(&mut self, moves: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| moves(name));
    }

    /// Names and gradients, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Gradient)> {
        self.0
            .iter()
            .map(|(name, gradient)| (name.as_str(), gradient))
    }

    /// The Euclidean norm over all elements of all gradients.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn norm(&self) -> Result<f64> {
        let mut sum = 0.0;
        let mut on_device = Vec::new();
        for (_, gradient) in self.iter() {
            let values = gradient.values();
            if values.device().is_cpu() && values.dtype() == DType::F32 {
                sum += read(&values.contiguous()?, |values| {
                    Ok(slices::sum_of_squares(values))
                })?;
            } else {
                on_device.push(values.clone());
            }
        }
        sum += sum_of_squares(&on_device)?;
        Ok(sum.sqrt())
    }
}

/// The sum of the squares of all elements of tensors on one device. The result is read from the device only once, as
/// each read waits for all queued work.
fn sum_of_squares(tensors: &[Tensor]) -> Result<f64> {
    #[cfg(feature = "cuda")]
    if let Some(first) = tensors.first()
        && first.device().is_cuda()
        && tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
    {
        return Ok(crate::optim::norm_cuda::sum_of_squares(tensors)?);
    }
    let mut sum: Option<Tensor> = None;
    for tensor in tensors {
        let more = tensor.sqr()?.sum_all()?.to_dtype(DType::F32)?;
        sum = Some(match sum {
            Some(sum) => (sum + more)?,
            None => more,
        });
    }
    match sum {
        Some(sum) => Ok(f64::from(sum.to_scalar::<f32>()?)),
        None => Ok(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::Device;

    #[test]
    fn the_norm_is_that_of_all_elements() {
        let mut gradients = Gradients::default();
        let mut expected = 0.0;
        for (name, shape) in [("a", vec![7, 11]), ("b", vec![16]), ("c", vec![3])] {
            let values = normal_tensor(shape.len() as u64, &shape);
            let flat: Vec<f32> = values.flatten_all().unwrap().to_vec1().unwrap();
            expected += flat.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
            gradients.insert(name, Gradient::Dense(values));
        }
        assert!((gradients.norm().unwrap() - expected.sqrt()).abs() < 1e-12);
        let all: Vec<Tensor> = gradients
            .iter()
            .map(|(_, gradient)| gradient.values().clone())
            .collect();
        let error = sum_of_squares(&all).unwrap() - expected;
        assert!(error.abs() < 1e-5 * expected, "{error}");
    }

    #[test]
    fn gradients_by_rows_add_up() {
        let rows = |rows: &[u32], values: &[[f32; 1]]| {
            let mut gradients = Gradients::default();
            let values = Tensor::from_iter(values.iter().map(|row| row[0]), &Device::Cpu);
            let values = values.unwrap().unsqueeze(1).unwrap();
            let rows = rows.to_vec().into();
            gradients.insert("table", Gradient::Rows { rows, values });
            gradients
        };
        let mut sum = rows(&[1, 4], &[[1.], [2.]]);
        sum.add(rows(&[0, 4], &[[3.], [4.]])).unwrap();
        let (_, Gradient::Rows { rows, values }) = sum.iter().next().unwrap() else {
            panic!("not by rows");
        };
        assert_eq!(**rows, [0, 1, 4]);
        assert_eq!(values.to_vec2::<f32>().unwrap(), [[3.], [1.], [6.]]);
        assert!((sum.norm().unwrap() - 46f64.sqrt()).abs() < 1e-6);
    }
}
