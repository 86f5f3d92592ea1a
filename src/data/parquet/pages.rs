//! The pages of a column, each checked before memory is allocated for what it claims.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::ColumnChunkMetaData;
use ::parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

use super::delta;
use super::thrift::PageHeader;

/// Reads the pages of one column in a row group.
pub(super) struct Pages {
    pages: SerializedPageReader<File>,
    file: Arc<File>,
    /// The offset of the next page, and the number of bytes left from there.
    offset: u64,
    left: u64,
    /// The maximum number of bytes into which a byte of the file can expand.
    growth: u64,
    /// How many values the remaining pages may hold; that of a plain column is the number of rows.
    values: usize,
    /// How many sequences of levels precede the values: of repetition in lists, and of definition where values may be
    /// null.
    level_sequences: usize,
    /// Whether the values are elements of lists.
    repeats: bool,
}

impl Pages {
    /// The pages of the column described by `metadata`, in a row group of `rows` rows, with at most `values` values.
    pub(super) fn new(
        file: &Arc<File>,
        metadata: &ColumnChunkMetaData,
        rows: usize,
        values: usize,
    ) -> Result<Self> {
        let start = metadata.dictionary_page_offset();
        let start = u64::try_from(start.unwrap_or(metadata.data_page_offset()));
        let bytes = u64::try_from(metadata.compressed_size());
        let (Ok(offset), Ok(left)) = (start, bytes) else {
            return wrong("a column has a negative offset or size");
        };
        if offset.checked_add(left).is_none_or(|end| end > file.len()) {
            return wrong("a column does not lie within the file");
        }
        let column = metadata.column_descr();
        Ok(Self {
            pages: SerializedPageReader::new(Arc::clone(file), metadata, rows, None)?,
            file: Arc::clone(file),
            offset,
            left,
            growth: growth(metadata.compression()),
            values,
            level_sequences: [column.max_rep_level(), column.max_def_level()]
                .into_iter()
                .filter(|level| *level > 0)
                .count(),
            repeats: column.max_rep_level() > 0,
        })
    }

    /// Checks the headers up to the next page that is read.
    fn check_header(&mut self) -> Result<()> {
        while self.left > 0 {
            let input = self.file.get_read(self.offset)?.take(self.left);
            let header = PageHeader::read(input)
                .map_err(|error| ParquetError::General(error.to_string()))?;
            let length = header.length + header.compressed;
            if length > self.left {
                return wrong("a page is longer than its column");
            }
            // The sizes are below 2³¹.
            if header.uncompressed > header.compressed * self.growth {
                let problem = format!(
                    "{} bytes of a page cannot expand to {}",
                    header.compressed, header.uncompressed
                );
                return Err(ParquetError::General(problem));
            }
            self.offset += length;
            self.left -= length;
            if !header.is_index {
                break;
            }
        }
        Ok(())
    }

    /// Refuses a page that claims to hold more values than it can.
    fn check_values(&mut self, page: &Page) -> Result<()> {
        let count = page.num_values() as usize;
        if page.is_dictionary_page() {
            // Each takes at least four bytes: a number, or the length of a text.
            return match count <= page.buffer().len() / 4 {
                true => Ok(()),
                false => wrong("a dictionary has more entries than its bytes can hold"),
            };
        }
        match self.values.checked_sub(count) {
            Some(left) => self.values = left,
            None if self.repeats => return wrong("lists have too many elements for their rows"),
            None => return wrong("a column has more values than there are rows"),
        }
        let sequences = match page.encoding() {
            // The lengths of the texts, preceded, for DELTA_BYTE_ARRAY, by the lengths of the prefixes shared with the
            // previous text.
            Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
            Encoding::DELTA_BYTE_ARRAY => 2,
            _ => return Ok(()),
        };
        let mut rest = values(page, self.level_sequences);
        for _ in 0..sequences {
            rest = rest.and_then(|bytes| delta::after(bytes, count));
        }
        match rest {
            Some(_) => Ok(()),
            None => wrong("a page has fewer lengths than values"),
        }
    }
}

/// The bytes of a data page after its sequences of levels.
fn values(page: &Page, level_sequences: usize) -> Option<&[u8]> {
    let bytes: &[u8] = page.buffer();
    let levels = match page {
        Page::DataPageV2 {
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => (*def_levels_byte_len as usize).checked_add(*rep_levels_byte_len as usize)?,
        _ if level_sequences == 0 => 0,
        Page::DataPage {
            def_level_encoding: Encoding::RLE,
            ..
        } => {
            let mut levels = 0_usize;
            for _ in 0..level_sequences {
                let length = u32::from_le_bytes(*bytes.get(levels..)?.first_chunk()?);
                levels = levels.checked_add(4)?.checked_add(length as usize)?;
            }
            levels
        }
        // One bit each; of lists, whose levels take more, no writer has done that for ten years.
        _ if level_sequences > 1 => return None,
        _ => page.num_values().div_ceil(8) as usize,
    };
    bytes.get(levels..)
}

/// The maximum expansion factor of a compression codec.
///
/// A header that claims more is wrong, however the page was packed. The uncompressed size in the column metadata would
/// be a lower bound, but some writers left it 0 (DuckDB) or omitted the dictionary (fastparquet).
fn growth(compression: Compression) -> u64 {
    match compression {
        // Three bytes encode a repetition of 64 bytes.
        Compression::UNCOMPRESSED | Compression::SNAPPY => 22,
        // Each byte adds up to 255 repeated bytes.
        Compression::LZ4 | Compression::LZ4_RAW => 255,
        // Two bits encode a repetition of 258 bytes.
        Compression::GZIP(_) => 1032,
        // Four bytes encode a repetition of one byte, 2¹⁷ times.
        _ => 1 << 15,
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.check_header()?;
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check_values(page)?;
        }
        Ok(page)
    }

    /// For lists: whether the next page begins with another row. Where only the row itself could tell, the answer is no,
    /// and the reader looks at it.
    fn at_record_boundary(&mut self) -> Result<bool> {
        Ok(self.left == 0)
    }

    /// Used only for skipping.
    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        wrong("pages are read one after the other")
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.get_next_page().map(drop)
    }
}

fn wrong<T>(problem: &str) -> Result<T> {
    Err(ParquetError::General(problem.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(levels: Encoding, bytes: &[u8]) -> Page {
        Page::DataPage {
            buf: bytes.to_vec().into(),
            num_values: 9,
            encoding: Encoding::PLAIN,
            def_level_encoding: levels,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    #[test]
    fn values_follow_the_definition_levels() {
        let bytes = [2, 0, 0, 0, 7, 7, 1];
        let rle = page(Encoding::RLE, &bytes);
        assert_eq!(values(&rle, 0), Some(bytes.as_slice()));
        assert_eq!(values(&rle, 1), Some([1].as_slice()));
        // Nine bits in two bytes.
        #[expect(deprecated)]
        let packed = page(Encoding::BIT_PACKED, &bytes);
        assert_eq!(values(&packed, 1), Some(&bytes[2..]));
        let version_2 = Page::DataPageV2 {
            buf: bytes.to_vec().into(),
            num_values: 9,
            encoding: Encoding::PLAIN,
            num_nulls: 0,
            num_rows: 9,
            def_levels_byte_len: 2,
            rep_levels_byte_len: 1,
            is_compressed: false,
            statistics: None,
        };
        assert_eq!(values(&version_2, 1), Some(&bytes[3..]));
        for bytes in [&[0xff; 4][..], &[0; 3], &[3, 0, 0, 0, 7, 7]] {
            assert_eq!(values(&page(Encoding::RLE, bytes), 1), None);
        }
    }
}
