//! Gradients and sums as bytes. Rows of a table stay rows: what no text of a batch uses is not sent.

use crate::device::indices::Indices;
use crate::error::{Error, Result};
use crate::optim::{Gradient, Gradients};
use crate::train::StepMetrics;
use candle_core::{DType, Device, Tensor};

/// What a batch of a step gives.
pub(super) type OfBatch = (Gradients, StepMetrics);

/// Adds the bytes of a batch's gradients and sums.
pub(super) fn write(bytes: &mut Vec<u8>, (gradients, metrics): &OfBatch) -> Result<()> {
    let StepMetrics {
        loss,
        examples,
        correct,
        tokens,
    } = *metrics;
    let numbers = [
        loss.to_bits(),
        examples,
        correct.map_or(0, |right| right + 1),
        tokens,
    ];
    numbers.iter().for_each(|&number| put(bytes, number));
    put(bytes, gradients.iter().count() as u64);
    for (name, gradient) in gradients.iter() {
        put(bytes, name.len() as u64);
        bytes.extend_from_slice(name.as_bytes());
        let rows: &[u32] = match gradient {
            Gradient::Dense(_) => &[],
            Gradient::Rows { rows, .. } => rows,
        };
        put(bytes, u64::from(matches!(gradient, Gradient::Rows { .. })));
        put(bytes, rows.len() as u64);
        bytes.extend_from_slice(bytemuck::cast_slice(rows));
        write_tensor(bytes, gradient.values())?;
    }
    Ok(())
}

fn write_tensor(bytes: &mut Vec<u8>, tensor: &Tensor) -> Result<()> {
    put(bytes, tensor.dims().len() as u64);
    for &size in tensor.dims() {
        put(bytes, size as u64);
    }
    let host = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values: Vec<f32> = host.flatten_all()?.to_vec1()?;
    bytes.extend_from_slice(bytemuck::cast_slice(&values));
    Ok(())
}

fn put(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Reads what [`write`] has written.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    device: &'a Device,
}

impl<'a> Reader<'a> {
    /// Tensors are made on the device.
    pub(super) fn new(bytes: &'a [u8], device: &'a Device) -> Self {
        Self {
            rest: bytes,
            device,
        }
    }

    /// The next batch.
    ///
    /// # Errors
    /// Bytes that end early, as another program may send them.
    pub(super) fn batch(&mut self) -> Result<OfBatch> {
        let metrics = StepMetrics {
            loss: f64::from_bits(self.number()?),
            examples: self.number()?,
            correct: self.number()?.checked_sub(1),
            tokens: self.number()?,
        };
        let mut gradients = Gradients::default();
        for _ in 0..self.number()? {
            let length = self.size()?;
            let name = String::from_utf8_lossy(self.take(length)?).into_owned();
            let is_rows = self.number()? == 1;
            let count = self.size()?;
            let rows: Vec<u32> = self.words(count)?;
            let values = self.tensor()?;
            gradients.insert(
                name,
                match is_rows {
                    true => Gradient::Rows {
                        rows: Indices::from(rows),
                        values,
                    },
                    false => Gradient::Dense(values),
                },
            );
        }
        Ok((gradients, metrics))
    }

    fn tensor(&mut self) -> Result<Tensor> {
        let dimensions = self.size()?;
        let sizes: Result<Vec<usize>> = (0..dimensions).map(|_| self.size()).collect();
        let sizes = sizes?;
        let values: Vec<f32> = self.words(sizes.iter().product())?;
        Ok(Tensor::from_vec(values, sizes, self.device)?)
    }

    /// Numbers of four bytes each.
    fn words<T: bytemuck::Pod>(&mut self, count: usize) -> Result<Vec<T>> {
        let bytes = self.take(count.saturating_mul(size_of::<u32>()))?;
        let mut words = vec![T::zeroed(); count];
        bytemuck::cast_slice_mut::<T, u8>(&mut words).copy_from_slice(bytes);
        Ok(words)
    }

    fn size(&mut self) -> Result<usize> {
        Ok(usize::try_from(self.number()?).unwrap_or(usize::MAX))
    }

    fn number(&mut self) -> Result<u64> {
        let bytes = self.take(size_of::<u64>())?;
        Ok(u64::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(Error::Ranks {
                problem: "what another rank has sent ends early".to_owned(),
                remedy: "start the same program on every rank".to_owned(),
            });
        };
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let mut gradients = Gradients::default();
        let dense = Tensor::new(&[[1f32, -0.0], [f32::MIN_POSITIVE, 1e-40]], &Device::Cpu).unwrap();
        gradients.insert("encoder.weight", Gradient::Dense(dense.clone()));
        let values = Tensor::new(&[[0.1f32], [0.2]], &Device::Cpu).unwrap();
        let rows = vec![3u32, 70_000].into();
        gradients.insert("embedding", Gradient::Rows { rows, values });
        let metrics = StepMetrics {
            loss: 0.1 + 0.2,
            examples: 7,
            correct: Some(0),
            tokens: 90,
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &(gradients, metrics)).unwrap();
        let none = StepMetrics::default();
        write(&mut bytes, &(Gradients::default(), none)).unwrap();
        let mut reader = Reader::new(&bytes, &Device::Cpu);
        let (found, sums) = reader.batch().unwrap();
        assert_eq!(sums, metrics);
        let found: Vec<(&str, &Gradient)> = found.iter().collect();
        let [
            ("embedding", Gradient::Rows { rows, values }),
            ("encoder.weight", Gradient::Dense(found)),
        ] = found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!((&rows[..], values.dims()), (&[3, 70_000][..], &[2, 1][..]));
        let bits = |tensor: &Tensor| -> Vec<u32> {
            let flat: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            flat.into_iter().map(f32::to_bits).collect()
        };
        assert_eq!(bits(found), bits(&dense));
        assert_eq!(reader.batch().unwrap().1, none);
        for length in 0..bytes.len() - 40 {
            let mut short = Reader::new(&bytes[..length], &Device::Cpu);
            assert!(short.batch().and_then(|_| short.batch()).is_err());
        }
    }
}
