//! The messages of a stream, and the batches of rows in them.

use std::io::{BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::SchemaRef;

use super::damaged;
use crate::data::bytes::{Content, Input, fail};
use crate::error::Result;

/// The longest description of a message that is read.
const MAX_METADATA: u64 = 256 << 20;

/// The longest message that is read.
const MAX_BODY: u64 = 8 << 30;

/// A compressed buffer may hold this many times its own size, and 64 KiB more.
const MAX_RATIO: u64 = 10_000;

/// The length of `ARROW1`, with which files begin.
const FILE_MAGIC: usize = 6;

/// The batches of a file or stream, one after the other.
pub(in crate::data) struct Batches<'a> {
    origin: String,
    reader: Box<dyn BufRead + 'a>,
    decoder: StreamDecoder,
    schema: SchemaRef,
    /// A batch that was decoded with the schema.
    first: Option<RecordBatch>,
}

impl<'a> Batches<'a> {
    /// Opens a file or stream and reads its schema.
    ///
    /// # Errors
    /// The data are damaged.
    pub fn open(input: Input<'a>) -> Result<Self> {
        let is_file = input.content == Content::ArrowFile;
        let (mut reader, origin) = input.into_parts();
        if is_file {
            reader.consume(FILE_MAGIC);
            // Writers align the stream to 8 or 64 bytes.
            while reader
                .fill_buf()
                .map_err(|error| fail(&origin, error))?
                .first()
                == Some(&0)
            {
                reader.consume(1);
            }
        }
        let mut batches = Self {
            origin,
            reader,
            decoder: StreamDecoder::new(),
            schema: SchemaRef::new(arrow_schema::Schema::empty()),
            first: None,
        };
        while batches.first.is_none() && batches.decoder.schema().is_none() {
            match batches.message()? {
                Some(message) => batches.first = batches.decode(message)?,
                None => return Err(damaged(&batches.origin, "there is no schema")),
            }
        }
        batches.schema = batches
            .decoder
            .schema()
            .unwrap_or_else(|| batches.schema.clone());
        Ok(batches)
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The next batch.
    ///
    /// # Errors
    /// The data are damaged.
    pub fn next(&mut self) -> Result<Option<RecordBatch>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while let Some(message) = self.message()? {
            if let Some(batch) = self.decode(message)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Decodes a message. A damaged one can make the decoder panic; the panic is caught here and becomes an error.
    fn decode(&mut self, message: Vec<u8>) -> Result<Option<RecordBatch>> {
        let mut buffer = Buffer::from_vec(message);
        let decoder = &mut self.decoder;
        match catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut buffer))) {
            Ok(Ok(batch)) => Ok(batch),
            Ok(Err(error)) => Err(damaged(&self.origin, &error.to_string())),
            Err(_) => Err(damaged(&self.origin, "its contents make no sense")),
        }
    }

    /// The next message with its length before it; `None` at the end of the stream.
    fn message(&mut self) -> Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        // The marker and the length of the description.
        if self.take(&mut message, 8)? < 8 {
            return match message.is_empty() {
                true => Ok(None),
                false => Err(damaged(&self.origin, "a message is cut off")),
            };
        }
        let length = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_le_bytes);
        if length(&message[..4]) != u32::MAX {
            return Err(damaged(
                &self.origin,
                "a message does not begin as it should",
            ));
        }
        let metadata = u64::from(length(&message[4..]));
        if metadata == 0 {
            return Ok(None);
        }
        if metadata > MAX_METADATA || self.take(&mut message, metadata)? < metadata {
            return Err(damaged(&self.origin, "a message is cut off"));
        }
        let body = match root_as_message(&message[8..]) {
            Ok(parsed) => u64::try_from(parsed.bodyLength()).unwrap_or(u64::MAX),
            Err(error) => return Err(damaged(&self.origin, &error.to_string())),
        };
        if body > MAX_BODY || self.take(&mut message, body)? < body {
            return Err(damaged(&self.origin, "a message is cut off"));
        }
        self.check_compressed(&message, 8 + metadata as usize)?;
        Ok(Some(message))
    }

    /// Takes as many bytes, or those that are left; returns how many there were.
    fn take(&mut self, message: &mut Vec<u8>, count: u64) -> Result<u64> {
        let taken = self.reader.by_ref().take(count).read_to_end(message);
        taken
            .map(|taken| taken as u64)
            .map_err(|error| fail(&self.origin, error))
    }

    /// Refuses compressed buffers that claim to hold more than data of their size can.
    fn check_compressed(&self, message: &[u8], body: usize) -> Result<()> {
        let Ok(parsed) = root_as_message(&message[8..]) else {
            return Ok(());
        };
        let batch = match parsed.header_type() {
            MessageHeader::RecordBatch => parsed.header_as_record_batch(),
            MessageHeader::DictionaryBatch => parsed
                .header_as_dictionary_batch()
                .and_then(|batch| batch.data()),
            _ => None,
        };
        let Some(batch) = batch.filter(|batch| batch.compression().is_some()) else {
            return Ok(());
        };
        let mut total = 0;
        // An empty buffer begins where the next one does.
        let buffers = batch.buffers();
        for buffer in buffers
            .iter()
            .flatten()
            .filter(|buffer| buffer.length() > 0)
        {
            let start = usize::try_from(buffer.offset())
                .ok()
                .and_then(|start| body.checked_add(start));
            let claimed = start.and_then(|start| message.get(start..)?.first_chunk().copied());
            let claimed = claimed.map_or(0, i64::from_le_bytes);
            let most = MAX_RATIO
                .saturating_mul(u64::try_from(buffer.length()).unwrap_or(0))
                .saturating_add(1 << 16);
            let claimed = u64::try_from(claimed).unwrap_or(0);
            total += claimed.min(MAX_BODY + 1);
            if claimed > most || total > MAX_BODY {
                return Err(damaged(
                    &self.origin,
                    "a compressed buffer claims to be larger than it can be",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Int64Array, StringArray};
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let texts = StringArray::from_iter_values((0..1000).map(|row| format!("text {row}")));
        let labels = Int64Array::from_iter((0..1000).map(|row| (row % 3 != 2).then_some(row % 3)));
        RecordBatch::try_from_iter([
            ("text", Arc::new(texts) as _),
            ("label", Arc::new(labels) as _),
        ])
        .unwrap()
    }

    fn read_back(bytes: &[u8]) -> Result<usize> {
        let mut batches = Batches::open(Input::stream("x", bytes, None)?)?;
        let mut rows = 0;
        while let Some(read) = batches.next()? {
            assert_eq!(read, batch());
            rows += read.num_rows();
        }
        Ok(rows)
    }

    #[test]
    fn files_and_streams_are_read_compressed_or_not() {
        for compression in [
            None,
            Some(CompressionType::ZSTD),
            Some(CompressionType::LZ4_FRAME),
        ] {
            let options = IpcWriteOptions::default()
                .try_with_compression(compression)
                .unwrap();
            let mut stream = Vec::new();
            let mut writer =
                StreamWriter::try_new_with_options(&mut stream, &batch().schema(), options.clone())
                    .unwrap();
            writer.write(&batch()).unwrap();
            writer.write(&batch()).unwrap();
            writer.finish().unwrap();
            let mut file = Vec::new();
            let mut writer =
                FileWriter::try_new_with_options(&mut file, &batch().schema(), options).unwrap();
            writer.write(&batch()).unwrap();
            writer.finish().unwrap();
            assert_eq!(read_back(&stream).unwrap(), 2000);
            assert_eq!(read_back(&file).unwrap(), 1000);
            let message = read_back(&stream[..stream.len() / 2])
                .unwrap_err()
                .to_string();
            assert_eq!(
                message,
                "x: the file is not Arrow or is damaged (a message is cut off); check that it was copied or downloaded \
                 completely"
            );
        }
    }
}
