//! Sums of groups of rows on a GPU, added in order of position: deterministic.

#![allow(
    unsafe_code,
    reason = "device memory is accessed through raw addresses"
)]

use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};
#[cfg(feature = "cuda")]
use crate::device::indices::Indices;
#[cfg(feature = "cuda")]
use candle_core::Tensor;

/// `struct SumRowsArgs` of `cuda.cu`, where its fields are explained.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct SumRowsArgs {
    pub(crate) values: u64,
    pub(crate) starts: u64,
    pub(crate) positions: u64,
    pub(crate) rows: u64,
    pub(crate) out: u64,
    pub(crate) sums: u32,
    pub(crate) width: u32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for SumRowsArgs {}

impl KernelArgs for SumRowsArgs {
    const SOURCE: Source = Source {
        name: "rows",
        text: include_str!("cuda.cu"),
        argument: "SumRowsArgs",
    };
    const FIELDS: Fields = fields!(SumRowsArgs: values, starts, positions, rows, out, sums, width);

    fn threads(&self) -> usize {
        self.sums as usize * self.width as usize
    }
}

/// The sums of a tensor's rows [positions, width] on a GPU, in a result of `count` rows. Sum `i` runs over the rows
/// `positions[starts[i]..starts[i + 1]]`, or over the rows `starts[i]..starts[i + 1]` if there are no positions. It is
/// written to row `rows[i]`, the other rows being zero, or to row `i` if `rows` is absent.
#[cfg(feature = "cuda")]
pub(crate) fn sum_rows(
    values: &Tensor,
    (starts, positions): (&Indices, Option<&Indices>),
    rows: Option<&Indices>,
    count: usize,
) -> crate::error::Result<Tensor> {
    let gpu = crate::device::cuda::gpu::Gpu::of(values)?;
    let values = values.contiguous()?;
    let (given, width) = values.dims2()?;
    let sums = starts.len() - 1;
    assert!(starts.is_sorted());
    let entries = starts.last().map_or(0, |&end| end as usize);
    match positions {
        Some(positions) => {
            assert!(entries <= positions.len());
            assert!(
                positions
                    .iter()
                    .all(|&position| (position as usize) < given)
            );
        }
        None => assert!(entries <= given),
    }
    match rows {
        Some(rows) => {
            assert!(rows.len() == sums && rows.iter().all(|&row| (row as usize) < count));
        }
        None => assert!(sums == count),
    }
    let out = match rows {
        Some(_) => gpu.device.alloc_zeros::<f32>((count * width).max(1))?,
        None => gpu.uninit::<f32>(count * width)?,
    };
    if sums == 0 {
        return Ok(gpu.tensor_of(out, (count, width)));
    }
    let device = values.device();
    let upload = |list: Option<&Indices>| list.map(|list| list.on(device)).transpose();
    let (starts, positions, rows) = (starts.on(device)?, upload(positions)?, upload(rows)?);
    let address = |list: &Option<Tensor>| match list {
        Some(list) => gpu.indices(list),
        None => Ok(0),
    };
    let sums = SumRowsArgs {
        values: gpu.tensor(&values)?.0,
        starts: gpu.indices(&starts)?,
        positions: address(&positions)?,
        rows: address(&rows)?,
        out: gpu.address(&out),
        sums: sums as u32,
        width: width as u32,
    };
    // SAFETY: checked by the assertions; all buffers outlive the launch, and `out` is exclusively owned.
    unsafe { gpu.run("sum_rows", &sums)? };
    Ok(gpu.tensor_of(out, (count, width)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::device::cuda::emulated::Emulated;

    #[test]
    fn sums_worked_out_by_hand() {
        let Some(machine) = Emulated::new::<SumRowsArgs>() else {
            return;
        };
        let values: Vec<f32> = (0..8).map(|value| value as f32).collect();
        let (starts, positions, rows) = ([0u32, 3, 3, 4], [3u32, 0, 1, 2], [1u32, 2, 4]);
        let mut out = [9f32; 10];
        let sums = SumRowsArgs {
            values: values.as_ptr() as u64,
            starts: starts.as_ptr() as u64,
            positions: positions.as_ptr() as u64,
            rows: rows.as_ptr() as u64,
            out: out.as_mut_ptr() as u64,
            sums: 3,
            width: 2,
        };
        // SAFETY: the arrays belong to this test.
        unsafe { machine.run("sum_rows", &sums) };
        assert_eq!(out, [9., 9., 8., 11., 0., 0., 9., 9., 4., 5.]);
        // Without positions and rows: the rows themselves, in the order of the sums.
        let (positions, rows) = (0, 0);
        // SAFETY: as above.
        unsafe {
            machine.run(
                "sum_rows",
                &SumRowsArgs {
                    positions,
                    rows,
                    ..sums
                },
            )
        };
        assert_eq!(out[..6], [6., 9., 0., 0., 6., 7.]);
    }
}
