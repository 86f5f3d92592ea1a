//! Safetensors files as bytes.

use crate::error::{Error, Result, plain_words};
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The tensors and the metadata in the bytes of a file; errors use `path`.
///
/// # Errors
/// It is not an intact safetensors file, which has this `remedy`.
pub(crate) fn safetensors_of<'a>(
    path: &Path,
    bytes: &'a [u8],
    remedy: &str,
) -> Result<(SafeTensors<'a>, HashMap<String, String>)> {
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::model(
            path,
            "this is a pointer of Git LFS, not the file itself",
            "fetch the file with `git lfs pull`",
        ));
    }
    let broken = |error: safetensors::SafeTensorError| {
        let problem = plain_words(&error.to_string());
        Error::model(
            path,
            format!("not an intact safetensors file: {problem}"),
            remedy,
        )
    };
    let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// Tensors, ordered by name, and an entry of the metadata as the bytes of a safetensors file.
pub(crate) fn to_safetensors(
    tensors: &BTreeMap<String, Tensor>,
    metadata: Option<(String, String)>,
) -> Result<Vec<u8>> {
    let host: BTreeMap<&str, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| Ok((name.as_str(), tensor.to_device(&Device::Cpu)?.contiguous()?)))
        .collect::<Result<_>>()?;
    let metadata = metadata.map(|entry| HashMap::from([entry]));
    safetensors::serialize(&host, metadata)
        .map_err(|error| Error::Tensor(candle_core::Error::SafeTensor(error)))
}
