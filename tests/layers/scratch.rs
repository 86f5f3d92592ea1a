//! The LSTM from scratch agrees with the packed layer, and both with PyTorch: outputs and
//! gradients.

use crate::support::{Fixture, assert_close};
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::kernels;
use birnn::rnn::scratch::{ScratchLstm, ScratchState, one_hot};
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{LSTM, LSTMConfig, RNN, VarBuilder, VarMap};
use std::collections::HashMap;

const CPU: Device = Device::Cpu;
const TOLERANCE: f32 = 1e-5;

const NAMES: [&str; 14] = [
    "W_xi", "W_hi", "b_i", "W_xf", "W_hf", "b_f", "W_xo", "W_ho", "b_o", "W_xc", "W_hc", "b_c",
    "W_hq", "b_q",
];

/// Deterministic numbers in a range where nothing is nearly linear.
fn numbers(shape: &[usize], salt: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |index: usize| ((index * 37 + salt * 101) % 97) as f32 / 48.5 - 1.0;
    Tensor::from_vec((0..count).map(value).collect(), shape, &CPU).unwrap()
}

#[test]
fn the_parameters_are_the_textbooks() {
    let (_, parameters) =
        Parameters::create(1, &CPU, |vb| ScratchLstm::new(28, 256, 28, vb)).unwrap();
    let mut names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
    let mut expected = NAMES.to_vec();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let dims = |name: &str| parameters.get(name).unwrap().dims().to_vec();
    assert_eq!(dims("W_xf"), [28, 256]);
    assert_eq!(dims("W_hc"), [256, 256]);
    assert_eq!(dims("b_o"), [256]);
    assert_eq!(dims("W_hq"), [256, 28]);
    // Drawn from normal(0, 0.01): the standard error of the mean is 4e-5, of the deviation 3e-5.
    let weights = parameters.get("W_hi").unwrap().flatten_all().unwrap();
    let weights: Vec<f32> = weights.to_vec1().unwrap();
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    let square = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
    assert!(mean.abs() < 2e-4, "{mean}");
    assert!((square.sqrt() - 0.01).abs() < 2e-4, "{}", square.sqrt());
    let bias: Vec<f32> = parameters.get("b_f").unwrap().to_vec1().unwrap();
    assert_eq!(bias, [0.0; 256]);
}

#[test]
fn a_loop_over_time_is_the_packed_layer() {
    let (scratch, parameters) =
        Parameters::create(1, &CPU, |vb| ScratchLstm::new(5, 6, 4, vb)).unwrap();
    for (salt, name) in NAMES.iter().enumerate() {
        let var = parameters.get(name).unwrap();
        var.set(&numbers(var.dims(), salt)).unwrap();
    }
    let inputs = one_hot(&[&[0, 3, 1], &[4, 4, 2]], 5, &CPU).unwrap();
    assert_eq!(inputs.dims(), [3, 2, 5]);
    let weights = numbers(&[6, 4], 50);
    let loss = |outputs: &Tensor| (outputs * &weights).unwrap().sum_all().unwrap();
    let begin = scratch.begin_state(2).unwrap();
    let (outputs, state) = scratch.forward(&inputs, &begin).unwrap();
    assert_eq!(outputs.dims(), [6, 4]);
    let gradients = loss(&outputs).backward().unwrap();

    for kernel in kernels::all(&Device::Cpu, DType::F32) {
        let packed = scratch.to_packed().unwrap();
        let builder = VarBuilder::from_tensors(packed.clone(), DType::F32, &CPU);
        let layer = Recurrent::new(&RecurrentConfig::new(CellType::Lstm, 5, 6), builder).unwrap();
        let layer = layer.with_kernel(kernel);
        let (hidden, last) = layer
            .forward(&inputs, None, None, Phase::Inference)
            .unwrap();
        let hidden = hidden.reshape((6, 6)).unwrap();
        let decoder = packed["decoder.weight"].t().unwrap();
        let same = hidden.matmul(&decoder).unwrap();
        let same = same.broadcast_add(&packed["decoder.bias"]).unwrap();
        assert_close(&outputs, &same, TOLERANCE, "outputs");
        assert_close(&state.h, &last.h.get(0).unwrap(), TOLERANCE, "h");
        assert_close(&state.c, &last.c.unwrap().get(0).unwrap(), TOLERANCE, "c");
        let of_packed = loss(&same).backward().unwrap();
        for name in NAMES {
            let var = parameters.get(name).unwrap();
            let (one, other) = (gradients.get(var).unwrap(), of_packed.get(var).unwrap());
            assert_close(one, other, TOLERANCE, name);
        }
    }
}

/// An LSTM of this type with the deterministic weights of the other tests.
fn of_type(dtype: DType) -> (VarMap, ScratchLstm) {
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, dtype, &CPU);
    let scratch = ScratchLstm::new(5, 6, 4, builder).unwrap();
    for (salt, name) in NAMES.iter().enumerate() {
        let data = variables.data().lock().unwrap();
        let values = numbers(data[*name].dims(), salt).to_dtype(dtype).unwrap();
        data[*name].set(&values).unwrap();
    }
    (variables, scratch)
}

/// The largest difference of two tensors, in double precision.
fn difference(one: &Tensor, other: &Tensor) -> f64 {
    assert_eq!(one.dims(), other.dims());
    let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let difference = (wide(one) - wide(other)).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

/// In double precision the outputs, states and gradients are those of Candle's own LSTM.
#[test]
fn double_precision_is_that_of_candle() {
    let (variables, scratch) = of_type(DType::F64);
    let inputs = one_hot(&[&[0, 3, 1], &[4, 4, 2]], 5, &CPU).unwrap();
    let begin = scratch.begin_state(2).unwrap();
    let (outputs, state) = scratch.forward(&inputs, &begin).unwrap();
    assert_eq!((outputs.dtype(), state.c.dtype()), (DType::F64, DType::F64));

    let packed = scratch.to_packed().unwrap();
    let builder = VarBuilder::from_tensors(packed.clone(), DType::F64, &CPU);
    let layer = LSTM::new(5, 6, LSTMConfig::default(), builder).unwrap();
    let batch_first = inputs
        .transpose(0, 1)
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    let states = layer.seq(&batch_first.contiguous().unwrap()).unwrap();
    let hidden: Vec<&Tensor> = states.iter().map(|state| state.h()).collect();
    let decoder = packed["decoder.weight"].t().unwrap();
    let expected = Tensor::cat(&hidden, 0).unwrap().matmul(&decoder).unwrap();
    let expected = expected.broadcast_add(&packed["decoder.bias"]).unwrap();
    assert!(difference(&outputs, &expected) < 1e-12);
    assert!(difference(&state.h, states[2].h()) < 1e-12);
    assert!(difference(&state.c, states[2].c()) < 1e-12);

    let weights = numbers(&[6, 4], 50).to_dtype(DType::F64).unwrap();
    let loss = |outputs: &Tensor| (outputs * &weights).unwrap().sum_all().unwrap();
    let gradients = loss(&outputs).backward().unwrap();
    let of_candle = loss(&expected).backward().unwrap();
    let variables = variables.data().lock().unwrap();
    for name in NAMES {
        let var = &variables[name];
        let (one, other) = (gradients.get(var).unwrap(), of_candle.get(var).unwrap());
        assert!(difference(one, other) < 1e-12, "{name}");
    }
    let again = ScratchLstm::from_packed(&packed).unwrap();
    let (same, _) = again.forward(&inputs, &begin).unwrap();
    assert_eq!(difference(&outputs, &same), 0.0);
}

/// Half precision is as near to double precision as its 11 or 8 bits allow.
#[test]
fn half_precisions_round_the_same_outputs() {
    let inputs = one_hot(&[&[0, 3, 1], &[4, 4, 2]], 5, &CPU).unwrap();
    let outputs = |dtype| {
        let (_, scratch) = of_type(dtype);
        let begin = scratch.begin_state(2).unwrap();
        let (outputs, _) = scratch.forward(&inputs, &begin).unwrap();
        assert_eq!(outputs.dtype(), dtype);
        outputs
    };
    let exact = outputs(DType::F64);
    for (dtype, bits) in [(DType::F32, 24), (DType::F16, 11), (DType::BF16, 8)] {
        let error = difference(&outputs(dtype), &exact);
        assert!(error < 8.0 * 0.5f64.powi(bits), "{dtype:?}: {error}");
    }
}

#[test]
fn weights_of_pytorch_give_its_outputs_and_gradients() {
    let fixture = Fixture::load("recurrent.safetensors");
    let get = |name: &str| fixture.get(&format!("lstm.l1.d1.bias.full/{name}"));
    let parameters = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map(|name| {
        let var = Var::from_tensor(&get(&format!("parameters/{name}"))).unwrap();
        (name, var)
    });
    let mut packed: HashMap<String, Tensor> = parameters
        .iter()
        .map(|(name, var)| (name.to_string(), var.as_tensor().clone()))
        .collect();
    // An identity output layer.
    packed.insert(
        "decoder.weight".to_owned(),
        Tensor::eye(4, DType::F32, &CPU).unwrap(),
    );
    packed.insert(
        "decoder.bias".to_owned(),
        Tensor::zeros(4, DType::F32, &CPU).unwrap(),
    );
    let scratch = ScratchLstm::from_packed(&packed).unwrap();
    let begin = ScratchState {
        h: get("h_0").get(0).unwrap(),
        c: get("c_0").get(0).unwrap(),
    };
    // PyTorch's input was batch first.
    let input = Var::from_tensor(&get("input")).unwrap();
    let (outputs, state) = scratch
        .forward(&input.transpose(0, 1).unwrap(), &begin)
        .unwrap();
    let outputs = outputs.reshape((5, 3, 4)).unwrap().transpose(0, 1).unwrap();
    let last = [("h_n", &state.h), ("c_n", &state.c)];
    assert_close(&outputs, &get("output"), TOLERANCE, "output");
    let weighted = |tensor: &Tensor, by: Tensor| (tensor * by).unwrap().sum_all().unwrap();
    let mut loss = weighted(&outputs, get("loss/output"));
    for (name, tensor) in last {
        let tensor = tensor.unsqueeze(0).unwrap();
        assert_close(&tensor, &get(name), TOLERANCE, name);
        loss = (loss + weighted(&tensor, get(&format!("loss/{name}")))).unwrap();
    }
    let gradients = loss.backward().unwrap();
    let check = |var: &Var, name: &str| {
        let expected = get(&format!("gradients/{name}"));
        assert_close(gradients.get(var).unwrap(), &expected, TOLERANCE, name);
    };
    check(&input, "input");
    for (name, var) in &parameters {
        check(var, &format!("parameters/{name}"));
    }
}

#[test]
fn packing_and_unpacking_gives_the_same_weights() {
    let (scratch, _) = Parameters::create(3, &CPU, |vb| ScratchLstm::new(5, 6, 4, vb)).unwrap();
    let packed = scratch.to_packed().unwrap();
    assert_eq!(packed["weight_ih_l0"].dims(), [24, 5]);
    assert_eq!(packed["bias_hh_l0"].dims(), [24]);
    let again = ScratchLstm::from_packed(&packed)
        .unwrap()
        .to_packed()
        .unwrap();
    for (name, tensor) in &packed {
        assert_close(tensor, &again[name], 0.0, name);
    }
    let refused = |packed: &HashMap<String, Tensor>| {
        let error = ScratchLstm::from_packed(packed).unwrap_err();
        error.to_string()
    };
    assert_eq!(refused(&HashMap::new()), "packed: there is no weight_ih_l0");
    let mut other = packed.clone();
    other.insert("weight_ih_l0".to_owned(), numbers(&[28, 5], 0));
    assert_eq!(
        refused(&other),
        "weight_ih_l0: shape [28, 5], expected [24, 5]"
    );
}

#[test]
fn ragged_ids_are_refused() {
    let message = |ids: &[&[u32]]| one_hot(ids, 5, &CPU).unwrap_err().to_string();
    let expected = "ids: rows of one length, of at least one id each, are needed";
    assert_eq!(message(&[]), expected);
    assert_eq!(message(&[&[]]), expected);
    assert_eq!(message(&[&[1], &[1, 2]]), expected);
    assert_eq!(message(&[&[5]]), "ids: 5, but the vocabulary has 5 entries");
}
