//! Named parameters with seeded initial values, and weights that other programs have written.

mod comparison;
mod pytorch;
mod rename;
mod safetensors_file;
mod suggestion;
mod weights;

pub(crate) use comparison::{ExpectedShape, Mismatch, known};
pub use rename::Rename;
pub(crate) use safetensors_file::{safetensors_of, to_safetensors};
pub use weights::Weights;

use crate::error::{Error, Result, one_line};
use crate::rng::{Rng, Stream};
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, VarMap};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The parameters of a model by name, in alphabetical order.
///
/// Unlike `candle_nn::VarMap` it has a defined order, and initial values that depend only on a seed
/// and the parameter's name.
#[derive(Debug, Clone)]
pub struct Parameters {
    variables: BTreeMap<String, Var>,
    device: Device,
}

impl Parameters {
    /// Runs `build` with a builder that creates every requested parameter, and keeps them.
    ///
    /// # Errors
    /// Whatever `build` returns.
    pub fn create<M>(
        seed: u64,
        device: &Device,
        build: impl FnOnce(VarBuilder) -> Result<M>,
    ) -> Result<(M, Self)> {
        let variables = Arc::new(Mutex::new(BTreeMap::new()));
        let backend = Creator {
            seed,
            variables: variables.clone(),
        };
        let model = build(VarBuilder::from_backend(
            Box::new(backend),
            DType::F32,
            device.clone(),
        ))?;
        let variables = std::mem::take(&mut *lock(&variables));
        let parameters = Self {
            variables,
            device: device.clone(),
        };
        Ok((model, parameters))
    }

    /// The variables of a map, which they share: the model that was built from the map sees every update.
    ///
    /// # Errors
    /// A variable is on another device, or not of single precision.
    pub fn from_varmap(map: &VarMap, device: &Device) -> Result<Self> {
        let data = map.data().lock();
        let data = data.unwrap_or_else(PoisonError::into_inner);
        let mut variables = BTreeMap::new();
        for (name, var) in data.iter() {
            if !var.device().same_device(device) || var.dtype() != DType::F32 {
                let problem = format!(
                    "{} is {:?} on {:?}, expected F32 on {:?}",
                    one_line(name),
                    var.dtype(),
                    var.device().location(),
                    device.location()
                );
                return Err(Error::argument("map", problem));
            }
            variables.insert(name.clone(), var.clone());
        }
        Ok(Self {
            variables,
            device: device.clone(),
        })
    }

    /// Variables with the values of weights in single precision, on the device of the weights.
    ///
    /// # Errors
    /// A tensor that does not hold floating-point numbers, or a copy that fails.
    pub fn from_weights(weights: &Weights) -> Result<Self> {
        let mut variables = BTreeMap::new();
        for (name, tensor) in weights.iter() {
            if !tensor.dtype().is_float() {
                let problem = format!(
                    "{} has the type {:?}, not floating-point numbers",
                    one_line(name),
                    tensor.dtype()
                );
                return Err(Error::argument("weights", problem));
            }
            // Detached, so that also a variable is copied: updates must not change the weights.
            let tensor = tensor.to_dtype(DType::F32)?.detach();
            variables.insert(name.to_owned(), Var::from_tensor(&tensor)?);
        }
        Ok(Self {
            variables,
            device: weights.device().clone(),
        })
    }

    /// A builder on the same memory without gradients: a model built from it sees every update but
    /// creates no graph.
    pub fn detached(&self) -> VarBuilder<'static> {
        builder(
            self.iter()
                .map(|(name, var)| (name.to_owned(), var.as_detached_tensor())),
            &self.device,
        )
    }

    /// The device of the parameters.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Names and variables, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables
            .iter()
            .map(|(name, var)| (name.as_str(), var))
    }

    /// The values of a parameter that every model of its kind has.
    ///
    /// # Errors
    /// There is no parameter of this name.
    pub(crate) fn needed(&self, name: &str) -> Result<Tensor> {
        let var = self.get(name).map(|var| var.as_detached_tensor());
        var.ok_or_else(|| Error::argument("parameters", format!("there is no {name}")))
    }

    /// The name of the variable that is this tensor.
    pub(crate) fn name_of(&self, tensor: &Tensor) -> Option<&str> {
        let mut all = self.iter();
        all.find_map(|(name, var)| (var.id() == tensor.id()).then_some(name))
    }

    /// What precedes the names of the model that has a parameter `name`: nothing, or such as `net.` if it was built
    /// under a prefix.
    ///
    /// # Errors
    /// There is no such model, or several, all of them under a prefix.
    pub(crate) fn prefix_of(&self, name: &str) -> Result<&str> {
        if self.get(name).is_some() {
            return Ok("");
        }
        let prefix = |(full, _)| str::strip_suffix(full, name).filter(|rest| rest.ends_with('.'));
        let mut prefixes = self.iter().filter_map(prefix);
        let problem = match (prefixes.next(), prefixes.next()) {
            (Some(prefix), None) => return Ok(prefix),
            (Some(one), Some(other)) => {
                format!("{one}{name} and {other}{name} belong to different models")
            }
            (None, _) => format!("there is no {name}"),
        };
        Err(Error::argument("parameters", problem))
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }

    /// Number of scalar parameters.
    pub fn count(&self) -> usize {
        self.iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// The values, sharing memory with the parameters.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.iter()
            .map(|(name, var)| (name.to_owned(), var.as_detached_tensor()))
            .collect()
    }

    /// Overwrites all parameters, or none of them on error.
    ///
    /// # Errors
    /// Missing names, names of no parameter, or wrong shapes: the error lists them all.
    pub fn assign(&self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        let found = values
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor.dims()));
        let expected = self
            .iter()
            .map(|(name, var)| (name.to_owned(), known(var.dims())))
            .collect();
        if let Some(mismatch) = Mismatch::of(found, &expected) {
            return Err(Error::argument("parameters", mismatch.problem(None)));
        }
        for (name, var) in self.iter() {
            var.set(&values[name].to_dtype(DType::F32)?.to_device(&self.device)?)?;
        }
        Ok(())
    }
}

/// A builder over existing single-precision tensors.
pub fn builder(
    tensors: impl IntoIterator<Item = (String, Tensor)>,
    device: &Device,
) -> VarBuilder<'static> {
    let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
    VarBuilder::from_tensors(tensors, DType::F32, device)
}

/// Runs `build` with a builder that only records requests: the parameters of a model by name with
/// their shapes, without allocating them.
///
/// # Errors
/// Whatever `build` returns.
pub fn shapes<M>(
    build: impl FnOnce(VarBuilder) -> Result<M>,
) -> Result<BTreeMap<String, Vec<usize>>> {
    let shapes = Arc::new(Mutex::new(BTreeMap::new()));
    let backend = Box::new(Recorder(shapes.clone()));
    build(VarBuilder::from_backend(backend, DType::F32, Device::Cpu))?;
    Ok(std::mem::take(&mut *lock(&shapes)))
}

/// The builder backend that records names and shapes.
struct Recorder(Arc<Mutex<BTreeMap<String, Vec<usize>>>>);

impl SimpleBackend for Recorder {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        lock(&self.0).insert(name.to_owned(), shape.dims().to_vec());
        // One number broadcast to the shape: a tensor that takes no memory.
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name}: a new parameter needs a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        lock(&self.0).contains_key(name)
    }
}

/// The builder backend that creates the requested parameters.
struct Creator {
    seed: u64,
    variables: Arc<Mutex<BTreeMap<String, Var>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The map is valid even if another holder of the lock has panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimpleBackend for Creator {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut variables = lock(&self.variables);
        if let Some(var) = variables.get(name) {
            if *var.shape() != shape {
                candle_core::bail!("{name} is requested in two shapes");
            }
            return Ok(var.as_tensor().clone());
        }
        let values = initial_values(self.seed, name, shape.elem_count(), init)?;
        let tensor = Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?;
        let var = Var::from_tensor(&tensor)?;
        let tensor = var.as_tensor().clone();
        variables.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name}: a new parameter needs a shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        lock(&self.variables).contains_key(name)
    }
}

/// `count` initial values for the parameter `name`.
fn initial_values(
    seed: u64,
    name: &str,
    count: usize,
    init: Init,
) -> candle_core::Result<Vec<f32>> {
    // FNV-1a: a hash of the name that never changes.
    let layer = name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mut rng = Rng::new(seed, Stream::Initialisation, 0, layer);
    Ok(match init {
        Init::Const(value) => vec![value as f32; count],
        Init::Uniform { lo, up } => (0..count)
            .map(|_| (lo + (up - lo) * rng.uniform()) as f32)
            .collect(),
        Init::Randn { mean, stdev } => (0..count)
            .map(|_| (mean + stdev * rng.normal()) as f32)
            .collect(),
        Init::Kaiming { .. } => {
            candle_core::bail!("{name}: give bounds instead of a Kaiming initialisation")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(seed: u64, names: &[&str]) -> Parameters {
        let init = Init::Uniform { lo: -1., up: 1. };
        let build = |vb: VarBuilder| -> Result<()> {
            for name in names {
                vb.get_with_hints((2, 3), name, init)?;
            }
            Ok(())
        };
        Parameters::create(seed, &Device::Cpu, build).unwrap().1
    }

    fn values(parameters: &Parameters, name: &str) -> Vec<f32> {
        let tensor = parameters.get(name).unwrap().flatten_all().unwrap();
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn values_depend_on_seed_and_name_but_not_on_order() {
        let (first, second) = (make(1, &["a", "b"]), make(1, &["b", "a"]));
        assert_eq!(values(&first, "a"), values(&second, "a"));
        assert_ne!(values(&first, "a"), values(&first, "b"));
        assert_ne!(values(&first, "a"), values(&make(2, &["a"]), "a"));
        assert_eq!(first.count(), 12);
    }

    #[test]
    fn detached_tensors_see_updates_and_track_nothing() {
        let parameters = make(1, &["a"]);
        let detached = parameters.detached().get((2, 3), "a").unwrap();
        assert!(!detached.track_op());
        let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
        parameters.get("a").unwrap().set(&ones).unwrap();
        assert_eq!(detached.sum_all().unwrap().to_scalar::<f32>().unwrap(), 6.);
    }

    #[test]
    fn the_prefix_of_a_model_is_found_by_a_name() {
        let prefix = |names: &[&str]| {
            let parameters = make(1, names);
            let prefix = parameters.prefix_of("a.b").map(str::to_owned);
            prefix.map_err(|error| error.to_string())
        };
        assert_eq!(prefix(&["a.b", "net.a.b"]).unwrap(), "");
        assert_eq!(prefix(&["net.a.b", "neta.b", "a.b.c"]).unwrap(), "net.");
        assert_eq!(prefix(&["x.y.a.b"]).unwrap(), "x.y.");
        assert_eq!(
            prefix(&["xa.b"]).unwrap_err(),
            "parameters: there is no a.b"
        );
        assert_eq!(
            prefix(&["x.a.b", "y.a.b"]).unwrap_err(),
            "parameters: x.a.b and y.a.b belong to different models"
        );
    }

    #[test]
    fn assignment_is_all_or_nothing() {
        let parameters = make(1, &["a", "b"]);
        let before = values(&parameters, "a");
        let ones = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
        let mut new = BTreeMap::from([("a".to_owned(), ones.clone())]);
        assert!(parameters.assign(&new).is_err());
        new.insert("b".to_owned(), ones.t().unwrap());
        let message = parameters.assign(&new).unwrap_err().to_string();
        let problem = "b has shape [3, 2], but the model asks for [2, 3]";
        assert_eq!(message, format!("parameters: {problem}"));
        new.insert("b".to_owned(), ones.clone());
        new.insert("c".to_owned(), ones);
        let message = parameters.assign(&new).unwrap_err().to_string();
        let problem = "the tensor c is not part of the model";
        assert_eq!(message, format!("parameters: {problem}"));
        assert_eq!(values(&parameters, "a"), before);
        new.remove("c");
        parameters.assign(&new).unwrap();
        assert_ne!(values(&parameters, "a"), before);
    }
}
