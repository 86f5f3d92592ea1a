//! Poolings of a ragged batch on the CPU, on the threads of the current rayon pool.

use super::{PoolOp, Pooling};
use birnn_kernels::slices;
use birnn_kernels::subnormals::flushed;
use rayon::prelude::*;

impl PoolOp {
    /// The first and the last packed row of each sorted position.
    fn ends(&self) -> impl Iterator<Item = (usize, usize)> {
        self.packing.last_rows().into_iter().enumerate()
    }

    /// The result for outputs [N, width]. For `Max` it is kept which rows won.
    pub(super) fn forward(&self, output: &[f32]) -> Vec<f32> {
        let (rows, batch) = (self.packing.rows(), self.packing.batch());
        let width = output.len() / rows;
        let total: usize = self.kinds.iter().map(|kind| kind.width(width)).sum();
        let mut pooled = vec![0.0; batch * total];
        let has_max = self.kinds.contains(&Pooling::Max);
        let mut argmax = vec![0u32; if has_max { batch * width } else { 0 }];
        // Texts do not depend on each other. One group for each thread: it then reads long stretches
        // of a step's rows.
        let group = batch.div_ceil(rayon::current_num_threads());
        let argmax_of_group = match has_max {
            true => group * width,
            false => 1,
        };
        let mut argmax_of_groups: Vec<&mut [u32]> = argmax.chunks_mut(argmax_of_group).collect();
        argmax_of_groups.resize_with(batch.div_ceil(group), Default::default);
        let groups = pooled.par_chunks_mut(group * total).zip(argmax_of_groups);
        groups.enumerate().for_each(|(index, (pooled, argmax))| {
            let group = PoolGroup {
                op: self,
                first: index * group,
                output,
                width,
                total,
                pooled,
                argmax,
            };
            group.pool();
        });
        if has_max {
            // A node's forward pass runs once.
            let _ = self.argmax.set(argmax);
        }
        pooled
    }

    /// The gradient of outputs of this width, from that of the result.
    pub(super) fn backward(&self, d_pooled: &[f32], width: usize) -> Vec<f32> {
        let batch = self.packing.batch();
        let hidden = width / self.directions;
        let total = d_pooled.len() / batch;
        // Each kind with the gradients of its results.
        let parts = || {
            let mut column = 0;
            self.kinds.iter().map(move |kind| {
                let from = column;
                column += kind.width(width);
                let to = column;
                let part = move |position: usize| {
                    &d_pooled[position * total + from..position * total + to]
                };
                (kind, part)
            })
        };
        let mut d_output = self.d_means(parts(), width);
        let mut add = |row: usize, from_column: usize, values: &[f32]| {
            let start = row * width + from_column;
            for (sum, value) in d_output[start..].iter_mut().zip(values) {
                *sum += value;
            }
        };
        for (kind, part) in parts() {
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
                Pooling::Mean => {}
                Pooling::Max => {
                    let argmax = self.argmax.get().map_or(&[][..], Vec::as_slice);
                    for (position, argmax) in argmax.chunks_exact(width).enumerate() {
                        for (column, (&row, d)) in argmax.iter().zip(part(position)).enumerate() {
                            add(row as usize, column, std::slice::from_ref(d));
                        }
                    }
                }
            }
        }
        d_output
    }

    /// The part of the outputs' gradient that comes from means, which reach every row: else zeros.
    fn d_means<'a, P: Fn(usize) -> &'a [f32]>(
        &self,
        parts: impl Iterator<Item = (&'a Pooling, P)>,
        width: usize,
    ) -> Vec<f32> {
        let (rows, batch) = (self.packing.rows(), self.packing.batch());
        let mut shares = Vec::new();
        for (_, part) in parts.filter(|(kind, _)| **kind == Pooling::Mean) {
            shares.resize(batch * width, 0.0);
            for (position, shares) in shares.chunks_exact_mut(width).enumerate() {
                let share = 1.0 / self.packing.lengths()[position] as f32;
                for (sum, d) in shares.iter_mut().zip(part(position)) {
                    *sum = flushed(*sum + d * share);
                }
            }
        }
        if shares.is_empty() {
            return vec![0.0; rows * width];
        }
        let mut d_output = Vec::with_capacity(rows * width);
        for step in 0..self.packing.steps() {
            // The texts that have this step are the first ones.
            d_output.extend_from_slice(&shares[..self.packing.batch_size_at(step) * width]);
        }
        d_output
    }
}

/// The poolings of some texts, of which the first has sorted position `first`.
struct PoolGroup<'a> {
    op: &'a PoolOp,
    first: usize,
    /// [N, width].
    output: &'a [f32],
    width: usize,
    /// Width of the result.
    total: usize,
    /// The result, [texts, total].
    pooled: &'a mut [f32],
    /// [texts, width] if there is a maximum, else nothing.
    argmax: &'a mut [u32],
}

impl PoolGroup<'_> {
    fn pool(self) {
        let Self {
            op,
            first,
            output,
            width,
            total,
            pooled,
            argmax,
        } = self;
        let (packing, hidden) = (&op.packing, width / op.directions);
        let texts = pooled.len() / total;
        let mut from = 0;
        for kind in &op.kinds {
            let to = from + kind.width(width);
            for step in 0..packing.lengths()[first] {
                // The texts that have this step are the first ones.
                let live = packing.batch_size_at(step).saturating_sub(first).min(texts);
                for text in 0..live {
                    let packed = packing.row(step, first + text);
                    let row = &output[packed * width..(packed + 1) * width];
                    let part = &mut pooled[text * total + from..text * total + to];
                    let is_last = step + 1 == packing.lengths()[first + text];
                    match kind {
                        Pooling::Ends => {
                            if step == 0 {
                                part[..width].copy_from_slice(row);
                            }
                            if is_last {
                                part[width..].copy_from_slice(row);
                            }
                        }
                        Pooling::Final => {
                            if step == 0 {
                                part[hidden..].copy_from_slice(&row[hidden..]);
                            }
                            if is_last {
                                part[..hidden].copy_from_slice(&row[..hidden]);
                            }
                        }
                        Pooling::Mean => {
                            slices::add(part, row);
                            if is_last {
                                let share = 1.0 / (step + 1) as f32;
                                part.iter_mut().for_each(|sum| *sum *= share);
                            }
                        }
                        Pooling::Max => {
                            let argmax = &mut argmax[text * width..(text + 1) * width];
                            if step == 0 {
                                part.copy_from_slice(row);
                                argmax.fill(packed as u32);
                                continue;
                            }
                            slices::take_larger(part, argmax, row, packed as u32);
                        }
                    }
                }
            }
            from = to;
        }
    }
}
