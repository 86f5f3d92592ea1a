//! A minimal reader of Thrift's compact protocol, to check a file's claims before the `parquet` crate reads them.
//!
//! The crate's own reader is private. It trusts the sizes in a page header; it iterates over the booleans of an unknown
//! list although it finds no bytes for them; and in a page header it keeps skipping numbers after the end of the file.
//! So ten bytes keep it busy for 2³¹ steps, and a file may hold any number of them. No valid file needs a list of
//! booleans there.

use std::io::{BufRead, Error, ErrorKind, Read, Result, copy, sink};

use Kind::{Boolean, Bytes, Integer, List, Struct};

/// The maximum nesting depth, the same as the crate's.
const MAX_DEPTH: u8 = 64;

/// The sizes in a page header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Whether the page belongs to an index; readers skip it.
    pub(super) is_index: bool,
    /// The size of the page when uncompressed, in bytes.
    pub(super) uncompressed: u64,
    /// The size of the page in the file, without this header, in bytes.
    pub(super) compressed: u64,
    /// The size of this header, in bytes.
    pub(super) length: u64,
}

impl PageHeader {
    /// The types of the fields 1, 2, ...
    const FIELDS: [Kind; 8] = [
        Integer, Integer, Integer, Integer, Struct, Struct, Struct, Struct,
    ];
    /// The same for the nested headers of data pages (5), dictionary pages (7) and version-2 data pages (8).
    const OF_DATA: [Kind; 4] = [Integer; 4];
    const OF_DICTIONARY: [Kind; 3] = [Integer, Integer, Boolean];
    const OF_DATA_2: [Kind; 7] = [
        Integer, Integer, Integer, Integer, Integer, Integer, Boolean,
    ];

    /// Reads a header, and not a byte more.
    ///
    /// The crate looks only at field numbers and takes the types for granted. They are checked here, so that the crate
    /// cannot read other sizes from the same bytes.
    pub(super) fn read(input: impl BufRead) -> Result<Self> {
        let mut input = Compact { input, position: 0 };
        let mut numbers = [None; 3];
        input.fields(&Self::FIELDS, |input, id, kind| match id {
            1..=3 => {
                numbers[id as usize - 1] = Some(input.integer()?);
                Ok(())
            }
            5 => input.known(&Self::OF_DATA),
            7 => input.known(&Self::OF_DICTIONARY),
            8 => input.known(&Self::OF_DATA_2),
            _ => input.skip(kind, MAX_DEPTH),
        })?;
        let [Some(page_type), Some(uncompressed), Some(compressed)] = numbers else {
            return wrong("a page header does not give the page's size");
        };
        let (Ok(uncompressed), Ok(compressed)) = (uncompressed.try_into(), compressed.try_into())
        else {
            return wrong("a page has a negative size");
        };
        Ok(Self {
            is_index: page_type == 1,
            uncompressed,
            compressed,
            length: input.position,
        })
    }
}

/// Refuses a structure that contains a list of booleans or is malformed.
pub(super) fn check(input: impl BufRead) -> Result<()> {
    Compact { input, position: 0 }.skip(Struct, MAX_DEPTH)
}

/// The types, by how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A boolean: encoded in its type, without further bytes.
    Boolean,
    /// A number of fixed width in bytes.
    Fixed(u8),
    /// An integer of any width.
    Integer,
    /// A string or other bytes.
    Bytes,
    /// A list or a set.
    List,
    Map,
    Struct,
}

impl Kind {
    fn of(nibble: u8) -> Result<Self> {
        Ok(match nibble {
            1 | 2 => Boolean,
            3 => Self::Fixed(1),
            4..=6 => Integer,
            7 => Self::Fixed(8),
            8 => Bytes,
            9 | 10 => List,
            11 => Self::Map,
            12 => Struct,
            13 => Self::Fixed(16),
            _ => return wrong("a value has an unknown type"),
        })
    }
}

/// A reader of values.
struct Compact<R> {
    input: R,
    /// Number of bytes read.
    position: u64,
}

impl<R: BufRead> Compact<R> {
    /// Reads a structure, each field with `read`, which is called with its number and type; the fields from 1 on must
    /// have the `known` types.
    fn fields(
        &mut self,
        known: &[Kind],
        mut read: impl FnMut(&mut Self, i16, Kind) -> Result<()>,
    ) -> Result<()> {
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            if head & 0xf == 0 {
                return Ok(());
            }
            let kind = Kind::of(head & 0xf)?;
            let next = match head >> 4 {
                0 => self.integer()?,
                step => i32::from(id) + i32::from(step),
            };
            let Ok(next) = i16::try_from(next) else {
                return wrong("a field number is out of range");
            };
            id = next;
            let index = usize::try_from(i32::from(id) - 1);
            let known = index.ok().and_then(|index| known.get(index));
            if known.is_some_and(|known| *known != kind) {
                return wrong("a field has the wrong type");
            }
            read(self, id, kind)?;
        }
    }

    /// Skips a structure whose fields from 1 on have the `known` types.
    fn known(&mut self, known: &[Kind]) -> Result<()> {
        self.fields(known, |input, _, kind| input.skip(kind, MAX_DEPTH))
    }

    /// Skips a value nested at most `depth` deep. This takes as many steps as there are bytes.
    fn skip(&mut self, kind: Kind, depth: u8) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return wrong("values are nested too deeply");
        };
        match kind {
            Boolean => Ok(()),
            Kind::Fixed(bytes) => self.pass(bytes.into()),
            Integer => self.varint().map(drop),
            Bytes => {
                let bytes = self.varint()?;
                self.pass(bytes)
            }
            List => {
                let head = self.byte()?;
                // Some writers write an empty list without a type.
                if head == 0 {
                    return Ok(());
                }
                let kind = Kind::of(head & 0xf)?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => count.into(),
                };
                self.skip_each(&[kind], count, depth)
            }
            Kind::Map => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                self.skip_each(
                    &[Kind::of(kinds >> 4)?, Kind::of(kinds & 0xf)?],
                    count,
                    depth,
                )
            }
            Struct => self.fields(&[], |input, _, kind| input.skip(kind, depth)),
        }
    }

    /// Skips `count` elements of a list or a map.
    fn skip_each(&mut self, kinds: &[Kind], count: u64, depth: u8) -> Result<()> {
        if count > 0 && kinds.contains(&Boolean) {
            return wrong("there is a list of booleans");
        }
        for _ in 0..count {
            for kind in kinds {
                self.skip(*kind, depth)?;
            }
        }
        Ok(())
    }

    fn integer(&mut self) -> Result<i32> {
        let number = self.varint()?;
        let number = (number >> 1) as i64 ^ -((number & 1) as i64);
        i32::try_from(number).or_else(|_| wrong("a number is too large"))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        wrong("a number is too long")
    }

    fn byte(&mut self) -> Result<u8> {
        match self.input.by_ref().bytes().next() {
            Some(byte) => {
                self.position += 1;
                byte
            }
            None => wrong("the bytes end too early"),
        }
    }

    fn pass(&mut self, bytes: u64) -> Result<()> {
        let passed = copy(&mut self.input.by_ref().take(bytes), &mut sink())?;
        self.position += passed;
        if passed < bytes {
            return wrong("the bytes end too early");
        }
        Ok(())
    }
}

fn wrong<T>(problem: &str) -> Result<T> {
    Err(Error::new(ErrorKind::InvalidData, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with the next field number, and its bytes.
    fn field(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[1 << 4 | kind], bytes].concat()
    }

    /// The header of a data page whose 300 bytes expand to 1000.
    fn header() -> Vec<u8> {
        let of_data = [field(5, &[6]), field(5, &[0]), vec![0]].concat();
        [
            field(5, &[0]),
            field(5, &[0xd0, 0x0f]),
            field(5, &[0xd8, 0x04]),
            [vec![2 << 4 | 12], of_data].concat(),
            vec![0],
        ]
        .concat()
    }

    fn problem<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_header_is_read_without_reading_further() {
        let bytes = header();
        let longer = [bytes.as_slice(), &[0xff; 9]].concat();
        let mut input = longer.as_slice();
        let read = PageHeader::read(&mut input).unwrap();
        let expected = PageHeader {
            is_index: false,
            uncompressed: 1000,
            compressed: 300,
            length: bytes.len() as u64,
        };
        assert_eq!(read, expected);
        assert_eq!(input, [0xff; 9]);
    }

    #[test]
    fn every_truncated_header_is_refused() {
        let bytes = header();
        for end in 0..bytes.len() {
            assert!(PageHeader::read(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_size_must_be_present_and_valid() {
        let negative = [field(5, &[0]), field(5, &[1]), field(5, &[0]), vec![0]].concat();
        assert_eq!(
            problem(PageHeader::read(negative.as_slice())),
            "a page has a negative size"
        );
        let without = [field(5, &[0]), field(5, &[0]), vec![0]].concat();
        assert_eq!(
            problem(PageHeader::read(without.as_slice())),
            "a page header does not give the page's size"
        );
        // The crate would read its last 32 bits.
        let large = [field(5, &[0]), field(5, &[0x80, 0x80, 0x80, 0x80, 0x20])].concat();
        assert_eq!(
            problem(PageHeader::read(large.as_slice())),
            "a number is too large"
        );
    }

    #[test]
    fn a_known_field_must_be_of_its_type() {
        // The crate would read the length of these bytes as the size.
        let bytes = [
            field(5, &[0]),
            field(8, &[2, 0, 0]),
            field(5, &[0]),
            vec![0],
        ]
        .concat();
        assert_eq!(
            problem(PageHeader::read(bytes.as_slice())),
            "a field has the wrong type"
        );
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let unknown = [
            field(1, &[]),
            field(3, &[7]),
            field(7, &[0; 8]),
            field(8, &[2, b'a', b'b']),
            field(9, &[0]),
            field(9, &[2 << 4 | 8, 1, b'a', 0]),
            field(10, &[15 << 4 | 5, 2, 1, 1]),
            field(11, &[0]),
            field(11, &[1, 5 << 4 | 8, 3, 1, b'a']),
            field(12, &[0]),
            field(13, &[0; 16]),
            vec![5, 40, 3],
            vec![0],
        ];
        check(unknown.concat().as_slice()).unwrap();
    }

    #[test]
    fn lists_of_booleans_are_refused() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x07];
        for kind in [1, 2] {
            let list = field(9, &[&[15 << 4 | kind], huge.as_slice()].concat());
            let map = field(11, &[huge.as_slice(), &[kind << 4 | kind]].concat());
            for bytes in [list, map] {
                assert_eq!(
                    problem(check(bytes.as_slice())),
                    "there is a list of booleans"
                );
            }
        }
    }

    #[test]
    fn values_after_the_end_are_refused_at_once() {
        for kind in 3..=13 {
            let list = field(9, &[15 << 4 | kind, 0xff, 0xff, 0xff, 0xff, 0x07]);
            assert_eq!(
                problem(check(list.as_slice())),
                "the bytes end too early",
                "{kind}"
            );
        }
    }

    #[test]
    fn values_are_nested_up_to_a_depth() {
        let nested = |depth| [vec![1 << 4 | 12; depth], vec![0; depth + 1]].concat();
        check(nested(MAX_DEPTH as usize - 1).as_slice()).unwrap();
        assert_eq!(
            problem(check(nested(MAX_DEPTH as usize).as_slice())),
            "values are nested too deeply"
        );
    }
}
