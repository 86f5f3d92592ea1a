//! What the passes of a layer need from a device: memory, matrix products, and the step kernels of `steps.cu`.

use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};
use crate::rnn::kernels::CellType;
use candle_core::Result;

/// A device as the passes see it. All requests are executed in the order in which they are made.
pub(super) trait Backend {
    /// An allocation of numbers, freed with its owner.
    type Memory;

    /// Allocates zeros.
    fn zeros(&self, len: usize) -> Result<Self::Memory>;

    /// Uploads numbers from the host.
    fn upload(&self, values: &[f32]) -> Result<Self::Memory>;

    /// The whole of an allocation.
    fn part(&self, memory: &mut Self::Memory) -> DeviceSlice;

    /// Copies numbers.
    ///
    /// # Safety
    /// Both slices are of live allocations of this device, they do not overlap, and nobody else writes to them.
    unsafe fn copy(&self, from: DeviceSlice, to: DeviceSlice) -> Result<()>;

    /// Computes a matrix product.
    ///
    /// # Safety
    /// Its matrices are in live allocations of this device, the result overlaps with no other, and nobody else writes
    /// to them.
    unsafe fn product(&self, product: &Gemm) -> Result<()>;

    /// Runs a function of `steps.cu` for all active rows of a step.
    ///
    /// # Safety
    /// The addresses that the function uses point to matrices of the shapes given in `steps.cu`, in live allocations of
    /// this device; nobody else writes to them.
    unsafe fn run(&self, function: &'static str, step: &StepArgs) -> Result<()>;
}

/// A slice of device memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeviceSlice {
    /// The address of its first number, in bytes.
    pub(super) address: u64,
    /// Length in numbers.
    pub(super) len: usize,
}

impl DeviceSlice {
    /// The rest after `count` numbers.
    pub(super) fn after(self, count: usize) -> Self {
        assert!(count <= self.len, "a part of {} numbers", self.len);
        Self {
            address: self.address + 4 * count as u64,
            len: self.len - count,
        }
    }

    /// The end address, where the next slice would begin.
    #[cfg(feature = "cudnn")]
    pub(super) fn end(self) -> u64 {
        self.address + 4 * self.len as u64
    }

    /// The first `len` numbers.
    pub(super) fn first(self, len: usize) -> Self {
        assert!(len <= self.len, "a part of {} numbers", self.len);
        Self { len, ..self }
    }
}

/// A row-major matrix whose rows begin `stride` numbers apart, or its transpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub(super) part: DeviceSlice,
    pub(super) stride: usize,
    pub(super) transposed: bool,
}

impl Matrix {
    /// A matrix as it is stored.
    pub(super) fn rows(part: DeviceSlice, stride: usize) -> Self {
        Self {
            part,
            stride,
            transposed: false,
        }
    }

    /// The transpose of the stored matrix.
    pub(super) fn columns(part: DeviceSlice, stride: usize) -> Self {
        Self {
            transposed: true,
            ..Self::rows(part, stride)
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let (rows, columns) = match self.transposed {
            true => (columns, rows),
            false => (rows, columns),
        };
        columns <= self.stride && (rows - 1) * self.stride + columns <= self.part.len
    }
}

/// `out [rows, columns] = left [rows, k] * right [k, columns]`, added to the existing values if `add`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gemm {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) k: usize,
    pub(super) left: Matrix,
    pub(super) right: Matrix,
    /// Must not be transposed.
    pub(super) out: Matrix,
    pub(super) add: bool,
}

impl Gemm {
    /// Asserts that all elements lie within their slices.
    pub(super) fn check(&self) {
        assert!(self.left.holds(self.rows, self.k));
        assert!(self.right.holds(self.k, self.columns));
        assert!(self.out.holds(self.rows, self.columns) && !self.out.transposed);
    }
}

/// A product as BLAS computes it, with matrices in column-major order: `out [m, n] = first [m, k] * second [k, n]`,
/// each stored as it is or, if `transposed`, as its transpose.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnMajor {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) first: Matrix,
    pub(super) second: Matrix,
    pub(super) out: Matrix,
    /// The factor of the existing result, to which the product is added.
    pub(super) beta: f32,
}

impl Gemm {
    /// A row-major matrix is the transpose of a column-major one, and the transpose of a product is the product of the
    /// transposes in reverse order.
    pub(super) fn column_major(&self) -> ColumnMajor {
        ColumnMajor {
            m: self.columns,
            n: self.rows,
            k: self.k,
            first: self.right,
            second: self.left,
            out: self.out,
            beta: if self.add { 1.0 } else { 0.0 },
        }
    }
}

/// `struct StepArgs` of `steps.cu`, where its fields are explained; addresses in bytes, 0 for none.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct StepArgs {
    pub(super) gates: u64,
    pub(super) c: u64,
    pub(super) output: u64,
    pub(super) h_state: u64,
    pub(super) c_state: u64,
    pub(super) state_preactivations: u64,
    pub(super) bias_ih: u64,
    pub(super) bias_hh: u64,
    pub(super) d_output: u64,
    pub(super) dh: u64,
    pub(super) dc: u64,
    pub(super) d_input_preactivations: u64,
    pub(super) d_state_preactivations: u64,
    pub(super) h_previous: u64,
    pub(super) h_start: u64,
    pub(super) c_start: u64,
    pub(super) hidden: u32,
    pub(super) output_row: u32,
    pub(super) row: u32,
    pub(super) live: u32,
    pub(super) previous_row: u32,
    pub(super) previous_live: u32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for StepArgs {}

impl KernelArgs for StepArgs {
    const SOURCE: Source = Source {
        name: "steps",
        text: include_str!("steps.cu"),
        argument: "StepArgs",
    };
    const FIELDS: Fields = fields!(StepArgs: gates, c, output, h_state, c_state, state_preactivations, bias_ih, bias_hh, d_output, dh, dc, d_input_preactivations, d_state_preactivations, h_previous, h_start, c_start, hidden, output_row, row, live, previous_row, previous_live);

    fn threads(&self) -> usize {
        self.live as usize * self.hidden as usize
    }
}

/// The functions of `steps.cu` for a cell type, forward and backward.
pub(super) fn functions(cell_type: CellType) -> [&'static str; 2] {
    match cell_type {
        CellType::RnnTanh => ["rnn_tanh_forward", "rnn_tanh_backward"],
        CellType::RnnRelu => ["rnn_relu_forward", "rnn_relu_backward"],
        CellType::Gru => ["gru_forward", "gru_backward"],
        CellType::Lstm => ["lstm_forward", "lstm_backward"],
    }
}
