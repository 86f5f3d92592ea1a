//! From the output at every step to one vector for each text.

use crate::error::Result;
use crate::packing::Packing;
use crate::storage::elements;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// What is taken from the outputs [T, D*H] of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The outputs at the first and the last valid step, 2*D*H: the textbook's `BiRNN`. The
    /// forward half of the first and the reverse half of the last have read one token each.
    Ends,
    /// The final states of the last layer, D*H: what each direction knows after all steps.
    Final,
    /// The mean over the valid steps, D*H.
    Mean,
    /// The maximum over the valid steps, D*H.
    Max,
}

impl Pooling {
    /// Width of the result for outputs of width `output` (D*H).
    pub fn width(self, output: usize) -> usize {
        match self {
            Self::Ends => 2 * output,
            Self::Final | Self::Mean | Self::Max => output,
        }
    }
}

/// Concatenated poolings of packed outputs [N, D*H]: [B, sum of widths], in sorted order.
///
/// # Errors
/// A failing tensor operation.
pub fn pool(
    kinds: &[Pooling],
    output: &Tensor,
    directions: usize,
    packing: &Arc<Packing>,
) -> Result<Tensor> {
    if !output.device().is_cpu() || output.dtype() != DType::F32 {
        return pool_with_tensors(kinds, output, directions, packing);
    }
    let op = PoolOp {
        kinds: kinds.to_vec(),
        directions,
        packing: packing.clone(),
        winners: OnceLock::new(),
    };
    let output = output.contiguous()?;
    Ok(match output.track_op() {
        true => output.apply_op1(op)?,
        false => output.apply_op1_no_bwd(&op)?,
    })
}

/// The same in plain tensor operations: the slow twin, for other devices and types.
fn pool_with_tensors(
    kinds: &[Pooling],
    output: &Tensor,
    directions: usize,
    packing: &Packing,
) -> Result<Tensor> {
    let (_, width) = output.dims2()?;
    let device = output.device();
    let (batch, steps) = (packing.batch(), packing.steps());
    let first = output.narrow(0, 0, batch)?;
    let last_rows = packing.last_rows();
    let last_rows = Tensor::from_iter(last_rows.into_iter().map(|row| row as u32), device)?;
    let last = output.contiguous()?.index_select(&last_rows, 0)?;

    // [B, T, D*H], with `filler` where a text has ended.
    let padded = |filler: f64| -> Result<Tensor> {
        let filler = Tensor::full(filler as f32, (1, width), device)?.to_dtype(output.dtype())?;
        let mut rows = vec![packing.rows() as u32; batch * steps];
        for (step, position) in packing.iter() {
            rows[position * steps + step] = packing.row(step, position) as u32;
        }
        let rows = Tensor::new(rows, device)?;
        let flat = Tensor::cat(&[output, &filler], 0)?.index_select(&rows, 0)?;
        Ok(flat.reshape((batch, steps, width))?)
    };
    let mut parts = Vec::new();
    for kind in kinds {
        match kind {
            Pooling::Ends => parts.extend([first.clone(), last.clone()]),
            Pooling::Final => {
                let hidden = width / directions;
                parts.push(last.narrow(1, 0, hidden)?);
                if directions == 2 {
                    parts.push(first.narrow(1, hidden, hidden)?);
                }
            }
            Pooling::Mean => {
                let lengths = packing.lengths().iter().map(|&length| length as f32);
                let lengths = Tensor::from_iter(lengths, device)?.to_dtype(output.dtype())?;
                let sum = padded(0.0)?.sum(1)?;
                parts.push(sum.broadcast_div(&lengths.unsqueeze(1)?)?);
            }
            Pooling::Max => parts.push(padded(f64::NEG_INFINITY)?.max(1)?),
        }
    }
    Ok(Tensor::cat(&parts, 1)?)
}

/// All poolings in one graph node: the backward pass fills one buffer of the outputs' size.
#[derive(Debug)]
struct PoolOp {
    kinds: Vec<Pooling>,
    directions: usize,
    packing: Arc<Packing>,
    /// For `Max`, the packed row that won each element of [B, D*H]; the first one of equals.
    winners: OnceLock<Vec<u32>>,
}

impl PoolOp {
    /// The first and the last packed row of each sorted position.
    fn ends(&self) -> impl Iterator<Item = (usize, usize)> {
        self.packing.last_rows().into_iter().enumerate()
    }

    fn forward(&self, output: &[f32]) -> Vec<f32> {
        let (rows, batch) = (self.packing.rows(), self.packing.batch());
        let width = output.len() / rows;
        let hidden = width / self.directions;
        let total: usize = self.kinds.iter().map(|kind| kind.width(width)).sum();
        let row = |index: usize| &output[index * width..(index + 1) * width];
        let mut pooled = vec![0.0; batch * total];
        let mut column = 0;
        for kind in &self.kinds {
            let columns = kind.width(width);
            let mut parts: Vec<&mut [f32]> = pooled
                .chunks_exact_mut(total)
                .map(|row| &mut row[column..column + columns])
                .collect();
            match kind {
                Pooling::Ends => {
                    for ((first, last), part) in self.ends().zip(parts) {
                        part[..width].copy_from_slice(row(first));
                        part[width..].copy_from_slice(row(last));
                    }
                }
                Pooling::Final => {
                    for ((first, last), part) in self.ends().zip(parts) {
                        part[..hidden].copy_from_slice(&row(last)[..hidden]);
                        part[hidden..].copy_from_slice(&row(first)[hidden..]);
                    }
                }
                Pooling::Mean => {
                    for (step, position) in self.packing.iter() {
                        let from = row(self.packing.row(step, position));
                        for (sum, value) in parts[position].iter_mut().zip(from) {
                            *sum += value;
                        }
                    }
                    for (part, &length) in parts.into_iter().zip(self.packing.lengths()) {
                        let share = 1.0 / length as f32;
                        part.iter_mut().for_each(|sum| *sum *= share);
                    }
                }
                Pooling::Max => {
                    let mut winners = vec![0u32; batch * width];
                    for (step, position) in self.packing.iter() {
                        let packed = self.packing.row(step, position);
                        let winners = &mut winners[position * width..(position + 1) * width];
                        let best = parts[position].iter_mut().zip(winners);
                        for ((best, winner), &value) in best.zip(row(packed)) {
                            let wins = step == 0 || value > *best;
                            *best = if wins { value } else { *best };
                            *winner = if wins { packed as u32 } else { *winner };
                        }
                    }
                    // A node's forward pass runs once.
                    let _ = self.winners.set(winners);
                }
            }
            column += columns;
        }
        pooled
    }

    fn backward(&self, d_pooled: &[f32], width: usize) -> Vec<f32> {
        let (rows, batch) = (self.packing.rows(), self.packing.batch());
        let hidden = width / self.directions;
        let total = d_pooled.len() / batch;
        let mut d_output = vec![0.0; rows * width];
        let mut add = |row: usize, from_column: usize, values: &[f32]| {
            let start = row * width + from_column;
            for (sum, value) in d_output[start..].iter_mut().zip(values) {
                *sum += value;
            }
        };
        let mut column = 0;
        for kind in &self.kinds {
            let columns = kind.width(width);
            let part = |position: usize| {
                let start = position * total + column;
                &d_pooled[start..start + columns]
            };
            match kind {
                Pooling::Ends => {
                    for (first, last) in self.ends() {
                        add(first, 0, &part(first)[..width]);
                        add(last, 0, &part(first)[width..]);
                    }
                }
                Pooling::Final => {
                    for (first, last) in self.ends() {
                        add(last, 0, &part(first)[..hidden]);
                        add(first, hidden, &part(first)[hidden..]);
                    }
                }
                Pooling::Mean => {
                    let shares: Vec<f32> = (0..batch)
                        .flat_map(|position| {
                            let share = 1.0 / self.packing.lengths()[position] as f32;
                            part(position).iter().map(move |d| d * share)
                        })
                        .collect();
                    for (step, position) in self.packing.iter() {
                        let share = &shares[position * width..(position + 1) * width];
                        add(self.packing.row(step, position), 0, share);
                    }
                }
                Pooling::Max => {
                    let winners = self.winners.get().map_or(&[][..], Vec::as_slice);
                    for (position, winners) in winners.chunks_exact(width).enumerate() {
                        for (column, (&row, d)) in winners.iter().zip(part(position)).enumerate() {
                            add(row as usize, column, std::slice::from_ref(d));
                        }
                    }
                }
            }
            column += columns;
        }
        d_output
    }
}

impl CustomOp1 for PoolOp {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let pooled = self.forward(elements(storage, layout)?);
        let batch = self.packing.batch();
        let shape = Shape::from((batch, pooled.len() / batch));
        Ok((CpuStorage::F32(pooled), shape))
    }

    fn bwd(
        &self,
        output: &Tensor,
        _pooled: &Tensor,
        d_pooled: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let d_pooled: Vec<f32> = d_pooled.flatten_all()?.to_vec1()?;
        let d_output = self.backward(&d_pooled, output.dim(1)?);
        Tensor::from_vec(d_output, output.shape(), output.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::Var;

    /// The fast and the slow pooling agree, gradients included, for every kind and together.
    #[test]
    fn agrees_with_its_slow_twin() {
        let packing = Arc::new(Packing::new(&[3, 6, 1, 4]).unwrap());
        let output = Var::from_tensor(&normal_tensor(1, &[packing.rows(), 6])).unwrap();
        let all = [Pooling::Max, Pooling::Ends, Pooling::Mean, Pooling::Final];
        for directions in [1, 2] {
            for kinds in [&all[..], &all[..1], &all[1..2], &all[2..3], &all[3..]] {
                let fast = pool(kinds, &output, directions, &packing).unwrap();
                let slow = pool_with_tensors(kinds, &output, directions, &packing).unwrap();
                let close = |a: &Tensor, b: &Tensor| {
                    assert_eq!(a.dims(), b.dims());
                    let error = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                    assert!(error.to_scalar::<f32>().unwrap() < 1e-6, "{kinds:?}");
                };
                close(&fast, &slow);
                let upstream = normal_tensor(2, fast.dims());
                let gradient = |pooled: &Tensor| {
                    let loss = (pooled * &upstream).unwrap().sum_all().unwrap();
                    loss.backward().unwrap().remove(&output).unwrap()
                };
                close(&gradient(&fast), &gradient(&slow));
            }
        }
    }
}
