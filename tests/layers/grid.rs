//! Every stack that PyTorch has, in every type: cell, layers, directions, biases, projection, lengths (one of them 0)
//! and initial state, against its values in double precision.

use crate::recorded::{Case, Errors, LENGTHS, Recorded, cell_name, config, kernels_of};
use birnn::rnn::{CellType, RecurrentConfig};
use candle_core::DType;
use std::collections::{BTreeMap, BTreeSet};

/// The stacks by the first parts of their cases' names.
fn stacks() -> Vec<(String, RecurrentConfig)> {
    let cells = CellType::ALL.map(|cell_type| (cell_name(cell_type).to_owned(), config(cell_type)));
    let projected = ("lstm_proj".to_owned(), config(CellType::Lstm).proj_size(2));
    let mut stacks = Vec::new();
    for (cell, config) in cells.into_iter().chain([projected]) {
        for layers in [1, 2] {
            for bidirectional in [false, true] {
                for (bias, name) in [(true, "bias"), (false, "nobias")] {
                    let config = config
                        .clone()
                        .num_layers(layers)
                        .bidirectional(bidirectional)
                        .bias(bias);
                    let directions = config.directions();
                    stacks.push((format!("{cell}.l{layers}.d{directions}.{name}"), config));
                }
            }
        }
    }
    stacks
}

/// The largest errors on all kernels, by cell.
fn largest_errors(dtype: DType) -> BTreeMap<&'static str, Errors> {
    let recorded = Recorded::load("stacks.safetensors");
    let mut largest: BTreeMap<&str, Errors> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (stack, config) in stacks() {
        for (shape, lengths) in LENGTHS {
            for (from_state, begin) in [(true, "from_state"), (false, "from_zeros")] {
                let name = format!("{stack}.{shape}.{begin}");
                for kernel in kernels_of(dtype) {
                    let errors = recorded.errors(&Case {
                        name: &name,
                        config: &config,
                        lengths,
                        from_state,
                        dtype,
                        kernel,
                    });
                    let of_cell = largest
                        .entry(cell_name(config.cell_type))
                        .or_insert(Errors::NONE);
                    *of_cell = of_cell.clone().or(errors);
                }
                names.insert(name);
            }
        }
    }
    assert_eq!(names.len(), 160);
    for (cell, errors) in &largest {
        println!("{dtype:?} {cell}: {errors:?}");
    }
    largest
}

/// All within one tolerance.
#[track_caller]
fn assert_all_within(dtype: DType, tolerance: f64) {
    for errors in largest_errors(dtype).values() {
        errors.assert_within(tolerance);
    }
}

/// Measured: 2e-15.
#[test]
fn double_precision() {
    assert_all_within(DType::F64, 1e-12);
}

/// Measured: results 6e-7, gradients 1.4e-6.
#[test]
fn single_precision() {
    assert_all_within(DType::F32, 1e-5);
}

/// Measured: results 2e-3, gradients 6.6e-3: 4 and 13 rounding errors of 5e-4, as every step rounds its sums, gates and
/// state.
#[test]
fn half_precision() {
    for errors in largest_errors(DType::F16).values() {
        errors.results.assert_within(3e-3);
        errors.gradients.assert_within(1e-2);
    }
}

/// Measured: results 2.3e-2, gradients 4.9e-2: 6 and 12 rounding errors of 4e-3. The gradients of a rectifier jump
/// where a sum is 0: with two sums that are 5e-4 and 9e-4 from there, they are wrong by up to 0.19.
#[test]
fn brain_floats() {
    for (cell, errors) in largest_errors(DType::BF16) {
        errors.results.assert_within(4e-2);
        let tolerance = if cell == "rnn_relu" { 0.25 } else { 7e-2 };
        errors.gradients.assert_within(tolerance);
    }
}
