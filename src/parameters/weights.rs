//! Weights as another program has written them.

use super::comparison::{Mismatch, known};
use super::rename::Rename;
use super::{pytorch, safetensors_of};
use crate::error::{Error, Result, one_line};
use crate::fs::atomic;
use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use safetensors::Dtype;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Named tensors of a file that another program has written, or of a program's memory.
///
/// Between reading them and building a model they can be renamed, and compared with what the model asks for, so that no
/// tensor is left out without a word:
///
/// ```
/// use birnn::parameters::{Weights, shapes};
/// use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
/// use candle_core::{DType, Device};
///
/// let mut weights = Weights::load("tests/fixtures/libraries/checkpoint.pt", &Device::Cpu)?;
/// let config = RecurrentConfig::new(CellType::Lstm, 2, 3);
/// let expected = shapes(|vb| Recurrent::new(&config, vb.pp("encoder")))?;
/// let message = weights.check(&expected).unwrap_err().to_string();
/// assert!(message.ends_with("rename `module.` to `encoder.`: --rename module.=encoder."));
///
/// weights.rename("module.", "encoder.")?;
/// weights.check(&expected)?;
/// let lstm = Recurrent::new(&config, weights.builder(DType::F32).pp("encoder"))?;
/// # Ok::<(), birnn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Weights {
    /// The name in errors: the file and which part of it was taken, or another name.
    place: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    device: Device,
}

impl Weights {
    /// Reads a file of safetensors, or of PyTorch's `torch.save` (`.pt`, `.pth`, `.bin`), whatever its name ends in.
    /// Types and shapes stay as they are in the file, except that truth values become 0 and 1.
    ///
    /// A file of `torch.save` holds a state dict, or a dictionary with one: that under the key `state_dict` or
    /// `model_state_dict`, else the only one with tensors. [`Weights::origin`] names what was taken, and what was left
    /// out beside it. The format of PyTorch before version 1.6 is not read, nor is a model that was saved as a whole.
    ///
    /// # Errors
    /// A file that cannot be read, is neither, or is damaged; several dictionaries of tensors without one under a usual
    /// key; a tensor of a type that Candle does not have.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::read(path.as_ref(), None, device)
    }

    /// The same for a file of `torch.save`, with the dictionary under this key; keys of dictionaries in each other are
    /// divided by full stops, and an empty key is the file's own dictionary.
    ///
    /// # Errors
    /// As [`Weights::load`]; there are no tensors under the key.
    pub fn load_key(path: impl AsRef<Path>, key: &str, device: &Device) -> Result<Self> {
        Self::read(path.as_ref(), Some(key), device)
    }

    fn read(path: &Path, key: Option<&str>, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        if pytorch::is_pytorch(&bytes) {
            let state = pytorch::read(path, &bytes, key, device)?;
            return Ok(Self {
                place: PathBuf::from(format!("{}{}", path.display(), state.origin)),
                tensors: state.tensors,
                device: device.clone(),
            });
        }
        let remedy = "give a file of safetensors or of torch.save";
        if key.is_some() {
            let problem = "this is no file of torch.save, which alone has keys";
            return Err(Error::model(path, problem, remedy));
        }
        let (tensors, _) = safetensors_of(path, &bytes, remedy)?;
        let tensors = tensors.iter().map(|(name, view)| {
            if view.dtype() == Dtype::BOOL {
                let numbers =
                    Tensor::from_raw_buffer(view.data(), DType::U8, view.shape(), device)?;
                return Ok((name.to_owned(), numbers));
            }
            let tensor = view.load(device).map_err(|error| match error {
                candle_core::Error::UnsupportedSafeTensorDtype(dtype) => Error::model(
                    path,
                    format!("{}: its type, {dtype:?}, is not supported", one_line(name)),
                    "convert it before saving",
                ),
                other => Error::Tensor(other),
            })?;
            Ok((name.to_owned(), tensor))
        });
        Ok(Self {
            place: path.to_path_buf(),
            tensors: tensors.collect::<Result<_>>()?,
            device: device.clone(),
        })
    }

    /// Tensors from memory, moved to `device`.
    ///
    /// # Errors
    /// A name that occurs twice, or a copy that fails.
    pub fn from_tensors(
        tensors: impl IntoIterator<Item = (String, Tensor)>,
        device: &Device,
    ) -> Result<Self> {
        let mut named = BTreeMap::new();
        for (name, tensor) in tensors {
            let tensor = tensor.to_device(device)?;
            if named.insert(name.clone(), tensor).is_some() {
                let problem = format!("{} occurs twice", one_line(&name));
                return Err(Error::argument("tensors", problem));
            }
        }
        Ok(Self {
            place: PathBuf::from("the weights"),
            tensors: named,
            device: device.clone(),
        })
    }

    /// Where they come from: the file, with the key of the state dict that was taken and the keys that were not.
    pub fn origin(&self) -> String {
        self.place.display().to_string()
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, if there is one of this name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name).map(Tensor::dims)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Names and tensors, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The device of the tensors.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Lets every name that begins with `from` begin with `to`: `rename("module.", "")`, `rename("fc.", "decoder.")`.
    /// An empty `from` puts `to` before every name.
    ///
    /// # Errors
    /// No name begins with `from`, or two tensors would have one name; the names are then as before.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        Rename::new(from, to)
            .apply(&mut self.tensors)
            .map_err(|(problem, remedy)| Error::model(&self.place, problem, remedy))
    }

    /// Compares names and shapes with those of a model, which [`shapes`](super::shapes) finds out.
    ///
    /// # Errors
    /// Any difference. The error lists the names that are missing, those that the model does not have, and wrong
    /// shapes, at most ten of each with the number of the others; and if renaming beginnings makes the names fit, it
    /// says which.
    pub fn check(&self, expected: &BTreeMap<String, Vec<usize>>) -> Result<()> {
        let expected = expected
            .iter()
            .map(|(name, shape)| (name.clone(), known(shape)))
            .collect();
        let found = self.iter().map(|(name, tensor)| (name, tensor.dims()));
        let Some(mismatch) = Mismatch::of(found, &expected) else {
            return Ok(());
        };
        let remedy = mismatch.remedy();
        let remedy = remedy.unwrap_or_else(|| "the weights are those of another model".to_owned());
        Err(Error::model(&self.place, mismatch.problem(None), remedy))
    }

    /// A builder of models with these weights, converted to `dtype` as they are asked for.
    pub fn builder(&self, dtype: DType) -> VarBuilder<'static> {
        let tensors: HashMap<String, Tensor> = self.tensors.clone().into_iter().collect();
        VarBuilder::from_tensors(tensors, dtype, &self.device)
    }

    /// Writes them as a safetensors file. The same tensors always give the same bytes.
    ///
    /// # Errors
    /// A type that the format does not have, or a file that cannot be written; it is then either the new or the
    /// previous one.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let tensors = super::to_safetensors(&self.tensors, None)?;
        atomic::write_file(path.as_ref(), &tensors)
    }
}
