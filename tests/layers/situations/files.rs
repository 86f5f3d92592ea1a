//! Parameters in files: resuming, other types, other names, and more than the layer uses.

use super::{CPU, build, config, random, refusal, run};
use crate::support::{assert_close, values};
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Tensor, safetensors};
use candle_nn::{Optimizer, SGD, VarBuilder, VarMap};
use std::collections::HashMap;
use std::path::Path;

/// A layer with dropout, its parameters in a map.
fn trained() -> Result<(Recurrent, VarMap)> {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &CPU);
    let config = config(CellType::Gru).num_layers(2).dropout(0.5);
    let layer = Recurrent::new(&config, vb.pp("encoder").pp("rnn"))?;
    Ok((layer, variables))
}

fn train(layer: &Recurrent, variables: &VarMap, steps: std::ops::Range<u64>) -> Result<()> {
    let mut optimizer = SGD::new(variables.all_vars(), 0.1)?;
    for step in steps {
        let phase = Phase::Training { seed: 9, step };
        let (output, _) = layer.forward(&random(step, &[3, 4, 4]), None, None, phase)?;
        optimizer.backward_step(&output.sqr()?.sum_all()?)?;
    }
    Ok(())
}

/// The tensors of a layer as those of a file.
fn tensors_of(layer: &RecurrentConfig) -> HashMap<String, Tensor> {
    let (_, parameters) = build(layer);
    parameters.tensors().into_iter().collect()
}

fn layer_of(config: &RecurrentConfig, tensors: HashMap<String, Tensor>) -> Result<Recurrent> {
    Recurrent::new(config, VarBuilder::from_tensors(tensors, DType::F32, &CPU))
}

/// Training that is stopped, saved and resumed in a new map goes on as if it had not been: weights and masks.
/// (huggingface/candle#2916)
#[test]
fn resumed_training() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let (layer, variables) = trained()?;
    train(&layer, &variables, 0..3)?;
    variables.save(&file)?;
    train(&layer, &variables, 3..5)?;
    let expected = run(&layer, &random(9, &[2, 4, 4]), None)?.0;
    drop((layer, variables));
    let (layer, mut variables) = trained()?;
    variables.load(&file)?;
    train(&layer, &variables, 3..5)?;
    let found = run(&layer, &random(9, &[2, 4, 4]), None)?.0;
    assert_eq!(values(&found), values(&expected));
    Ok(())
}

/// A file in half or double precision is read into a layer in single precision: the numbers of the file, widened or
/// rounded. (NVIDIA/OpenSeq2Seq#333)
#[test]
fn files_of_other_types() -> Result<()> {
    let config = config(CellType::Lstm);
    let tensors = tensors_of(&config);
    let folder = tempfile::tempdir().unwrap();
    let x = random(1, &[2, 5, 4]);
    for dtype in [DType::F16, DType::BF16, DType::F64] {
        let stored = tensors
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), tensor.to_dtype(dtype)?)));
        let stored = stored.collect::<Result<HashMap<_, _>>>()?;
        let file = folder.path().join("model.safetensors");
        safetensors::save(&stored, &file)?;
        let read = layer_of(&config, safetensors::load(&file, &CPU)?)?;
        let widened = stored.iter().map(|(name, tensor)| {
            let tensor = tensor.to_dtype(DType::F32)?;
            Ok((name.clone(), tensor))
        });
        let widened = layer_of(&config, widened.collect::<Result<_>>()?)?;
        assert_eq!(read.weights()[0][0].hidden.dtype(), DType::F32);
        let (found, expected) = (run(&read, &x, None)?.0, run(&widened, &x, None)?.0);
        assert_eq!(values(&found), values(&expected), "{dtype:?}");
    }
    Ok(())
}

/// A map of variables in double precision that is read with a builder of single precision, which Candle's map does not
/// convert: the layer is that of the variables. (huggingface/candle#2916)
#[test]
fn a_map_of_another_type() -> Result<()> {
    let variables = VarMap::new();
    let build = |dtype| {
        let vb = VarBuilder::from_varmap(&variables, dtype, &CPU);
        Recurrent::new(&config(CellType::Gru).bidirectional(true), vb)
    };
    let (double, again) = (build(DType::F64)?, build(DType::F32)?);
    let x = random(1, &[2, 5, 4]).to_dtype(DType::F64)?;
    let (expected, _) = run(&double, &x, None)?;
    let (found, state) = run(&again, &x, None)?;
    assert_eq!(found.dtype(), DType::F64);
    assert_close(&found, &expected, 0.0, "output");
    assert_eq!(state.h.dims(), [2, 2, 6]);
    Ok(())
}

/// Names that begin with `module.`, as those of several devices do, at the root, and with an empty prefix.
/// (pytorch/pytorch#3805)
#[test]
fn prefixes() -> Result<()> {
    let config = config(CellType::Gru).bidirectional(true);
    let plain = tensors_of(&config);
    let x = random(1, &[2, 5, 4]);
    let (expected, _) = run(&layer_of(&config, plain.clone())?, &x, None)?;
    let prefixed = plain
        .iter()
        .map(|(name, tensor)| (format!("module.rnn.{name}"), tensor.clone()));
    let vb = VarBuilder::from_tensors(prefixed.collect(), DType::F32, &CPU);
    for vb in [vb.pp("module").pp("rnn"), vb.pp("module.rnn")] {
        let (found, _) = run(&Recurrent::new(&config, vb)?, &x, None)?;
        assert_eq!(values(&found), values(&expected));
    }
    let message = refusal(Recurrent::new(&config, vb.pp("rnn")));
    assert!(message.contains("rnn.weight_ih_l0"), "{message}");
    // A builder with other names inside: those of a layer without a prefix, of a file with one.
    let renamed = vb.rename_f(|name| format!("module.rnn.{name}"));
    let (found, _) = run(&Recurrent::new(&config, renamed)?, &x, None)?;
    assert_eq!(values(&found), values(&expected));
    Ok(())
}

/// A model that was trained with a wrapper that drops weights: the recurrent weights are there as `..._raw`, and a
/// second time with elements dropped; only the first are right. (salesforce/awd-lstm-lm#99)
#[test]
fn raw_weights() -> Result<()> {
    let config = config(CellType::Lstm);
    let plain = tensors_of(&config);
    let mut file = HashMap::new();
    for (name, tensor) in &plain {
        match name.as_str() {
            "weight_hh_l0" => {
                file.insert("rnns.0.weight_hh_l0_raw".to_owned(), tensor.clone());
                file.insert(
                    "rnns.0.module.weight_hh_l0".to_owned(),
                    tensor.zeros_like()?,
                );
            }
            name => {
                file.insert(format!("rnns.0.module.{name}"), tensor.clone());
            }
        }
    }
    let vb = VarBuilder::from_tensors(file, DType::F32, &CPU).rename_f(|name| {
        match name.starts_with("weight_hh") {
            true => format!("rnns.0.{name}_raw"),
            false => format!("rnns.0.module.{name}"),
        }
    });
    let x = random(1, &[2, 5, 4]);
    let (found, _) = run(&Recurrent::new(&config, vb)?, &x, None)?;
    let (expected, _) = run(&layer_of(&config, plain)?, &x, None)?;
    assert_eq!(values(&found), values(&expected));
    Ok(())
}

/// A file of a layer with layer normalisation or a learned initial state, read without: refused by name, as its other
/// weights would mean something else. (tensorflow/tensorflow#13600, hexgrad/kokoro#368)
#[test]
fn more_in_the_file() -> Result<()> {
    for cell_type in [CellType::Lstm, CellType::Gru] {
        let plain = config(cell_type);
        for (more, name, field) in [
            (
                plain.clone().layer_norm(true),
                "layer_norm_ih_l0.weight",
                "layer_norm",
            ),
            (
                plain.clone().learn_initial_state(true),
                "h_0",
                "learn_initial_state",
            ),
        ] {
            let message = refusal(layer_of(&plain, tensors_of(&more)));
            assert!(message.contains(name), "{message}");
            assert!(message.ends_with(&format!("change {field}")), "{message}");
            layer_of(&more, tensors_of(&more))?;
        }
    }
    Ok(())
}

/// A GRU's file for an LSTM, and one of another size: the tensor is named. (huggingface/candle#2351)
#[test]
fn the_file_of_another_layer() {
    for other in [
        config(CellType::Gru),
        RecurrentConfig::new(CellType::Lstm, 4, 7),
    ] {
        let message = refusal(layer_of(&config(CellType::Lstm), tensors_of(&other)));
        assert!(message.contains("weight_ih_l0"), "{message}");
    }
    assert!(!Path::new("model.safetensors").exists());
}
