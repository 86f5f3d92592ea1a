//! The files of `torch.save`: a zip archive with a pickle, `data.pkl`, and the numbers of each storage in a file.

mod pickle;
mod state;
mod tensors;
mod zip;

use self::pickle::Pickle;
use self::state::{Choice, choose};
use crate::error::{Error, Result, one_line};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::path::Path;

/// How the files of PyTorch from before version 1.6 begin: a pickle of a magic number.
const BEFORE_1_6: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// Whether these are the bytes of a file of `torch.save`.
pub(super) fn is_pytorch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(BEFORE_1_6)
}

/// The tensors of a state dict, and which part of the file it is.
pub(super) struct StateDict {
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// What was taken and what not, to be added to the file's name; empty if the file is a state dict.
    pub(super) origin: String,
}

/// Reads the state dict in the bytes of a file: the dictionary under `key`, or without one the only sensible one.
///
/// # Errors
/// The file is damaged, has no or several state dicts, or tensors that Candle cannot represent; errors use `path`.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    key: Option<&str>,
    device: &Device,
) -> Result<StateDict> {
    let refused = |problem: String| {
        let remedy = "save it again in Python: torch.save(model.state_dict(), path)";
        Error::model(path, problem, remedy)
    };
    if bytes.starts_with(BEFORE_1_6) {
        return Err(refused(
            "this is the format of PyTorch before version 1.6".to_owned(),
        ));
    }
    let damaged = |problem: &str| refused(format!("not an intact file of torch.save: {problem}"));
    let files = zip::files(bytes).ok_or_else(|| damaged("the list of its files is damaged"))?;
    let (folder, description) = files
        .iter()
        .find_map(|(name, data)| Some((name.strip_suffix("data.pkl")?, *data)))
        .ok_or_else(|| damaged("there is no data.pkl in it"))?;
    let description = description.ok_or_else(|| damaged("it is compressed"))?;
    let pickle = Pickle::read(description).map_err(|problem| damaged(&problem))?;
    if let Some(Some(order)) = files.get(format!("{folder}byteorder").as_str())
        && *order != b"little"
    {
        return Err(refused("its numbers are big-endian".to_owned()));
    }
    let Choice { entries, origin } = choose(path, &pickle, key)?;
    let storage = |key: &str| -> std::result::Result<&[u8], String> {
        let file = files.get(format!("{folder}data/{key}").as_str()).copied();
        file.flatten()
            .ok_or_else(|| format!("data/{key} is missing"))
    };
    let tensors = entries.into_iter().map(|(name, id)| {
        let tensor = tensors::tensor(&pickle, id, &storage, device);
        let tensor = tensor.map_err(|problem| {
            let problem = format!("{}: {problem}", one_line(&name));
            let remedy = "save it in Python as a plain tensor: tensor.float().contiguous()";
            Error::model(path, problem, remedy)
        })?;
        Ok((name, tensor))
    });
    Ok(StateDict {
        tensors: tensors.collect::<Result<_>>()?,
        origin,
    })
}
