//! The checksums of a model's files, which every reader checks.
//!
//! `config.json` holds the CRC-32 of itself and of `tokenizer.json`. The metadata of `model.safetensors` holds that of
//! the whole file, because a run replaces it on its own. Where a file holds its own checksum, eight zeros take the
//! place of the digits while it is computed.
//!
//! A CRC-32 finds every single flipped bit and every damage within 32 bits, and misses another one with a probability
//! of 2^-32. It is no protection against intent. A folder without checksums, made by another program, is not checked.

use super::model_directory::{CONFIG, TOKENIZER, to_json};
use super::weights::WeightFile;
use crate::error::{Error, Result};
use crate::parameters::safetensors_of;
use safetensors::SafeTensors;
use safetensors::tensor::TensorInfo;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The key of the checksums in `config.json`.
const CHECKSUMS: &str = "checksums";
/// The key of the checksum in the metadata of `model.safetensors`.
const CRC32: &str = "crc32";
/// What takes the place of a checksum while that of its own file is computed.
const ZEROS: &str = "00000000";
/// The header of a safetensors file begins with a number of this many bytes, and is padded to a multiple of it.
const ALIGNMENT: usize = 8;

/// A checksum as it is written: eight hexadecimal digits.
fn crc32(bytes: &[u8]) -> String {
    digits(crc32fast::hash(bytes))
}

fn digits(sum: u32) -> String {
    format!("{sum:08x}")
}

/// The checksum of a file with zeros in place of the digits at `own`.
fn crc32_around(bytes: &[u8], own: &Range<usize>) -> String {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..own.start]);
    sum.update(ZEROS.as_bytes());
    sum.update(&bytes[own.end..]);
    digits(sum.finalize())
}

/// The place of a file's own digits: what follows `before`, if these digits are there.
fn own_digits(bytes: &[u8], before: &str, recorded: &str) -> Option<Range<usize>> {
    let whole = format!("{before}{recorded}\"");
    let found = bytes
        .windows(whole.len())
        .position(|window| window == whole.as_bytes())?;
    let start = found + before.len();
    (recorded.len() == ZEROS.len()).then(|| start..start + recorded.len())
}

/// Whether a file that holds its own checksum in the part `head` is as it was written.
fn is_intact(bytes: &[u8], head: usize, before: &str, recorded: &str) -> bool {
    own_digits(&bytes[..head], before, recorded)
        .is_some_and(|own| crc32_around(bytes, &own) == recorded)
}

/// Puts the checksum of a file into the zeros that follow `before` in the part `head`.
fn fill_in(bytes: &mut [u8], head: usize, before: &str) {
    if let Some(own) = own_digits(&bytes[..head], before, ZEROS) {
        let sum = crc32_around(bytes, &own);
        bytes[own].copy_from_slice(sum.as_bytes());
    }
}

/// The length of a safetensors file's header, with the number in front of it.
fn header_end(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    length.saturating_add(ALIGNMENT).min(bytes.len())
}

/// The remedy for a damaged file.
const INTACT_COPY: &str = "replace it by an intact copy";

/// What stands before the digits in `config.json`, and in the header of `model.safetensors`.
const BEFORE_CONFIG: &str = "\"config.json\": \"";
const BEFORE_WEIGHTS: &str = "\"crc32\":\"";

/// The content of `config.json`: a model's description, and the checksums of this file and of `tokenizer.json`.
pub(super) fn config_json(description: &impl Serialize, tokenizer: &[u8]) -> Result<Vec<u8>> {
    /// The description with one more key.
    #[derive(serde::Serialize)]
    struct WithChecksums<'a, D> {
        #[serde(flatten)]
        description: &'a D,
        checksums: BTreeMap<&'static str, String>,
    }
    let checksums = [(CONFIG, ZEROS.to_owned()), (TOKENIZER, crc32(tokenizer))];
    let mut bytes = to_json(&WithChecksums {
        description,
        checksums: checksums.into(),
    })?
    .into_bytes();
    let length = bytes.len();
    fill_in(&mut bytes, length, BEFORE_CONFIG);
    Ok(bytes)
}

/// What `config.json` says about the files beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    folder: PathBuf,
    config: Option<String>,
    tokenizer: Option<String>,
}

impl Recorded {
    /// Takes the checksums out of the parsed `config.json`; `None` if there are none.
    pub(super) fn remove(value: &mut Value, path: &Path) -> Option<Self> {
        let checksums = value.as_object_mut()?.remove(CHECKSUMS)?;
        let of = |name: &str| checksums.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            folder: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            config: of(CONFIG),
            tokenizer: of(TOKENIZER),
        })
    }

    fn fits_config(&self, bytes: &[u8]) -> bool {
        let own = self.config.as_ref();
        own.is_some_and(|own| is_intact(bytes, bytes.len(), BEFORE_CONFIG, own))
    }

    fn fits_tokenizer(&self, bytes: &[u8]) -> bool {
        self.tokenizer.as_ref() == Some(&crc32(bytes))
    }
}

/// Checks the files of a model whose `config.json` holds these checksums; the weights have checked their own.
///
/// # Errors
/// A file has changed since it was written, or the weights have no checksum although the other files have one.
pub(super) fn check_files(
    recorded: Option<Recorded>,
    config: &[u8],
    tokenizer: &[u8],
    weights: &WeightFile,
) -> Result<()> {
    let Some(recorded) = recorded else {
        return Ok(());
    };
    if !recorded.fits_config(config) {
        return Err(changed(&recorded.folder.join(CONFIG)));
    }
    if !recorded.fits_tokenizer(tokenizer) {
        return Err(changed(&recorded.folder.join(TOKENIZER)));
    }
    match weights.metadata(CRC32) {
        Some(_) => Ok(()),
        None => Err(no_checksum(weights.path())),
    }
}

/// What a file of a model is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileState {
    /// It is as it was written.
    Intact,
    /// It differs from its checksum, or has lost it.
    Changed,
    /// There is no checksum to compare it with.
    Unrecorded,
}

/// What `config.json`, `tokenizer.json` and `model.safetensors` are found to be, independently of one another as far as
/// possible.
pub(super) fn states(config: &[u8], tokenizer: &[u8], weights: &[u8]) -> [FileState; 3] {
    use FileState::{Changed, Intact, Unrecorded};
    let state = |intact: bool| if intact { Intact } else { Changed };
    let here = Path::new("");
    let value = serde_json::from_slice::<Value>(config);
    let recorded = value.map(|mut value| Recorded::remove(&mut value, here));
    let (of_config, of_tokenizer) = match &recorded {
        Err(_) => (Changed, Unrecorded),
        Ok(None) => (Unrecorded, Unrecorded),
        Ok(Some(recorded)) => (
            state(recorded.fits_config(config)),
            state(recorded.fits_tokenizer(tokenizer)),
        ),
    };
    let of_weights = match safetensors_of(here, weights, INTACT_COPY) {
        Err(_) => Changed,
        Ok((_, metadata)) if metadata.contains_key(CRC32) => {
            state(check_weights(here, weights, &metadata).is_ok())
        }
        Ok(_) if of_config == Unrecorded => Unrecorded,
        Ok(_) => Changed,
    };
    [of_config, of_tokenizer, of_weights]
}

/// Checks the bytes of a safetensors file with this metadata, if there is a checksum in it.
///
/// # Errors
/// The file has changed since it was written.
pub(super) fn check_weights(
    path: &Path,
    bytes: &[u8],
    metadata: &HashMap<String, String>,
) -> Result<()> {
    match metadata.get(CRC32) {
        Some(recorded) if !is_intact(bytes, header_end(bytes), BEFORE_WEIGHTS, recorded) => {
            Err(changed(path))
        }
        _ => Ok(()),
    }
}

/// The error for weights without a checksum beside a `config.json` that has some.
fn no_checksum(path: &Path) -> Error {
    Error::model(
        path,
        format!(
            "its metadata has no checksum ({CRC32}), unlike config.json: it has changed since it was written"
        ),
        remedy(path),
    )
}

fn changed(path: &Path) -> Error {
    Error::model(
        path,
        "the file has changed since it was written: its checksum differs from the one recorded",
        remedy(path),
    )
}

fn remedy(path: &Path) -> String {
    match path.parent().filter(|folder| *folder != Path::new("")) {
        Some(folder) => format!(
            "{INTACT_COPY}; if the change is meant, `birnn verify --accept --model {}` records it",
            folder.display()
        ),
        None => INTACT_COPY.to_owned(),
    }
}

/// The header of a safetensors file, in a fixed order.
struct Header<'a> {
    metadata: BTreeMap<&'a str, &'a str>,
    /// In the order of their data.
    tensors: Vec<(String, &'a TensorInfo)>,
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("__metadata__", &self.metadata)?;
        for (name, tensor) in &self.tensors {
            map.serialize_entry(name, tensor)?;
        }
        map.end()
    }
}

/// The same safetensors file with the checksum of the whole file in its metadata; errors use `path`.
///
/// # Errors
/// It is not an intact safetensors file.
pub(super) fn with_checksum(path: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    // Checks the whole file, with the messages of a reader.
    safetensors_of(path, &bytes, INTACT_COPY)?;
    let broken = |error| Error::Tensor(candle_core::Error::SafeTensor(error));
    let (length, parsed) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let metadata = parsed.metadata().iter().flatten();
    let mut metadata: BTreeMap<&str, &str> = metadata
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    metadata.insert(CRC32, ZEROS);
    let mut infos = parsed.tensors();
    let names = parsed.offset_keys().into_iter();
    let tensors = names.filter_map(|name| infos.remove(&name).map(|info| (name, info)));
    let header = Header {
        metadata,
        tensors: tensors.collect(),
    };
    let header = serde_json::to_string(&header).map_err(|error| {
        Error::argument("metadata", format!("cannot be written as JSON: {error}"))
    })?;
    // Padded so that the tensors are aligned, as the format demands.
    let padded = header.len().next_multiple_of(ALIGNMENT);
    let mut start = (padded as u64).to_le_bytes().to_vec();
    start.extend(format!("{header:padded$}").into_bytes());
    bytes.splice(..ALIGNMENT + length, start);
    fill_in(&mut bytes, ALIGNMENT + padded, BEFORE_WEIGHTS);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::to_safetensors;
    use candle_core::{Device, Tensor};

    /// The definition, bit by bit.
    fn reference(bytes: &[u8]) -> String {
        let sum = bytes.iter().fold(u32::MAX, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| {
                (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 }
            })
        });
        format!("{:08x}", !sum)
    }

    #[test]
    fn checksums_are_those_of_the_standard() {
        // The check value of CRC-32/ISO-HDLC, the CRC of gzip and zlib.
        assert_eq!(crc32(b"123456789"), "cbf43926");
        let bytes: Vec<u8> = (0..5000_u32).map(|n| ((n * n) >> 3) as u8).collect();
        for length in [0, 1, 15, 16, 63, 64, 127, 128, 4096, 5000] {
            assert_eq!(crc32(&bytes[..length]), reference(&bytes[..length]));
        }
        let mut zeroed = bytes.clone();
        zeroed[700..708].copy_from_slice(b"00000000");
        assert_eq!(crc32_around(&bytes, &(700..708)), reference(&zeroed));
    }

    fn weights(temperature: Option<&str>) -> Vec<u8> {
        let tensor = Tensor::new(&[1f32, 2., 3.], &Device::Cpu).unwrap();
        let metadata = temperature.map(|text| ("temperature".to_owned(), text.to_owned()));
        let bytes = to_safetensors(&[("b".to_owned(), tensor)].into(), metadata).unwrap();
        with_checksum(Path::new("w"), bytes).unwrap()
    }

    #[test]
    fn weights_hold_the_checksum_of_their_file_beside_other_metadata() {
        for temperature in [None, Some("1.5")] {
            let bytes = weights(temperature);
            let (tensors, metadata) = safetensors_of(Path::new("w"), &bytes, "").unwrap();
            let values: Vec<u8> = [1f32, 2., 3.].map(f32::to_le_bytes).concat();
            assert_eq!(tensors.tensor("b").unwrap().data(), values);
            assert_eq!(metadata.get("temperature").map(String::as_str), temperature);
            assert_eq!(metadata.len(), 1 + usize::from(temperature.is_some()));
            check_weights(Path::new("w"), &bytes, &metadata).unwrap();
            let recorded = &metadata[CRC32];
            let start = ALIGNMENT + "{\"__metadata__\":{\"crc32\":\"".len();
            let own = start..start + ZEROS.len();
            assert_eq!(bytes[own.clone()], *recorded.as_bytes());
            let mut zeroed = bytes.clone();
            zeroed[own].copy_from_slice(ZEROS.as_bytes());
            assert_eq!(reference(&zeroed), *recorded);
            // Twice is once, and the tensors stay aligned.
            assert!(with_checksum(Path::new("w"), bytes.clone()).unwrap() == bytes);
            assert!(header_end(&bytes).is_multiple_of(ALIGNMENT));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_small_model_is_found() {
        let description = BTreeMap::from([("labels", ["no", "yes"])]);
        let tokenizer = b"{}".to_vec();
        let config = config_json(&description, &tokenizer).unwrap();
        let files = [config, tokenizer, weights(Some("0.25"))];
        let states_of = |files: &[Vec<u8>; 3]| states(&files[0], &files[1], &files[2]);
        assert_eq!(states_of(&files), [FileState::Intact; 3]);
        for file in 0..3 {
            for bit in 0..8 * files[file].len() {
                let mut changed = files.clone();
                changed[file][bit / 8] ^= 1 << (bit % 8);
                let found = states_of(&changed);
                // In another key than `checksums` there are none; readers refuse such a key.
                let is_key = file == 0 && found[0] == FileState::Unrecorded;
                let key = br#""checksums""#;
                match is_key {
                    true => assert!(!changed[0].windows(key.len()).any(|part| part == key)),
                    false => assert_eq!(found[file], FileState::Changed, "file {file}, bit {bit}"),
                }
            }
            for length in 0..files[file].len() {
                let mut changed = files.clone();
                changed[file].truncate(length);
                assert_eq!(states_of(&changed)[file], FileState::Changed);
            }
        }
    }
}
