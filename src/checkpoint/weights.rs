//! Reads safetensors files from memory or from mapped files: only the parts that are used are read
//! and copied.

use super::bytes::Bytes;
use super::checksums::check_weights;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ops::embedding::EmbeddingTable;
use crate::parameters::{Rename, safetensors_of};
use birnn_kernels::finite::{all_finite, all_finite_half};
use candle_core::safetensors::Load;
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use half::slice::HalfFloatSliceExt;
use safetensors::{Dtype, tensor::TensorView};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open safetensors file.
#[derive(Debug)]
pub(super) struct WeightFile {
    path: PathBuf,
    bytes: Bytes,
    entries: BTreeMap<String, Entry>,
    metadata: HashMap<String, String>,
}

/// The position of a tensor in the file.
#[derive(Debug)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl WeightFile {
    /// Opens a file and reads the names and shapes of its tensors.
    ///
    /// # Errors
    /// The file cannot be read, is not an intact safetensors file, or differs from its checksum.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let bytes = Bytes::map(path).map_err(Error::io("read", path))?;
        Self::of_bytes(path, bytes)
    }

    /// Reads the names and shapes of the tensors in the bytes of a file; errors use `path`.
    ///
    /// # Errors
    /// It is not an intact safetensors file, or differs from its checksum.
    pub(super) fn of_bytes(path: &Path, bytes: Bytes) -> Result<Self> {
        let (tensors, metadata) =
            safetensors_of(path, &bytes, "replace it by an intact copy, or train again")?;
        check_weights(path, &bytes, &metadata)?;
        let entries = tensors.iter().map(|(name, view)| {
            let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
            let entry = Entry {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: start..start + view.data().len(),
            };
            (name.to_owned(), entry)
        });
        let entries = entries.collect();
        Ok(Self {
            path: path.to_path_buf(),
            bytes,
            entries,
            metadata,
        })
    }

    /// An entry of the file's metadata, if present.
    pub(super) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the tensors, in alphabetical order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The names and shapes of the tensors, in alphabetical order.
    pub(super) fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry.shape.as_slice()))
    }

    /// Renames the tensors, one renaming after the other.
    ///
    /// # Errors
    /// A renaming that matches no name, or gives two tensors one name.
    pub(super) fn rename(&mut self, renames: &[Rename]) -> Result<()> {
        for rename in renames {
            rename
                .apply(&mut self.entries)
                .map_err(|(problem, remedy)| Error::model(&self.path, problem, remedy))?;
        }
        Ok(())
    }

    /// The shape of a tensor, if present.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Whether a tensor is present and has a floating-point type that weights may have.
    pub(super) fn is_floating(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| {
            matches!(
                entry.dtype,
                Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64
            )
        })
    }

    /// A tensor as single precision on `device`.
    ///
    /// # Errors
    /// The tensor is missing, or has a type that Candle does not support.
    pub(super) fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let entry = self.entry(name)?;
        let bytes = &self.bytes[entry.bytes.clone()];
        let view = TensorView::new(entry.dtype, entry.shape.clone(), bytes)
            .map_err(|error| Error::Tensor(candle_core::Error::SafeTensor(error)))?;
        let tensor = view.load(device).map_err(|error| match error {
            candle_core::Error::UnsupportedSafeTensorDtype(dtype) => Error::model(
                &self.path,
                format!("the tensor {name} has the type {dtype:?}, which is not supported"),
                "replace it by an intact copy, or train again",
            ),
            other => Error::Tensor(other),
        })?;
        to_single(tensor)
    }

    /// Every tensor as single precision on `device`, by name.
    ///
    /// # Errors
    /// A tensor has a type that Candle does not support.
    pub(super) fn tensors(&self, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        self.names()
            .map(|name| Ok((name.to_owned(), self.tensor(name, device)?)))
            .collect()
    }

    /// A tensor [V, E] of single or half precision (F32, F16, BF16) as a table that stays in the
    /// file; `None` if it has another type or rank.
    ///
    /// # Errors
    /// The tensor is missing.
    pub(super) fn table(&self, name: &str) -> Result<Option<TableInFile>> {
        let entry = self.entry(name)?;
        let dtype = match entry.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            _ => return Ok(None),
        };
        Ok(match entry.shape[..] {
            [rows, columns] => Some(TableInFile {
                file: self.bytes.clone(),
                bytes: entry.bytes.clone(),
                dtype,
                rows,
                columns,
            }),
            _ => None,
        })
    }

    /// Whether all numbers of a tensor are finite in single precision.
    ///
    /// # Errors
    /// As [`WeightFile::tensor`].
    pub(super) fn is_finite(&self, name: &str) -> Result<bool> {
        let entry = self.entry(name)?;
        let bytes = &self.bytes[entry.bytes.clone()];
        match entry.dtype {
            Dtype::F32 => return Ok(all_finite(bytes)),
            Dtype::F16 => return Ok(all_finite_half(bytes, 0x0400)),
            Dtype::BF16 => return Ok(all_finite_half(bytes, 0x0080)),
            _ => {}
        }
        let tensor = self.tensor(name, &Device::Cpu)?.flatten_all()?;
        let values: Vec<f32> = tensor.to_vec1()?;
        Ok(values.iter().all(|value| value.is_finite()))
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| {
            Error::model(
                &self.path,
                format!("the tensor {name} is missing"),
                "replace it by an intact copy, or train again",
            )
        })
    }
}

/// An embedding table [V, E] on the CPU whose rows are read from its file when they are used.
#[derive(Debug)]
pub(super) struct TableInFile {
    file: Bytes,
    bytes: Range<usize>,
    dtype: DType,
    rows: usize,
    columns: usize,
}

impl EmbeddingTable for TableInFile {
    fn rows(&self) -> usize {
        self.rows
    }

    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let table = &self.file[self.bytes.clone()];
        let width = self.columns * self.dtype.size_in_bytes();
        let ids = batch.packed_ids();
        // Bytes, not numbers: the file may store them at any alignment.
        let mut rows = Vec::with_capacity(ids.len() * width);
        for &id in ids.iter() {
            let row = id as usize * width;
            let Some(row) = table.get(row..row + width) else {
                let problem = format!("token {id}, but the embedding has {} rows", self.rows);
                return Err(Error::argument("batch", problem));
            };
            rows.extend_from_slice(row);
        }
        let shape = [ids.len(), self.columns];
        to_single(Tensor::from_raw_buffer(
            &rows,
            self.dtype,
            &shape,
            &Device::Cpu,
        )?)
    }
}

/// A whole tensor as single precision: on the CPU by the instructions for blocks of half precision, which Candle's
/// conversion, number by number, does not use.
fn to_single(tensor: Tensor) -> Result<Tensor> {
    let shape = tensor.shape().clone();
    let numbers = {
        let (storage, layout) = tensor.storage_and_layout();
        match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F16(halves)), Some((from, to))) => {
                Some(halves[from..to].to_f32_vec())
            }
            (Storage::Cpu(CpuStorage::BF16(halves)), Some((from, to))) => {
                Some(halves[from..to].to_f32_vec())
            }
            _ => None,
        }
    };
    match numbers {
        Some(numbers) => Ok(Tensor::from_vec(numbers, shape, &Device::Cpu)?),
        None => Ok(tensor.to_dtype(DType::F32)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// A file whose header is padded by `padding` spaces, so that numbers are at any alignment.
    fn file(folder: &Path, padding: usize, dtype: &str, shape: [usize; 2], data: &[u8]) -> PathBuf {
        let header = format!(
            r#"{{"t":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[0,{}]}}}}{}"#,
            data.len(),
            " ".repeat(padding)
        );
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(data);
        let path = folder.join("t.safetensors");
        std::fs::write(&path, file).unwrap();
        path
    }

    #[test]
    fn rows_of_a_table_in_a_file_are_those_of_the_tensor_at_any_alignment() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = [1f32, 2., 3., 4., 5., 6., 7., 8., 9.];
        let halves = |dtype: DType| -> Vec<u8> {
            let tensor = Tensor::new(&numbers, &Device::Cpu).unwrap();
            let tensor = tensor.to_dtype(dtype).unwrap();
            safetensors::View::data(&tensor).into_owned()
        };
        let types = [
            ("F32", bytes(&numbers)),
            ("F16", halves(DType::F16)),
            ("BF16", halves(DType::BF16)),
        ];
        let cases = types.iter().flat_map(|case| (0..4).map(move |n| (case, n)));
        for ((dtype, data), padding) in cases {
            let path = file(folder.path(), padding, dtype, [3, 3], data);
            let weights = WeightFile::open(&path).unwrap();
            assert!(weights.is_finite("t").unwrap());
            let tensor = weights.tensor("t", &Device::Cpu).unwrap();
            let table = weights.table("t").unwrap().unwrap();
            let batch = Batch::new(&[&[2, 0], &[1, 2, 2]]).unwrap();
            let embedded: Vec<Vec<f32>> = table.embed(&batch).unwrap().to_vec2().unwrap();
            let rows: Vec<Vec<f32>> = tensor.to_vec2().unwrap();
            let expected: Vec<_> = batch
                .packed_ids()
                .iter()
                .map(|&id| &rows[id as usize])
                .collect();
            assert_eq!(embedded.iter().collect::<Vec<_>>(), expected);
            let beyond = table.embed(&Batch::new(&[&[3]]).unwrap()).unwrap_err();
            assert_eq!(
                beyond.to_string(),
                "batch: token 3, but the embedding has 3 rows"
            );
        }
    }

    #[test]
    fn other_types_are_converted() {
        let folder = tempfile::tempdir().unwrap();
        let data: Vec<u8> = [1f64, 1e300].iter().flat_map(|n| n.to_le_bytes()).collect();
        let weights = WeightFile::open(&file(folder.path(), 0, "F64", [1, 2], &data)).unwrap();
        assert!(weights.table("t").unwrap().is_none());
        // Too large for single precision.
        assert!(!weights.is_finite("t").unwrap());
        let data = [0x00, 0x3C, 0x00, 0xC0];
        let weights = WeightFile::open(&file(folder.path(), 0, "F16", [1, 2], &data)).unwrap();
        assert!(weights.is_finite("t").unwrap());
        let tensor = weights.tensor("t", &Device::Cpu).unwrap();
        assert_eq!(tensor.to_vec2::<f32>().unwrap(), [[1., -2.]]);
    }
}
