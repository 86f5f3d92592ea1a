//! Helpers shared by several test files.
#![allow(dead_code, reason = "each test file uses a part")]

use assert_cmd::cargo::cargo_bin;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program, to be run in a folder, without standard input.
pub fn birnn(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin("birnn"));
    command
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null())
        // No test may access the network, even if it is wrong.
        .env("HF_HUB_OFFLINE", "1")
        // Nor leave files behind.
        .env("BIRNN_CACHE", "");
    command
}

/// A file of reference tensors in `tests/fixtures`.
pub struct Fixture(HashMap<String, Tensor>);

pub fn fixture_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

impl Fixture {
    pub fn load(name: &str) -> Self {
        let tensors = candle_core::safetensors::load(fixture_path(name), &Device::Cpu);
        Self(tensors.unwrap_or_else(|error| panic!("fixture {name}: {error}")))
    }

    pub fn get(&self, name: &str) -> Tensor {
        match self.0.get(name) {
            Some(tensor) => tensor.clone(),
            None => panic!("the fixture has no tensor {name}"),
        }
    }

    /// The names that follow `prefix`, sorted; at least one.
    pub fn names_under(&self, prefix: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .keys()
            .filter_map(|name| name.strip_prefix(prefix))
            .map(str::to_owned)
            .collect();
        assert!(!names.is_empty(), "no tensors under {prefix}");
        names.sort();
        names
    }

    /// A builder over the tensors under `prefix`.
    pub fn builder(&self, prefix: &str) -> VarBuilder<'static> {
        let tensors = self
            .names_under(prefix)
            .into_iter()
            .map(|name| (name.clone(), self.get(&format!("{prefix}{name}"))))
            .collect();
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
    }
}

/// All elements as f32.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// Asserts equal shapes, and elements within `tolerance` times the larger of 1 and the largest
/// expected magnitude.
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &Tensor, tolerance: f32, context: &str) {
    assert_eq!(actual.dims(), expected.dims(), "{context}: shape");
    let (actual, expected) = (values(actual), values(expected));
    let scale = expected.iter().fold(1f32, |scale, v| scale.max(v.abs()));
    for (i, (a, e)) in actual.iter().zip(&expected).enumerate() {
        let error = (a - e).abs();
        assert!(
            error <= tolerance * scale,
            "{context}: element {i} is {a}, expected {e} (error {error:e})"
        );
    }
}
