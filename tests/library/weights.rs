//! Weights that other programs have written: read, renamed, compared with a model.
//!
//! The files of PyTorch and the seeded script that wrote them are in `tests/fixtures/libraries`.

use crate::support::{Fixture, fixture_path, values};
use birnn::ops::dropout::Phase;
use birnn::parameters::{Parameters, Weights, shapes};
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const CPU: Device = Device::Cpu;

fn file(name: &str) -> PathBuf {
    fixture_path("libraries").join(name)
}

/// The message of a refused file, without its folder.
#[track_caller]
fn refused(name: &str) -> String {
    let message = Weights::load(file(name), &CPU).unwrap_err().to_string();
    message.replace(&format!("{}/", fixture_path("libraries").display()), "")
}

#[track_caller]
fn assert_are_of_the_lstm(weights: &Weights, fixture: &Fixture, prefix: &str) {
    assert_eq!(weights.names().count(), 4);
    for name in fixture.names_under("lstm/") {
        let found = weights.get(&format!("{prefix}{name}")).unwrap();
        let expected = fixture.get(&format!("lstm/{name}"));
        assert_eq!(found.dims(), expected.dims());
        assert_eq!(values(found), values(&expected), "{name}");
    }
}

#[test]
fn state_dicts_of_pytorch() {
    let fixture = Fixture::load("libraries/pytorch.safetensors");
    for name in ["state_dict.pt", "protocol_4.pt"] {
        let weights = Weights::load(file(name), &CPU).unwrap();
        assert_are_of_the_lstm(&weights, &fixture, "");
        assert_eq!(weights.origin(), file(name).display().to_string());
    }
    let mut weights = Weights::load(file("checkpoint.pt"), &CPU).unwrap();
    assert_are_of_the_lstm(&weights, &fixture, "module.");
    let origin = format!(
        "{}, key state_dict (without epoch, optimizer)",
        file("checkpoint.pt").display()
    );
    assert_eq!(weights.origin(), origin);
    assert_eq!(weights.shape("module.weight_ih_l0"), Some(&[12, 2][..]));
    assert_eq!(weights.shape("weight_ih_l0"), None);

    weights.rename("module.", "").unwrap();
    let config = RecurrentConfig::new(CellType::Lstm, 2, 3);
    let expected = shapes(|vb| Recurrent::new(&config, vb)).unwrap();
    weights.check(&expected).unwrap();
    let lstm = Recurrent::new(&config, weights.builder(DType::F32)).unwrap();
    let input = Tensor::ones((4, 1, 2), DType::F32, &CPU).unwrap();
    lstm.forward(&input, None, None, Phase::Inference).unwrap();
}

#[test]
fn tensors_of_every_type_and_arrangement() {
    let fixture = Fixture::load("libraries/pytorch.safetensors");
    let weights = Weights::load(file("kinds.pt"), &CPU).unwrap();
    assert!(weights.names().eq(fixture.names_under("kinds/")));
    for name in weights.names() {
        let (found, expected) = (
            weights.get(name).unwrap(),
            fixture.get(&format!("kinds/{name}")),
        );
        assert_eq!(found.dtype(), expected.dtype(), "{name}");
        assert_eq!(found.dims(), expected.dims(), "{name}");
        let doubles = |tensor: &Tensor| -> Vec<f64> {
            let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            flat.to_vec1().unwrap()
        };
        assert_eq!(doubles(found), doubles(&expected), "{name}");
    }
}

#[test]
fn files_without_one_state_dict_are_refused() {
    let again = "save it again in Python: torch.save(model.state_dict(), path)";
    let plain = "save it in Python as a plain tensor: tensor.float().contiguous()";
    assert_eq!(
        refused("whole_module.pt"),
        format!("whole_module.pt: this is a whole object, not its state dict; {again}")
    );
    assert_eq!(
        refused("no_tensors.pt"),
        format!("no_tensors.pt: there are no tensors in it; {again}")
    );
    assert_eq!(
        refused("repeated.pt"),
        format!("repeated.pt: weight: it repeats its 12 stored numbers; {plain}")
    );
    assert_eq!(
        refused("complex.pt"),
        format!("complex.pt: weight: its type, ComplexFloat, is not supported; {plain}")
    );
    assert_eq!(
        refused("two_models.pt"),
        "two_models.pt: there are several dictionaries of tensors in it; choose one by its key with \
         `Weights::load_key`: \"generator\", \"discriminator\""
    );
    let path = file("two_models.pt");
    let weights = Weights::load_key(&path, "discriminator", &CPU).unwrap();
    assert!(weights.names().eq(["weight"]));
    assert!(
        weights
            .origin()
            .ends_with(", key discriminator (without generator)")
    );
    let message = Weights::load_key(&path, "model", &CPU)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("there are no tensors under the key \"model\"; choose one"),
        "{message}"
    );
    let message = refused("generate.py");
    assert!(
        message.contains("not an intact safetensors file"),
        "{message}"
    );
    assert!(message.ends_with("; give a file of safetensors or of torch.save"));
    assert!(refused("nothing").starts_with("cannot read nothing"));
    let message = Weights::load_key(file("keras.safetensors"), "model", &CPU);
    assert!(
        message
            .unwrap_err()
            .to_string()
            .contains("no file of torch.save")
    );
}

/// What is cut off, flipped or from before version 1.6.
#[test]
fn damaged_files_of_pytorch_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    let load = |bytes: &[u8]| {
        // A file that is overwritten would be flushed.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, bytes).unwrap();
        let loaded = Weights::load(&path, &CPU).map_err(|error| error.to_string());
        loaded.map_err(|message| message.replace(&path.display().to_string(), "x.pt"))
    };
    let again = "save it again in Python: torch.save(model.state_dict(), path)";
    let before_1_6 = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    assert_eq!(
        load(before_1_6).unwrap_err(),
        format!("x.pt: this is the format of PyTorch before version 1.6; {again}")
    );
    let whole = std::fs::read(file("checkpoint.pt")).unwrap();
    assert!(load(&whole).is_ok());
    for length in (0..whole.len()).step_by(7) {
        let message = load(&whole[..length]).unwrap_err();
        assert!(message.starts_with("x.pt: "), "{message}");
    }
    assert_eq!(
        load(&whole[..whole.len() - 1]).unwrap_err(),
        format!(
            "x.pt: not an intact file of torch.save: the list of its files is damaged; {again}"
        )
    );
    // Any result but a panic.
    for byte in (0..whole.len()).step_by(5) {
        for bit in [0x01, 0x80] {
            let mut flipped = whole.clone();
            flipped[byte] ^= bit;
            let _ = load(&flipped);
        }
    }
}

fn zeros(names: &[(&str, &[usize])]) -> Vec<(String, Tensor)> {
    let zero = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &CPU).unwrap();
    let names = names.iter();
    names
        .map(|(name, shape)| ((*name).to_owned(), zero(shape)))
        .collect()
}

fn expected(names: &[(&str, &[usize])]) -> BTreeMap<String, Vec<usize>> {
    let names = names.iter();
    names
        .map(|(name, shape)| ((*name).to_owned(), shape.to_vec()))
        .collect()
}

/// The message of `check`, after checking that its remedy, if it has one, works to the end.
fn checked(found: &[(&str, &[usize])], wanted: &[(&str, &[usize])]) -> Result<(), String> {
    let mut weights = Weights::from_tensors(zeros(found), &CPU).unwrap();
    let wanted = expected(wanted);
    let message = match weights.check(&wanted) {
        Ok(()) => return Ok(()),
        Err(error) => error.to_string(),
    };
    let options: Vec<&str> = message.split("--rename ").skip(1).collect();
    let is_complete = !options.is_empty() && !message.contains("which leaves");
    for option in options {
        let option = option.split_whitespace().next().unwrap();
        let (from, to) = option.split_once('=').unwrap();
        weights.rename(from, to).unwrap();
    }
    assert_eq!(weights.check(&wanted).is_ok(), is_complete, "{message}");
    Err(message)
}

#[test]
fn a_check_lists_everything_and_suggests_what_makes_the_names_fit() {
    let lstm: [(&str, &[usize]); 2] = [("weight_ih_l0", &[12, 2]), ("weight_hh_l0", &[12, 3])];
    assert_eq!(checked(&lstm, &lstm), Ok(()));
    assert_eq!(
        checked(&[("a.w", &[1]), ("a.b", &[1])], &[("w", &[1]), ("b", &[1])]),
        Err(
            "the weights: 2 tensors are missing: b, w; 2 tensors are not part of the model: a.b, a.w; rename `a.` to \
             nothing: --rename a.="
                .to_owned()
        )
    );
    // The usual names of other programs, none of them known to the code.
    let model: [(&str, &[usize]); 5] = [
        ("embedding.weight", &[9, 2]),
        ("encoder.weight_ih_l0", &[12, 2]),
        ("encoder.weight_hh_l0", &[12, 3]),
        ("decoder.weight", &[2, 3]),
        ("decoder.bias", &[2]),
    ];
    let named = |embedding: &'static str, encoder: &'static str, decoder: &'static str| {
        model.map(|(name, shape)| {
            let name = name
                .replace("embedding.", embedding)
                .replace("encoder.", encoder)
                .replace("decoder.", decoder);
            (name, shape)
        })
    };
    for (found, remedy) in [
        (
            named("module.embedding.", "module.encoder.", "module.decoder."),
            "rename `module.` to nothing: --rename module.=",
        ),
        (
            named("embedding.", "lstm.", "decoder."),
            "rename `lstm.` to `encoder.`: --rename lstm.=encoder.",
        ),
        (
            named("emb.", "net/rnn/", "fc."),
            "rename `fc.` to `decoder.`, rename `net/rnn/` to `encoder.`, rename `emb.` to `embedding.`: --rename \
             fc.=decoder. --rename net/rnn/=encoder. --rename emb.=embedding.",
        ),
        (
            named("model.embedding.", "model.rnn.", "model.decoder."),
            "rename `model.` to nothing, rename `rnn.` to `encoder.`: --rename model.= --rename rnn.=encoder.",
        ),
    ] {
        let found: Vec<(&str, &[usize])> = found
            .iter()
            .map(|(name, shape)| (name.as_str(), *shape))
            .collect();
        let message = checked(&found, &model).unwrap_err();
        assert!(message.ends_with(&format!("; {remedy}")), "{message}");
    }
    assert_eq!(
        checked(&lstm, &[("encoder.weight_ih_l0", &[12, 2]), ("encoder.weight_hh_l0", &[12, 3])]),
        Err(
            "the weights: 2 tensors are missing: encoder.weight_hh_l0, encoder.weight_ih_l0; 2 tensors are not part of \
             the model: weight_hh_l0, weight_ih_l0; put `encoder.` before every name: --rename =encoder."
                .to_owned()
        )
    );
    // Shapes count, too, and what is left is said.
    assert_eq!(
        checked(&[("a.w", &[2]), ("x", &[3])], &[("w", &[1]), ("x", &[4])]),
        Err(
            "the weights: the tensor w is missing; the tensor a.w is not part of the model; x has shape [3], but the \
             model asks for [4]; the weights are those of another model"
                .to_owned()
        )
    );
    assert_eq!(
        checked(
            &[("a.w", &[2]), ("a.v", &[3]), ("x", &[3]), ("y", &[3])],
            &[("w", &[2]), ("x", &[4]), ("y", &[4])]
        ),
        Err(
            "the weights: the tensor w is missing; 2 tensors are not part of the model: a.v, a.w; 2 tensors have \
             another shape than the model asks for: x [3] instead of [4], y [3] instead of [4]; rename `a.` to nothing: \
             --rename a.= (which leaves 1 too many, 2 of another shape)"
                .to_owned()
        )
    );
}

#[test]
fn long_lists_are_cut_and_stay_on_one_line() {
    let names: Vec<String> = (0..30).map(|n| format!("a\n{n:02}")).collect();
    let names: Vec<(&str, &[usize])> = names
        .iter()
        .map(|name| (name.as_str(), &[1usize][..]))
        .collect();
    let message = checked(&names, &[("w", &[2])]).unwrap_err();
    assert!(!message.contains('\n'));
    assert!(
        message.contains("30 tensors are not part of the model: a\\n00, a\\n01,"),
        "{message}"
    );
    assert!(message.contains(", a\\n09 and 20 more; "), "{message}");
}

#[test]
fn renaming_changes_all_or_nothing() {
    let tensors = zeros(&[("a.w", &[1]), ("a.v", &[1]), ("w", &[1])]);
    let mut weights = Weights::from_tensors(tensors, &CPU).unwrap();
    let message = weights.rename("a.", "").unwrap_err().to_string();
    assert_eq!(
        message,
        "the weights: renaming `a.` to `` gives two tensors the name w; choose another name"
    );
    let message = weights.rename("c.", "b.").unwrap_err().to_string();
    assert_eq!(
        message,
        "the weights: no tensor has a name that begins with `c.`; the names are a.v, a.w, w"
    );
    assert!(weights.names().eq(["a.v", "a.w", "w"]));
    weights.rename("a.", "b.").unwrap();
    weights.rename("", "x.").unwrap();
    assert!(weights.names().eq(["x.b.v", "x.b.w", "x.w"]));
    let twice = zeros(&[("w", &[1]), ("w", &[1])]);
    let message = Weights::from_tensors(twice, &CPU).unwrap_err().to_string();
    assert_eq!(message, "tensors: w occurs twice");
}

#[test]
fn truth_values_of_safetensors_are_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.safetensors");
    let header = r#"{"mask":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[1, 0, 1]);
    std::fs::write(&path, bytes).unwrap();
    let weights = Weights::load(&path, &CPU).unwrap();
    let mask: Vec<u8> = weights.get("mask").unwrap().to_vec1().unwrap();
    assert_eq!(mask, [1, 0, 1]);
}

#[test]
fn saved_weights_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let weights = Weights::load(file("kinds.pt"), &CPU).unwrap();
    weights.save(&path).unwrap();
    let again = Weights::load(&path, &CPU).unwrap();
    assert!(again.names().eq(weights.names()));
    for (name, tensor) in weights.iter() {
        let found = again.get(name).unwrap();
        assert_eq!(
            (found.dtype(), found.dims()),
            (tensor.dtype(), tensor.dims())
        );
        assert_eq!(values(found), values(tensor), "{name}");
    }
    let first = std::fs::read(&path).unwrap();
    again.save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == first);
    assert!(weights.save(Path::new("/nowhere/w.safetensors")).is_err());
}

#[test]
fn parameters_of_a_map_share_its_memory_and_those_of_weights_do_not() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &CPU);
    let config = RecurrentConfig::new(CellType::Gru, 2, 3);
    let gru = Recurrent::new(&config, vb.pp("encoder")).unwrap();
    let parameters = Parameters::from_varmap(&map, &CPU).unwrap();
    let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(names[0], "encoder.bias_hh_l0");
    let input = Tensor::ones((1, 1, 2), DType::F32, &CPU).unwrap();
    let run = || {
        let (output, _) = gru.forward(&input, None, None, Phase::Inference).unwrap();
        values(&output)
    };
    let before = run();

    let weights = Weights::from_tensors(parameters.tensors(), &CPU).unwrap();
    let copies = Parameters::from_weights(&weights).unwrap();
    for (_, var) in copies.iter() {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    assert_eq!(run(), before);
    for (_, var) in parameters.iter() {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    assert_eq!(run(), [0.0; 3]);

    // Not even variables among the weights.
    let var = Var::ones(2, DType::F16, &CPU).unwrap();
    let tensors = [("w".to_owned(), var.as_tensor().clone())];
    let weights = Weights::from_tensors(tensors, &CPU).unwrap();
    let copies = Parameters::from_weights(&weights).unwrap();
    assert_eq!(copies.get("w").unwrap().dtype(), DType::F32);
    let weights = Weights::load(file("kinds.pt"), &CPU).unwrap();
    let message = Parameters::from_weights(&weights).unwrap_err().to_string();
    assert_eq!(
        message,
        "weights: bool has the type U8, not floating-point numbers"
    );
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F64, &CPU);
    Recurrent::new(&config, vb).unwrap();
    let message = Parameters::from_varmap(&map, &CPU).unwrap_err().to_string();
    assert!(
        message.ends_with("is F64 on Cpu, expected F32 on Cpu"),
        "{message}"
    );
}

/// A stack reads all of its parameters that a file has, or none.
#[test]
fn more_of_a_stack_than_its_config_asks_for_is_refused() {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &CPU);
    let config = RecurrentConfig::new(CellType::Lstm, 5, 6);
    let all = RecurrentConfig {
        num_layers: 2,
        bidirectional: true,
        ..config.clone()
    };
    Recurrent::new(&all, vb.pp("encoder")).unwrap();
    let message = |config: &RecurrentConfig| {
        let stack = Recurrent::new(config, vb.pp("encoder"));
        stack.map(drop).unwrap_err().to_string()
    };
    let one_layer = RecurrentConfig {
        num_layers: 1,
        ..all.clone()
    };
    assert_eq!(
        message(&one_layer),
        "parameters: there is also encoder.weight_ih_l1, encoder.weight_hh_l1, encoder.bias_ih_l1, encoder.bias_hh_l1, \
         encoder.weight_ih_l1_reverse, encoder.weight_hh_l1_reverse, encoder.bias_ih_l1_reverse, \
         encoder.bias_hh_l1_reverse, which belongs to another architecture: this stack has 1 layer, 2 directions and \
         biases; change num_layers"
    );
    let one_direction = RecurrentConfig {
        bidirectional: false,
        ..all.clone()
    };
    assert_eq!(
        message(&one_direction),
        "parameters: there is also encoder.weight_ih_l0_reverse, encoder.weight_hh_l0_reverse, \
         encoder.bias_ih_l0_reverse, encoder.bias_hh_l0_reverse, encoder.weight_ih_l1_reverse, \
         encoder.weight_hh_l1_reverse, encoder.bias_ih_l1_reverse, encoder.bias_hh_l1_reverse, which belongs to \
         another architecture: this stack has 2 layers, 1 direction and biases; change bidirectional"
    );
    let no_bias = RecurrentConfig { bias: false, ..all };
    assert_eq!(
        message(&no_bias),
        "parameters: there is also encoder.bias_ih_l0, encoder.bias_hh_l0, encoder.bias_ih_l0_reverse, \
         encoder.bias_hh_l0_reverse, encoder.bias_ih_l1, encoder.bias_hh_l1, encoder.bias_ih_l1_reverse, \
         encoder.bias_hh_l1_reverse, which belongs to another architecture: this stack has 2 layers, 2 directions and \
         no biases; change bias"
    );
    // A builder that has everything has nothing to leave out.
    let zeros = VarBuilder::zeros(DType::F32, &CPU);
    let no_bias = RecurrentConfig {
        bias: false,
        ..config
    };
    Recurrent::new(&no_bias, zeros).unwrap();
}
