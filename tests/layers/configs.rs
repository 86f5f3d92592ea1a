//! `RecurrentConfig`: its forms, and what it refuses.

use birnn::batch::packing::Packing;
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, GateActivation, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor};
use std::sync::Arc;

const CPU: Device = Device::Cpu;

fn lstm() -> RecurrentConfig {
    RecurrentConfig::new(CellType::Lstm, 3, 4)
}

fn gru() -> RecurrentConfig {
    RecurrentConfig::new(CellType::Gru, 3, 4)
}

fn rnn() -> RecurrentConfig {
    RecurrentConfig::new(CellType::RnnTanh, 3, 4)
}

/// A config with every field other than by default, as far as they go together.
fn everything() -> [RecurrentConfig; 2] {
    let lstm = RecurrentConfig {
        num_layers: 2,
        bias: false,
        batch_first: true,
        dropout: 0.1,
        bidirectional: true,
        proj_size: 2,
        gate_activation: GateActivation::SteepHardSigmoid,
        layer_norm: true,
        locked_dropout: true,
        recurrent_dropout: 0.2,
        weight_drop: 0.3,
        zoneout: 0.4,
        zoneout_cell: 0.5,
        learn_initial_state: true,
        ..lstm()
    };
    let gru = RecurrentConfig {
        reset_after: false,
        gate_activation: GateActivation::HardSigmoid,
        ..gru()
    };
    [lstm, gru]
}

#[test]
fn methods_are_struct_updates() {
    let [all, reset_before] = everything();
    let by_methods = lstm()
        .num_layers(2)
        .bias(false)
        .batch_first(true)
        .dropout(0.1)
        .bidirectional(true)
        .proj_size(2)
        .gate_activation(GateActivation::SteepHardSigmoid)
        .layer_norm(true)
        .locked_dropout(true)
        .recurrent_dropout(0.2)
        .weight_drop(0.3)
        .zoneout(0.4)
        .zoneout_cell(0.5)
        .learn_initial_state(true);
    assert_eq!(by_methods, all);
    let by_methods = gru()
        .reset_after(false)
        .gate_activation(GateActivation::HardSigmoid);
    assert_eq!(by_methods, reset_before);
}

#[test]
fn json_comes_back() {
    for config in everything().into_iter().chain([lstm(), gru(), rnn()]) {
        let json = serde_json::to_string(&config).unwrap();
        let read: RecurrentConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(read, config, "{json}");
    }
    // What is left out has PyTorch's value; files of before the variants are such.
    let short = r#"{"cell_type": "lstm", "input_size": 3, "hidden_size": 4}"#;
    assert_eq!(
        serde_json::from_str::<RecurrentConfig>(short).unwrap(),
        lstm()
    );
    let [all, _] = everything();
    let json = serde_json::to_value(&all).unwrap();
    assert_eq!(json["gate_activation"], "steep-hard-sigmoid");
    assert_eq!(json.as_object().unwrap().len(), 18);
    let misspelt = r#"{"cell_type": "lstm", "input_size": 3, "hidden_size": 4, "zone_out": 0.1}"#;
    let error = serde_json::from_str::<RecurrentConfig>(misspelt).unwrap_err();
    assert!(
        error.to_string().starts_with("unknown field `zone_out`"),
        "{error}"
    );
}

/// The message of the config, which is that of the stack.
fn refused(config: &RecurrentConfig) -> String {
    let error = config.validate().unwrap_err().to_string();
    let stack = Parameters::create(1, &CPU, |vb| Recurrent::new(config, vb));
    assert_eq!(stack.unwrap_err().to_string(), error);
    error
}

#[test]
fn what_a_cell_does_not_have_is_refused() {
    let hard = GateActivation::HardSigmoid;
    for (config, message) in [
        (
            lstm().proj_size(4),
            "proj_size: 4, but it must be smaller than hidden_size, 4",
        ),
        (
            lstm().proj_size(5),
            "proj_size: 5, but it must be smaller than hidden_size, 4",
        ),
        (gru().proj_size(2), "proj_size: gru has no projection"),
        (rnn().proj_size(2), "proj_size: rnn has no projection"),
        (
            gru().zoneout_cell(0.1),
            "zoneout_cell: gru has no cell state",
        ),
        (
            rnn().zoneout_cell(0.1),
            "zoneout_cell: rnn has no cell state",
        ),
        (
            lstm().reset_after(false),
            "reset_after: lstm has no reset gate",
        ),
        (
            rnn().reset_after(false),
            "reset_after: rnn has no reset gate",
        ),
        (
            rnn().gate_activation(hard),
            "gate_activation: rnn has no gates",
        ),
        (
            gru().reset_after(false).layer_norm(true),
            "layer_norm: there is no layer normalisation with a reset gate before the product",
        ),
        (
            RecurrentConfig {
                hidden_size: 0,
                ..lstm()
            },
            "hidden_size: 0, but at least 1 is needed",
        ),
        (
            RecurrentConfig {
                input_size: 0,
                ..lstm()
            },
            "input_size: 0, but at least 1 is needed",
        ),
        (
            lstm().num_layers(0),
            "num_layers: 0, but at least 1 is needed",
        ),
    ] {
        assert_eq!(refused(&config), message);
    }
    for config in everything() {
        config.validate().unwrap();
    }
    let no_more = [
        lstm().proj_size(3),
        rnn().layer_norm(true),
        rnn().zoneout(0.5),
    ];
    for config in no_more {
        config.validate().unwrap();
    }
}

#[test]
fn probabilities_are_below_1() {
    type Setter = fn(RecurrentConfig, f64) -> RecurrentConfig;
    let setters: [(&str, Setter); 5] = [
        ("dropout", RecurrentConfig::dropout),
        ("recurrent_dropout", RecurrentConfig::recurrent_dropout),
        ("weight_drop", RecurrentConfig::weight_drop),
        ("zoneout", RecurrentConfig::zoneout),
        ("zoneout_cell", RecurrentConfig::zoneout_cell),
    ];
    for (name, set) in setters {
        for value in [f64::NAN, 1.0, -0.1, f64::INFINITY] {
            let message = format!("{name}: {value} is not a probability in [0, 1)");
            assert_eq!(refused(&set(lstm(), value)), message);
        }
        set(lstm(), 0.0).validate().unwrap();
        set(lstm(), 0.999).validate().unwrap();
    }
}

/// Training without a graph is for the cells of the kernels.
#[test]
fn training_without_a_graph_refuses_variants() {
    let packing = Arc::new(Packing::new(&[2, 1]).unwrap());
    let input = Tensor::ones((3, 3), DType::F32, &CPU).unwrap();
    let phase = Phase::Training { seed: 1, step: 1 };
    for config in [
        lstm().proj_size(2),
        lstm().layer_norm(true),
        lstm().locked_dropout(true),
        lstm().recurrent_dropout(0.1),
        lstm().weight_drop(0.1),
        lstm().zoneout(0.1),
        lstm().zoneout_cell(0.1),
        lstm().learn_initial_state(true),
        gru().reset_after(false),
        gru().gate_activation(GateActivation::HardSigmoid),
    ] {
        let (stack, _) = Parameters::create(1, &CPU, |vb| Recurrent::new(&config, vb)).unwrap();
        let error = match stack.forward_train(&input, &packing, None, phase) {
            Ok(_) => panic!("{config:?}"),
            Err(error) => error.to_string(),
        };
        let expected = "config: a variant of the cells, which is trained with `forward` and Candle's backward pass";
        assert_eq!(error, expected);
    }
    let (stack, _) = Parameters::create(1, &CPU, |vb| Recurrent::new(&lstm(), vb)).unwrap();
    assert!(stack.forward_train(&input, &packing, None, phase).is_ok());
}
