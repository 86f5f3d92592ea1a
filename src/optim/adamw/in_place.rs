//! The step on the CPU: parameters, moments and differences from the averages in one pass, in parallel.

use super::rows_and_width;
use crate::device::storage::{change, read};
use crate::error::Result;
use crate::optim::Gradient;
use birnn_kernels::adamw::{Block, Scalars, Span};
use candle_core::{Tensor, Var};
use rayon::prelude::*;

/// Updates one parameter.
pub(super) fn update_in_place(
    var: &Var,
    moments: &Tensor,
    difference: Option<&Tensor>,
    gradient: &Gradient,
    scalars: Scalars,
) -> Result<()> {
    let values = gradient.values();
    let (rows, width) = rows_and_width(var, gradient)?;
    if values.elem_count() == 0 {
        return Ok(());
    }
    let update = |parameter: &mut [f32], moments: &mut [f32], difference: &mut [f32]| {
        let (first, second) = moments.split_at_mut(moments.len() / 2);
        let span = Span {
            parameter,
            first,
            second,
            difference,
        };
        read(&values.contiguous()?, |gradient| {
            let blocks = match rows {
                None => blocks_of_all(span, gradient),
                Some(rows) => blocks_of_rows(span, gradient, rows, width),
            };
            blocks
                .into_par_iter()
                .for_each(|block| block.update(&scalars));
            Ok(())
        })
    };
    change(var, |parameter| {
        change(moments, |moments| match difference {
            None => update(parameter, moments, &mut []),
            Some(difference) => change(difference, |difference| {
                update(parameter, moments, difference)
            }),
        })
    })?;
    Ok(())
}

/// Elements per block: about 100 kB are read and written.
const BLOCK: usize = 1 << 13;

/// Splits all elements into blocks.
fn blocks_of_all<'a>(mut span: Span<'a>, gradient: &'a [f32]) -> Vec<Block<'a>> {
    let block = |gradient: &'a [f32]| {
        let whole = std::mem::take(&mut span);
        let (start, rest) = whole.split(gradient.len());
        span = rest;
        Block {
            span: start,
            starts: vec![0],
            gradient,
        }
    };
    gradient.chunks(BLOCK).map(block).collect()
}

/// Splits some rows, in ascending order, of `width` elements each, into blocks.
fn blocks_of_rows<'a>(
    mut span: Span<'a>,
    gradient: &'a [f32],
    rows: &[u32],
    width: usize,
) -> Vec<Block<'a>> {
    let rows_of_block = (BLOCK / width.max(1)).max(1);
    // The first row that `span` still contains.
    let mut begin = 0;
    let block = |(rows, gradient): (&[u32], &'a [f32])| {
        let (from, to) = (rows[0] as usize, rows[rows.len() - 1] as usize + 1);
        let whole = std::mem::take(&mut span);
        let (_, whole) = whole.split((from - begin) * width);
        let (start, rest) = whole.split((to - from) * width);
        (span, begin) = (rest, to);
        let start_of = |&row: &u32| (row as usize - from) * width;
        Block {
            span: start,
            starts: rows.iter().map(start_of).collect(),
            gradient,
        }
    };
    rows.chunks(rows_of_block)
        .zip(gradient.chunks(rows_of_block * width))
        .map(block)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More rows and elements than fit in one block, so that blocks begin and end within the table.
    #[test]
    fn blocks_cover_every_row_once() {
        let width = 7;
        let count = 3 * BLOCK / width;
        let rows: Vec<u32> = (0..count as u32).map(|row| 2 * row + row % 2).collect();
        let len = (rows[count - 1] as usize + 3) * width;
        let gradient: Vec<f32> = (0..count * width).map(|i| i as f32).collect();
        let zeros = || vec![0.0; len];
        let (mut w, mut first, mut second) = (zeros(), zeros(), zeros());
        let span = Span {
            parameter: &mut w,
            first: &mut first,
            second: &mut second,
            difference: &mut [],
        };
        let blocks = blocks_of_rows(span, &gradient, &rows, width);
        assert!(blocks.len() > 2);
        for mut block in blocks {
            for (&start, gradient) in block.starts.iter().zip(block.gradient.chunks(width)) {
                let slice = &mut block.span.parameter[start..start + width];
                slice
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(w, g)| *w += g + 1.0);
            }
            block.starts.clear();
        }
        for (row, gradient) in rows.iter().zip(gradient.chunks(width)) {
            let slice = &mut w[*row as usize * width..(*row as usize + 1) * width];
            for (w, g) in slice.iter_mut().zip(gradient) {
                assert_eq!(*w, g + 1.0);
                *w = 0.0;
            }
        }
        assert!(w.iter().all(|&w| w == 0.0));
    }
}
