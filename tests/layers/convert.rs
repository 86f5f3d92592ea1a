//! Weights of Keras, ONNX and cuDNN: the converted layer computes what the library has computed, and the weights are
//! converted back to the same numbers.
//!
//! The recorded values and the seeded script that produced them are in `tests/fixtures/libraries`.

use crate::support::{Fixture, assert_close, values};
use birnn::ops::dropout::Phase;
use birnn::parameters::builder;
use birnn::rnn::convert::{
    KerasCell, OnnxWeights, from_cudnn, from_keras, from_onnx, to_cudnn, to_keras, to_onnx,
};
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;

const CPU: Device = Device::Cpu;
const TOLERANCE: f32 = 1e-6;
/// The sizes of the recorded layers.
const INPUTS: usize = 3;
const UNITS: usize = 4;

/// A recorded case: `lstm.d2.bias`.
struct Case {
    prefix: String,
    config: RecurrentConfig,
}

/// The cells, in one and two directions, with and without biases.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, cell_type) in [
        ("rnn", CellType::RnnTanh),
        ("gru", CellType::Gru),
        ("lstm", CellType::Lstm),
    ] {
        for bidirectional in [false, true] {
            for bias in [true, false] {
                let config = RecurrentConfig {
                    bidirectional,
                    bias,
                    ..RecurrentConfig::new(cell_type, INPUTS, UNITS)
                };
                let kind = if bias { "bias" } else { "nobias" };
                cases.push(Case {
                    prefix: format!("{name}.d{}.{kind}/", config.directions()),
                    config,
                });
            }
        }
    }
    cases
}

fn run(
    config: &RecurrentConfig,
    tensors: &BTreeMap<String, Tensor>,
    input: &Tensor,
) -> (Tensor, State) {
    let names = birnn::parameters::shapes(|vb| Recurrent::new(config, vb)).unwrap();
    assert!(
        names.keys().eq(tensors.keys()),
        "nothing but the parameters"
    );
    let layer = Recurrent::new(config, builder(tensors.clone(), &CPU)).unwrap();
    layer.forward(input, None, None, Phase::Inference).unwrap()
}

#[track_caller]
fn assert_same(found: &Tensor, expected: &Tensor, context: &str) {
    assert_eq!(found.dims(), expected.dims(), "{context}: shape");
    let bits = |tensor| -> Vec<u32> { values(tensor).into_iter().map(f32::to_bits).collect() };
    assert_eq!(bits(found), bits(expected), "{context}");
}

fn keras_cell(cell_type: CellType) -> KerasCell {
    match cell_type {
        CellType::Gru => KerasCell::Gru { reset_after: true },
        CellType::Lstm => KerasCell::Lstm,
        _ => KerasCell::SimpleRnn,
    }
}

/// The recorded list of a Keras layer.
fn keras_weights(fixture: &Fixture, prefix: &str) -> Vec<Tensor> {
    let count = fixture.names_under(&format!("{prefix}weights.")).len();
    let names = (0..count).map(|index| format!("{prefix}weights.{index}"));
    names.map(|name| fixture.get(&name)).collect()
}

#[test]
fn layers_of_keras() {
    let fixture = Fixture::load("libraries/keras.safetensors");
    for Case { prefix, config } in cases() {
        let config = RecurrentConfig {
            batch_first: true,
            ..config
        };
        let cell = keras_cell(config.cell_type);
        let weights = keras_weights(&fixture, &prefix);
        let tensors = from_keras(cell, &weights, 0).unwrap();
        let (output, state) = run(&config, &tensors, &fixture.get(&format!("{prefix}input")));
        let expected = fixture.get(&format!("{prefix}output"));
        assert_close(&output, &expected, TOLERANCE, &format!("{prefix}output"));
        // By direction: h, and c of an LSTM.
        let parts = if config.cell_type.has_cell() { 2 } else { 1 };
        for direction in 0..config.directions() {
            for (part, state) in [Some(&state.h), state.c.as_ref()]
                .iter()
                .flatten()
                .enumerate()
            {
                let name = format!("{prefix}states.{}", direction * parts + part);
                let found = state.get(direction).unwrap();
                assert_close(&found, &fixture.get(&name), TOLERANCE, &name);
            }
        }

        let again = to_keras(cell, &tensors, 0).unwrap();
        assert_eq!(again.len(), weights.len());
        for (again, weight) in again.iter().zip(&weights) {
            assert_same(again, weight, &prefix);
        }
    }
}

/// The recurrence of Keras' `reset_after=False`, step by step, on the converted weights.
#[test]
fn keras_gru_with_the_reset_gate_before_the_product() {
    let fixture = Fixture::load("libraries/keras.safetensors");
    for kind in ["bias", "nobias"] {
        let prefix = format!("gru_reset_before.d1.{kind}/");
        let weights = keras_weights(&fixture, &prefix);
        let cell = KerasCell::Gru { reset_after: false };
        let tensors = from_keras(cell, &weights, 0).unwrap();
        let input = fixture.get(&format!("{prefix}input"));
        let expected = fixture.get(&format!("{prefix}output"));
        let (batch, steps, _) = input.dims3().unwrap();
        let mut h = Tensor::zeros((batch, UNITS), DType::F32, &CPU).unwrap();
        for step in 0..steps {
            let x = input.narrow(1, step, 1).unwrap().squeeze(1).unwrap();
            h = reset_before(&tensors, &x, &h);
            let expected = expected.narrow(1, step, 1).unwrap().squeeze(1).unwrap();
            assert_close(&h, &expected, TOLERANCE, &format!("{prefix}step {step}"));
        }
        for (again, weight) in to_keras(cell, &tensors, 0).unwrap().iter().zip(&weights) {
            assert_same(again, weight, &prefix);
        }
    }
}

fn reset_before(tensors: &BTreeMap<String, Tensor>, x: &Tensor, h: &Tensor) -> Tensor {
    let gate = |gate: usize, kind: &str, input: &Tensor| {
        let rows = |tensor: &Tensor| tensor.narrow(0, gate * UNITS, UNITS).unwrap();
        let weight = rows(&tensors[&format!("weight_{kind}_l0")]);
        let product = input.matmul(&weight.t().unwrap()).unwrap();
        match tensors.get(&format!("bias_{kind}_l0")) {
            Some(bias) => product.broadcast_add(&rows(bias)).unwrap(),
            None => product,
        }
    };
    let sum = |number: usize, h: &Tensor| (gate(number, "ih", x) + gate(number, "hh", h)).unwrap();
    let r = candle_nn::ops::sigmoid(&sum(0, h)).unwrap();
    let z = candle_nn::ops::sigmoid(&sum(1, h)).unwrap();
    let n = sum(2, &(r * h).unwrap()).tanh().unwrap();
    ((&n + (&z * h).unwrap()).unwrap() - (&z * &n).unwrap()).unwrap()
}

#[test]
fn operators_of_onnx() {
    let fixture = Fixture::load("libraries/onnx.safetensors");
    for Case { prefix, config } in cases() {
        let get = |name: &str| fixture.get(&format!("{prefix}{name}"));
        let weights = OnnxWeights {
            w: get("W"),
            r: get("R"),
            b: config.bias.then(|| get("B")),
            p: None,
        };
        let tensors = from_onnx(config.cell_type, &weights, 0).unwrap();
        let (output, state) = run(&config, &tensors, &get("X"));
        let (steps, batch, _) = output.dims3().unwrap();
        // [T, D, B, H] to [T, B, D*H].
        let expected = get("Y").permute((0, 2, 1, 3)).unwrap();
        let expected = expected.reshape((steps, batch, ())).unwrap();
        assert_close(&output, &expected, TOLERANCE, &format!("{prefix}Y"));
        assert_close(&state.h, &get("Y_h"), TOLERANCE, &format!("{prefix}Y_h"));
        if let Some(c) = &state.c {
            assert_close(c, &get("Y_c"), TOLERANCE, &format!("{prefix}Y_c"));
        }

        let again = to_onnx(config.cell_type, &tensors, 0).unwrap();
        assert_same(&again.w, &weights.w, &prefix);
        assert_same(&again.r, &weights.r, &prefix);
        assert_eq!(again.b.is_some(), config.bias);
        for (again, b) in again.b.iter().zip(&weights.b) {
            assert_same(again, b, &prefix);
        }
    }
}

/// `linear_before_reset=0`: the same conversion, another recurrence.
#[test]
fn onnx_gru_with_the_reset_gate_before_the_product() {
    let fixture = Fixture::load("libraries/onnx.safetensors");
    for kind in ["bias", "nobias"] {
        let get = |name: &str| fixture.get(&format!("gru_reset_before.d1.{kind}/{name}"));
        let weights = OnnxWeights {
            w: get("W"),
            r: get("R"),
            b: (kind == "bias").then(|| get("B")),
            p: None,
        };
        let tensors = from_onnx(CellType::Gru, &weights, 0).unwrap();
        let (input, expected) = (get("X"), get("Y"));
        let mut h = get("Y_h").get(0).unwrap().zeros_like().unwrap();
        for step in 0..input.dim(0).unwrap() {
            h = reset_before(&tensors, &input.get(step).unwrap(), &h);
            let expected = expected.get(step).unwrap().get(0).unwrap();
            assert_close(&h, &expected, TOLERANCE, &format!("{kind}, step {step}"));
        }
    }
}

#[test]
fn buffers_of_cudnn() {
    let fixture = Fixture::load("libraries/cudnn.safetensors");
    for Case { prefix, config } in cases() {
        let config = RecurrentConfig {
            num_layers: 2,
            ..config
        };
        let flat = fixture.get(&format!("{prefix}flat"));
        let tensors = from_cudnn(&config, &flat).unwrap();
        let names = fixture.names_under(&format!("{prefix}parameters/"));
        assert!(names.iter().eq(tensors.keys()));
        for (name, tensor) in &tensors {
            let name = format!("{prefix}parameters/{name}");
            assert_same(tensor, &fixture.get(&name), &name);
        }
        assert_same(&to_cudnn(&config, &tensors).unwrap(), &flat, &prefix);
    }
}

/// The layers of a stack are converted one by one.
#[test]
fn a_layer_of_a_stack() {
    let fixture = Fixture::load("libraries/cudnn.safetensors");
    let config = RecurrentConfig {
        num_layers: 2,
        bidirectional: true,
        ..RecurrentConfig::new(CellType::Lstm, INPUTS, UNITS)
    };
    let tensors = from_cudnn(&config, &fixture.get("lstm.d2.bias/flat")).unwrap();
    let mut again = BTreeMap::new();
    for layer in 0..2 {
        let onnx = to_onnx(CellType::Lstm, &tensors, layer).unwrap();
        again.extend(from_onnx(CellType::Lstm, &onnx, layer).unwrap());
        let keras = to_keras(KerasCell::Lstm, &tensors, layer).unwrap();
        assert_eq!(keras[0].dims(), [if layer == 0 { 3 } else { 8 }, 16]);
        // The one bias is the sum of the two.
        let converted = from_keras(KerasCell::Lstm, &keras, layer).unwrap();
        let name = |kind: &str| format!("bias_{kind}_l{layer}_reverse");
        let sum = (&tensors[&name("ih")] + &tensors[&name("hh")]).unwrap();
        assert_same(&converted[&name("ih")], &sum, "the sum");
        assert!(
            values(&converted[&name("hh")])
                .iter()
                .all(|&value| value == 0.0)
        );
    }
    assert!(again.keys().eq(tensors.keys()));
    for (name, tensor) in &tensors {
        assert_same(&again[name], tensor, name);
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &CPU).unwrap()
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: birnn::Result<T>, message: &str) {
    assert_eq!(result.unwrap_err().to_string(), message);
}

#[test]
fn wrong_lists_of_keras_name_the_weight() {
    let from = |cell, shapes: &[&[usize]]| {
        let weights: Vec<Tensor> = shapes.iter().map(|shape| zeros(shape)).collect();
        from_keras(cell, &weights, 0)
    };
    let lstm = |shapes: &[&[usize]]| from(KerasCell::Lstm, shapes);
    assert_refused(
        lstm(&[&[3, 16]]),
        "weights: 1 of them, expected kernel, recurrent_kernel and possibly bias, twice if bidirectional",
    );
    assert_refused(
        lstm(&[&[3, 12], &[4, 16]]),
        "kernel: shape [3, 12], expected [3, 16]",
    );
    assert_refused(
        lstm(&[&[3, 16], &[4, 15]]),
        "recurrent_kernel: shape [4, 15], expected [4, 16]",
    );
    assert_refused(
        lstm(&[&[3, 16], &[16]]),
        "recurrent_kernel: shape [16], expected 2 dimensions, none of them 0",
    );
    assert_refused(
        lstm(&[&[0, 16], &[4, 16]]),
        "kernel: shape [0, 16], expected 2 dimensions, none of them 0",
    );
    assert_refused(
        lstm(&[&[3, 16], &[4, 16], &[2, 16]]),
        "bias: shape [2, 16], expected [16]",
    );
    // Another place of the reset gate is another recurrence.
    for (reset_after, bias, expected) in [(true, &[12][..], "[2, 12]"), (false, &[2, 12], "[12]")] {
        assert_refused(
            from(KerasCell::Gru { reset_after }, &[&[3, 12], &[4, 12], bias]),
            &format!("bias: shape {bias:?}, expected {expected}"),
        );
    }
    assert_refused(
        lstm(&[&[3, 16], &[4, 16], &[2, 16], &[4, 16]]),
        "backward kernel: shape [2, 16], expected [3, 16]",
    );
    assert_refused(
        lstm(&[&[3, 16], &[4, 16], &[3, 8], &[2, 8]]),
        "backward kernel: shape [3, 8], expected [3, 16]",
    );
}

#[test]
fn wrong_inputs_of_onnx_are_named() {
    let from = |w: &[usize], r: &[usize], b: Option<&[usize]>, p: Option<&[usize]>| {
        let weights = OnnxWeights {
            w: zeros(w),
            r: zeros(r),
            b: b.map(zeros),
            p: p.map(zeros),
        };
        from_onnx(CellType::Lstm, &weights, 0)
    };
    let (w, r) = ([1, 16, 3], [1, 16, 4]);
    assert_refused(
        from(&w, &r, None, Some(&[1, 12])),
        "P: peepholes, which this library does not have; train the layer without them",
    );
    assert_refused(
        from(&[3, 16, 3], &r, None, None),
        "W: shape [3, 16, 3], but a layer has one or two directions",
    );
    assert_refused(
        from(&[1, 12, 3], &r, None, None),
        "W: shape [1, 12, 3], expected [1, 16, 3]",
    );
    assert_refused(
        from(&w, &[2, 16, 4], None, None),
        "R: shape [2, 16, 4], expected [1, 16, 4]",
    );
    assert_refused(
        from(&w, &[16, 4], None, None),
        "R: shape [16, 4], expected 3 dimensions, none of them 0",
    );
    assert_refused(
        from(&w, &r, Some(&[1, 16]), None),
        "B: shape [1, 16], expected [1, 32]",
    );
}

#[test]
fn wrong_buffers_and_tensors_are_named() {
    let config = RecurrentConfig::new(CellType::Gru, 3, 4);
    let count = 12 * (3 + 4 + 2);
    assert_refused(
        from_cudnn(&config, &zeros(&[count + 1])),
        "flat: shape [109], expected [108]",
    );
    assert_refused(
        from_cudnn(&config, &zeros(&[count, 1])),
        "flat: shape [108, 1], expected [108]",
    );
    for (layers, units) in [(0, 4), (usize::MAX, 4), (1, 0), (1, usize::MAX)] {
        let config = RecurrentConfig {
            num_layers: layers,
            ..RecurrentConfig::new(CellType::RnnTanh, 3, units)
        };
        assert_refused(
            from_cudnn(&config, &zeros(&[0])),
            "flat: shape [0], expected a stack of another config",
        );
        assert_refused(
            to_cudnn(&config, &BTreeMap::new()),
            "config: a size is 0 or too large",
        );
    }

    let mut tensors = from_cudnn(&config, &zeros(&[count])).unwrap();
    let both = RecurrentConfig {
        bidirectional: true,
        ..config.clone()
    };
    assert_refused(
        to_cudnn(&both, &tensors),
        "tensors: layer 0 has 1 directions and biases, but the config has 2 and bias = true",
    );
    assert_refused(
        to_onnx(CellType::Gru, &tensors, 1).map(|_| ()),
        "tensors: there is no weight_ih_l1",
    );
    assert_refused(
        to_keras(KerasCell::Lstm, &tensors, 0),
        "weight_ih: shape [12, 3], expected [16, 3]",
    );
    tensors.insert("weight_hh_l0_reverse".to_owned(), zeros(&[12, 4]));
    assert_refused(
        to_onnx(CellType::Gru, &tensors, 0).map(|_| ()),
        "tensors: there is no weight_ih_l0_reverse",
    );
    tensors.remove("weight_hh_l0_reverse");
    tensors.remove("bias_hh_l0");
    assert_refused(
        to_onnx(CellType::Gru, &tensors, 0).map(|_| ()),
        "tensors: there is no bias_hh_l0",
    );
}
