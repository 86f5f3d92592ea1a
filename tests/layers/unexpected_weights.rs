//! A file of a larger stack than the config says is refused, by the names that are too many and what to change.

use birnn::ops::dropout::Phase;
use birnn::parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use std::collections::{BTreeSet, HashMap};

const CPU: Device = Device::Cpu;

fn lstm() -> RecurrentConfig {
    RecurrentConfig::new(CellType::Lstm, 3, 4)
}

/// A builder over a file of a stack's parameters, under a prefix, among parameters of other modules.
fn file(config: &RecurrentConfig, prefix: &str) -> VarBuilder<'static> {
    let shapes = parameters::shapes(|vb| Recurrent::new(config, vb)).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &CPU).unwrap();
    let mut tensors: HashMap<String, Tensor> = shapes
        .iter()
        .map(|(name, shape)| (format!("{prefix}{name}"), zeros(shape)))
        .collect();
    tensors.insert("embedding.weight".to_owned(), zeros(&[2, 3]));
    tensors.insert("another.weight_ih_l7".to_owned(), zeros(&[2, 3]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    VarBuilder::from_buffered_safetensors(bytes, DType::F32, &CPU).unwrap()
}

fn message(config: &RecurrentConfig, vb: VarBuilder) -> String {
    Recurrent::new(config, vb).unwrap_err().to_string()
}

#[test]
fn each_part_that_is_too_much_is_named() {
    let no_bias = lstm().bias(false);
    for (file_config, config, names, stack, remedy) in [
        (
            no_bias.clone().num_layers(3),
            no_bias.clone(),
            "weight_ih_l1, weight_hh_l1",
            "1 layer, 1 direction and no biases",
            "num_layers",
        ),
        (
            no_bias.clone().num_layers(2).bidirectional(true),
            no_bias.clone().num_layers(2),
            "weight_ih_l0_reverse, weight_hh_l0_reverse, weight_ih_l1_reverse, weight_hh_l1_reverse",
            "2 layers, 1 direction and no biases",
            "bidirectional",
        ),
        (
            lstm(),
            no_bias.clone(),
            "bias_ih_l0, bias_hh_l0",
            "1 layer, 1 direction and no biases",
            "bias",
        ),
        (
            lstm().layer_norm(true),
            lstm(),
            "layer_norm_ih_l0.weight, layer_norm_hh_l0.weight, layer_norm_c_l0.weight",
            "1 layer, 1 direction and biases",
            "layer_norm",
        ),
        (
            lstm().learn_initial_state(true),
            lstm(),
            "h_0, c_0",
            "1 layer, 1 direction and biases",
            "learn_initial_state",
        ),
        (
            lstm().bidirectional(true).proj_size(2),
            lstm().bidirectional(true),
            "weight_hr_l0, weight_hr_l0_reverse",
            "1 layer, 2 directions and biases",
            "proj_size",
        ),
        (
            lstm().proj_size(2),
            RecurrentConfig::new(CellType::Gru, 3, 4),
            "weight_hr_l0",
            "1 layer, 1 direction and biases",
            "cell_type",
        ),
    ] {
        let expected = format!(
            "parameters: there is also {names}, which belongs to another architecture: this stack has {stack}; \
             change {remedy}"
        );
        assert_eq!(message(&config, file(&file_config, "")), expected);
    }
}

#[test]
fn a_prefix_is_part_of_the_names() {
    let two = lstm().bias(false).num_layers(2);
    let vb = file(&two, "encoder.");
    Recurrent::new(&two, vb.pp("encoder")).unwrap();
    let error = message(&lstm().bias(false), vb.pp("encoder"));
    assert!(
        error.contains("there is also encoder.weight_ih_l1, encoder.weight_hh_l1, which"),
        "{error}"
    );
}

/// From the least config to that of the file, one hint after the other.
#[test]
fn following_the_hints_leads_to_the_file() {
    let largest = lstm()
        .num_layers(3)
        .bidirectional(true)
        .proj_size(2)
        .layer_norm(true)
        .learn_initial_state(true);
    let least = |cell_type| RecurrentConfig::new(cell_type, 3, 4).bias(false);
    for (of_file, cell_type) in [
        (largest.clone(), CellType::Lstm),
        (largest, CellType::Gru),
        (lstm().num_layers(2), CellType::Lstm),
        (lstm().bidirectional(true).bias(false), CellType::Lstm),
    ] {
        let vb = file(&of_file, "");
        let mut config = least(cell_type);
        let mut hints = BTreeSet::new();
        while let Err(error) = Recurrent::new(&config, vb.clone()) {
            let error = error.to_string();
            let (_, remedies) = error.split_once("; change ").expect(&error);
            for remedy in remedies.split(", ") {
                match remedy {
                    // How many there are is for the next hint to say.
                    "num_layers" => config.num_layers += 1,
                    "bidirectional" => config.bidirectional = true,
                    "bias" => config.bias = true,
                    "proj_size" => config.proj_size = of_file.proj_size,
                    "layer_norm" => config.layer_norm = true,
                    "learn_initial_state" => config.learn_initial_state = true,
                    "cell_type" => config.cell_type = CellType::Lstm,
                    other => panic!("{other}: {error}"),
                }
                hints.insert((remedy.to_owned(), config.num_layers));
            }
            assert!(hints.len() < 20, "{hints:?}");
        }
        assert_eq!(config, of_file);
    }
}

/// Builders that make what they are asked for have no more than that.
#[test]
fn builders_of_zeros_and_variables_make_any_stack() {
    let larger = lstm().num_layers(2).bidirectional(true).proj_size(2);
    for config in [lstm(), larger.clone(), lstm().bias(false)] {
        let zeros = VarBuilder::zeros(DType::F32, &CPU);
        let stack = Recurrent::new(&config, zeros.pp("encoder")).unwrap();
        let input = Tensor::ones((2, 1, 3), DType::F32, &CPU).unwrap();
        let (output, _) = stack.forward(&input, None, None, Phase::Inference).unwrap();
        let largest: f32 = output
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar()
            .unwrap();
        assert_eq!(largest, 0.0);
    }

    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &CPU);
    Recurrent::new(&larger, vb.pp("encoder")).unwrap();
    Recurrent::new(&lstm(), vb.pp("decoder")).unwrap();
    Recurrent::new(&lstm(), vb.clone()).unwrap();
    // 2 layers, 2 directions, 5 parameters each; then twice 4.
    assert_eq!(variables.all_vars().len(), 28);
    // The same again has the same variables; another one is refused where the variables are.
    Recurrent::new(&larger, vb.pp("encoder")).unwrap();
    assert_eq!(variables.all_vars().len(), 28);
    let error = message(&lstm(), vb.pp("encoder"));
    assert!(error.contains("encoder.weight_hh_l0_reverse"), "{error}");
    assert!(
        error.ends_with("change bidirectional, num_layers, proj_size"),
        "{error}"
    );
    assert_eq!(variables.all_vars().len(), 28);
}

/// Too little is an error, too, of the first name that is not there.
#[test]
fn what_is_missing_is_named() {
    let vb = file(&lstm(), "encoder.");
    for (config, name) in [
        (lstm().num_layers(2), "weight_ih_l1"),
        (lstm().bidirectional(true), "weight_ih_l0_reverse"),
        (lstm().layer_norm(true), "layer_norm_ih_l0.weight"),
        (lstm().learn_initial_state(true), "h_0"),
    ] {
        let error = message(&config, vb.pp("encoder"));
        assert!(error.contains(&format!("encoder.{name}")), "{error}");
    }
}
