//! Every kernel compared with reference values from PyTorch: outputs, states and all gradients.
//!
//! The reference values and the seeded script that produced them are in `tests/fixtures`.

use crate::support::{Fixture, assert_close};
use birnn::ops::dropout::Phase;
use birnn::rnn::kernels::{self, Kernel};
use birnn::rnn::{CellType, GruCell, LstmCell, Recurrent, RecurrentConfig, RnnCell, State};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::{BTreeMap, HashMap};

/// PyTorch's own error against double precision is 3e-7 for outputs and 2e-6 for gradients.
const OUTPUT_TOLERANCE: f32 = 2e-6;
const GRADIENT_TOLERANCE: f32 = 1e-5;

/// Runs the case under `prefix` on `kernel` and compares all reference values.
fn check_case(
    fixture: &Fixture,
    prefix: &str,
    config: &RecurrentConfig,
    kernel: &'static dyn Kernel,
) {
    let context = format!("{prefix} on {}", kernel.name());
    let get = |name: &str| fixture.get(&format!("{prefix}/{name}"));
    let var = |name: &str| Var::from_tensor(&get(name)).unwrap();

    let parameters: BTreeMap<String, Var> = fixture
        .names_under(&format!("{prefix}/parameters/"))
        .into_iter()
        .map(|name| (name.clone(), var(&format!("parameters/{name}"))))
        .collect();
    let tensors: HashMap<String, Tensor> = parameters
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect();
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let stack = Recurrent::new(config, builder).unwrap().with_kernel(kernel);

    let has_cell = config.cell_type == CellType::Lstm;
    let (input, h_0) = (var("input"), var("h_0"));
    let c_0 = has_cell.then(|| var("c_0"));
    let lengths: Vec<i64> = get("lengths").to_vec1().unwrap();
    let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
    let initial = State {
        h: h_0.as_tensor().clone(),
        c: c_0.as_ref().map(|c| c.as_tensor().clone()),
    };
    let (output, state) = stack
        .forward(&input, Some(&lengths), Some(&initial), Phase::Inference)
        .unwrap();
    assert_close(
        &output,
        &get("output"),
        OUTPUT_TOLERANCE,
        &format!("{context}: output"),
    );
    assert_close(
        &state.h,
        &get("h_n"),
        OUTPUT_TOLERANCE,
        &format!("{context}: h_n"),
    );

    let weighted = |tensor: &Tensor, name| (tensor * get(name)).unwrap().sum_all().unwrap();
    let mut loss = (weighted(&output, "loss/output") + weighted(&state.h, "loss/h_n")).unwrap();
    if let Some(c) = &state.c {
        assert_close(c, &get("c_n"), OUTPUT_TOLERANCE, &format!("{context}: c_n"));
        loss = (loss + weighted(c, "loss/c_n")).unwrap();
    }
    let gradients = loss.backward().unwrap();
    let check = |var: &Var, name: &str| {
        let gradient = gradients.get(var).expect(name);
        let expected = get(&format!("gradients/{name}"));
        let context = format!("{context}: gradient of {name}");
        assert_close(gradient, &expected, GRADIENT_TOLERANCE, &context);
    };
    check(&input, "input");
    check(&h_0, "h_0");
    if let Some(c_0) = &c_0 {
        check(c_0, "c_0");
    }
    for (name, var) in &parameters {
        check(var, &format!("parameters/{name}"));
    }
}

fn mode_name(cell_type: CellType) -> &'static str {
    match cell_type {
        CellType::RnnTanh => "rnn_tanh",
        CellType::RnnRelu => "rnn_relu",
        CellType::Gru => "gru",
        CellType::Lstm => "lstm",
    }
}

fn check_mode(cell_type: CellType) {
    let fixture = Fixture::load("recurrent.safetensors");
    let mut cases = 0;
    for kernel in kernels::all(&Device::Cpu, DType::F32) {
        for num_layers in 1..=3 {
            for bidirectional in [false, true] {
                for bias in [true, false] {
                    for lengths in ["full", "ragged"] {
                        let config = RecurrentConfig {
                            num_layers,
                            bidirectional,
                            bias,
                            batch_first: true,
                            ..RecurrentConfig::new(cell_type, 3, 4)
                        };
                        let prefix = format!(
                            "{}.l{num_layers}.d{}.{}.{lengths}",
                            mode_name(cell_type),
                            config.directions(),
                            if bias { "bias" } else { "nobias" },
                        );
                        check_case(&fixture, &prefix, &config, kernel);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 24 * kernels::all(&Device::Cpu, DType::F32).len());
}

#[test]
fn rnn_tanh() {
    check_mode(CellType::RnnTanh);
}

#[test]
fn rnn_relu() {
    check_mode(CellType::RnnRelu);
}

#[test]
fn gru() {
    check_mode(CellType::Gru);
}

#[test]
fn lstm() {
    check_mode(CellType::Lstm);
}

/// Sizes that are not multiples of a vector register: 19 hidden units, 13 steps, 9 rows.
#[test]
fn odd_sizes() {
    let fixture = Fixture::load("recurrent.safetensors");
    for kernel in kernels::all(&Device::Cpu, DType::F32) {
        for cell_type in [CellType::Gru, CellType::Lstm] {
            let config = RecurrentConfig {
                num_layers: 2,
                bidirectional: true,
                batch_first: true,
                ..RecurrentConfig::new(cell_type, 7, 19)
            };
            let prefix = format!("{}.wide", mode_name(cell_type));
            check_case(&fixture, &prefix, &config, kernel);
        }
    }
}

/// A cell unrolled over the steps of (2, 3, 4), step by step.
#[test]
fn cells() {
    let fixture = Fixture::load("cells.safetensors");
    let zeros = Tensor::zeros((3, 3), DType::F32, &Device::Cpu).unwrap();
    for name in ["rnn_tanh", "rnn_relu", "gru", "lstm"] {
        let builder = fixture.builder(&format!("{name}/parameters/"));
        let input = fixture.get(&format!("{name}/input"));
        let expected_h = fixture.get(&format!("{name}/h"));
        let (mut h, mut c) = (zeros.clone(), zeros.clone());
        for step in 0..2 {
            let x = input.get(step).unwrap();
            match name {
                "lstm" => {
                    let cell = LstmCell::new(4, 3, true, builder.clone()).unwrap();
                    (h, c) = cell.forward(&x, &h, &c).unwrap();
                    let expected = fixture.get("lstm/c").get(step).unwrap();
                    assert_close(&c, &expected, OUTPUT_TOLERANCE, "lstm cell: c");
                }
                "gru" => {
                    let cell = GruCell::new(4, 3, true, builder.clone()).unwrap();
                    h = cell.forward(&x, &h).unwrap();
                }
                _ => {
                    let rectifier = name == "rnn_relu";
                    let cell = RnnCell::new(4, 3, true, rectifier, builder.clone()).unwrap();
                    h = cell.forward(&x, &h).unwrap();
                }
            }
            let expected = expected_h.get(step).unwrap();
            assert_close(&h, &expected, OUTPUT_TOLERANCE, &format!("{name} cell: h"));
        }
    }
}
