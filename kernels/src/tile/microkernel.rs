//! One tile of a product, whose sums stay in registers.
//!
//! A tile has up to [`tile_rows`] rows and [`tile_registers`] registers of columns. For every summand it
//! loads its columns of the right matrix once and multiplies them with one number of each row of the left
//! one: with 32 registers 24 multiplications for 11 loads, with 16 registers 12 for 8. Either keeps both
//! multipliers of a core busy as long as the operands come from the caches, and leaves a register or
//! more to spare: where the compiler has none, it keeps a sum in memory, and every
//! step of the tile waits for it.

use pulp::{Simd, WithSimd};

/// Registers of columns in a tile.
pub(super) const fn tile_registers<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 3 } else { 2 }
}

/// The most rows of a tile.
pub(super) const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 6 }
}

/// Summands of a left matrix in rows that are added at a time.
const UNROLLED: usize = 4;

#[derive(Debug, Clone, Copy)]
pub(super) enum TileStart {
    Zero,
    Row(*const f32),
    Present,
}

/// One tile of a product, by pointers to its first elements. Whoever runs one vouches that all
/// elements of its rows, columns and k are there, and that nobody else uses `out`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) k: usize,
    pub(super) left: *const f32,
    pub(super) left_stride: usize,
    pub(super) right: *const f32,
    pub(super) start: TileStart,
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
}

/// A tile of which the compiler knows the size, and whether its left matrix is transposed: then it finds the
/// numbers of all rows from one address.
struct SizedTile<const ROWS: usize, const REGISTERS: usize, const TRANSPOSED: bool>(Tile);

impl Tile {
    /// # Safety
    /// The elements that the tile points to exist; see [`Tile`].
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd, const TRANSPOSED: bool>(
        self,
        simd: S,
        rows: usize,
        registers: usize,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match registers {
                1 => self.run_columns::<S, 1, TRANSPOSED>(simd, rows),
                2 => self.run_columns::<S, 2, TRANSPOSED>(simd, rows),
                _ if const { tile_registers::<S>() == 3 } => {
                    self.run_columns::<S, 3, TRANSPOSED>(simd, rows)
                }
                _ => unreachable!("a tile has at most two registers of columns"),
            }
        }
    }

    /// Each size is a function of its own, compiled for the instruction set.
    ///
    /// # Safety
    /// As [`Tile::run`].
    #[inline(always)]
    unsafe fn run_columns<S: Simd, const REGISTERS: usize, const TRANSPOSED: bool>(
        self,
        simd: S,
        rows: usize,
    ) {
        match rows {
            1 => simd.vectorize(SizedTile::<1, REGISTERS, TRANSPOSED>(self)),
            2 => simd.vectorize(SizedTile::<2, REGISTERS, TRANSPOSED>(self)),
            3 => simd.vectorize(SizedTile::<3, REGISTERS, TRANSPOSED>(self)),
            4 => simd.vectorize(SizedTile::<4, REGISTERS, TRANSPOSED>(self)),
            5 => simd.vectorize(SizedTile::<5, REGISTERS, TRANSPOSED>(self)),
            6 => simd.vectorize(SizedTile::<6, REGISTERS, TRANSPOSED>(self)),
            7 if const { tile_rows::<S>() == 8 } => {
                simd.vectorize(SizedTile::<7, REGISTERS, TRANSPOSED>(self));
            }
            _ if const { tile_rows::<S>() == 8 } => {
                simd.vectorize(SizedTile::<8, REGISTERS, TRANSPOSED>(self));
            }
            _ => unreachable!("a tile has at most six rows"),
        }
    }
}

impl<const ROWS: usize, const REGISTERS: usize, const TRANSPOSED: bool> WithSimd
    for SizedTile<ROWS, REGISTERS, TRANSPOSED>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile {
            k,
            left,
            left_stride,
            right,
            start,
            out,
            out_row,
        } = self.0;
        // SAFETY: `Tile` is only run over elements that exist, see there. Registers are read and
        // written unaligned, and any bits are a number.
        unsafe {
            let load = |from: *const f32| from.cast::<S::f32s>().read_unaligned();
            let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; ROWS];
            let lanes = S::F32_LANES;
            for (row, sums) in sums.iter_mut().enumerate() {
                for (register, sum) in sums.iter_mut().enumerate() {
                    match start {
                        TileStart::Zero => {}
                        TileStart::Row(values) => *sum = load(values.add(register * lanes)),
                        TileStart::Present => {
                            *sum = load(out.add(row * out_row + register * lanes));
                        }
                    }
                }
            }
            let step = if TRANSPOSED { left_stride } else { 1 };
            let (mut left, mut right) = (left, right);
            // Several k at a time share the addresses of their rows.
            let unrolled = if TRANSPOSED { 1 } else { UNROLLED };
            let mut summand = 0;
            while summand + unrolled <= k {
                for index in 0..unrolled {
                    let right = right.add(index * REGISTERS * lanes);
                    let left = left.add(index * step);
                    add_products::<S, ROWS, REGISTERS, TRANSPOSED>(
                        simd,
                        &mut sums,
                        (left, left_stride),
                        right,
                    );
                }
                // The last steps may lead past the end of a matrix, where nothing is read.
                left = left.wrapping_add(unrolled * step);
                right = right.wrapping_add(unrolled * REGISTERS * lanes);
                summand += unrolled;
            }
            while summand < k {
                add_products::<S, ROWS, REGISTERS, TRANSPOSED>(
                    simd,
                    &mut sums,
                    (left, left_stride),
                    right,
                );
                left = left.wrapping_add(step);
                right = right.wrapping_add(REGISTERS * lanes);
                summand += 1;
            }
            for (row, sums) in sums.iter().enumerate() {
                for (register, sum) in sums.iter().enumerate() {
                    let to = out.add(row * out_row + register * lanes);
                    to.cast::<S::f32s>().write_unaligned(*sum);
                }
            }
        }
    }
}

/// Adds the products of one summand: of the numbers of its rows, from the first one's address on, with its
/// registers of columns.
///
/// # Safety
/// These numbers exist.
#[inline(always)]
unsafe fn add_products<
    S: Simd,
    const ROWS: usize,
    const REGISTERS: usize,
    const TRANSPOSED: bool,
>(
    simd: S,
    sums: &mut [[S::f32s; REGISTERS]; ROWS],
    (left, left_stride): (*const f32, usize),
    right: *const f32,
) {
    let mut columns = [simd.splat_f32s(0.0); REGISTERS];
    // SAFETY: the caller's; registers are read unaligned, and any bits are a number.
    unsafe {
        for (register, column) in columns.iter_mut().enumerate() {
            let from = right.add(register * S::F32_LANES).cast::<S::f32s>();
            *column = from.read_unaligned();
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat_f32s(match TRANSPOSED {
                true => *left.add(row),
                false => *left.add(row * left_stride),
            });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = simd.mul_add_e_f32s(factor, column, *sum);
            }
        }
    }
}
