//! Just enough of Thrift's compact protocol to look at what a file says before the `parquet` crate does.
//!
//! The crate keeps its own reader to itself. It believes the sizes in the header of a page; it counts through
//! the truth values of a list that it does not know although it finds no bytes for them; and in the header of a
//! page it goes on passing over numbers after the end of the file. So ten bytes keep it busy for 2³¹ steps, and
//! a file may hold them as often as it likes. No file has a use for a list of truth values there.

use std::io::{BufRead, Error, ErrorKind, Read, Result, copy, sink};

use Kind::{Bytes, Integer, List, Struct, Truth};

/// How deep values may be nested: as deep as for the crate.
const MAX_DEPTH: u8 = 64;

/// What the header of a page says of its size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Whether the page belongs to an index; readers pass over it.
    pub(super) is_index: bool,
    /// The bytes that the page takes when it is unpacked.
    pub(super) uncompressed: u64,
    /// The bytes that it takes in the file, without this header.
    pub(super) compressed: u64,
    /// The bytes of this header.
    pub(super) length: u64,
}

impl PageHeader {
    /// The types of the fields 1, 2, ...
    const FIELDS: [Kind; 8] = [
        Integer, Integer, Integer, Integer, Struct, Struct, Struct, Struct,
    ];
    /// The same within the headers for data (5), for dictionaries (7) and for data of the second version (8).
    const OF_DATA: [Kind; 4] = [Integer; 4];
    const OF_DICTIONARY: [Kind; 3] = [Integer, Integer, Truth];
    const OF_DATA_2: [Kind; 7] = [Integer, Integer, Integer, Integer, Integer, Integer, Truth];

    /// Reads a header, and no byte more.
    ///
    /// The crate goes by the numbers of the fields and takes their types for granted. Here they are checked, so
    /// that the crate cannot find other sizes in the same bytes.
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
            return wrong("the header of a page says nothing of its size");
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

/// Refuses a structure in which there is a list of truth values, or which makes no sense.
pub(super) fn check(input: impl BufRead) -> Result<()> {
    Compact { input, position: 0 }.skip(Struct, MAX_DEPTH)
}

/// The types that differ in how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It has no bytes beside its type.
    Truth,
    /// A number of bytes that the type knows.
    Fixed(u8),
    /// Of any width.
    Integer,
    /// A text or other bytes.
    Bytes,
    /// Or a set.
    List,
    Map,
    Struct,
}

impl Kind {
    fn of(nibble: u8) -> Result<Self> {
        Ok(match nibble {
            1 | 2 => Truth,
            3 => Self::Fixed(1),
            4..=6 => Integer,
            7 => Self::Fixed(8),
            8 => Bytes,
            9 | 10 => List,
            11 => Self::Map,
            12 => Struct,
            13 => Self::Fixed(16),
            _ => return wrong("a value has a type that there is not"),
        })
    }
}

/// Reads values.
struct Compact<R> {
    input: R,
    /// How many bytes were read.
    position: u64,
}

impl<R: BufRead> Compact<R> {
    /// Reads a structure, each field with `read`, which is told its number and its type; those of the fields
    /// from 1 on must be the `known` ones.
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
                return wrong("a field has a number that there is not");
            };
            id = next;
            let place = usize::try_from(i32::from(id) - 1);
            let known = place.ok().and_then(|place| known.get(place));
            if known.is_some_and(|known| *known != kind) {
                return wrong("a field is not of its type");
            }
            read(self, id, kind)?;
        }
    }

    /// Passes over a structure whose fields from 1 on have the `known` types.
    fn known(&mut self, known: &[Kind]) -> Result<()> {
        self.fields(known, |input, _, kind| input.skip(kind, MAX_DEPTH))
    }

    /// Passes over a value nested at most `depth` deep. It takes as many steps as there are bytes.
    fn skip(&mut self, kind: Kind, depth: u8) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return wrong("values are nested too deeply");
        };
        match kind {
            Truth => Ok(()),
            Kind::Fixed(bytes) => self.pass(bytes.into()),
            Integer => self.varint().map(drop),
            Bytes => {
                let bytes = self.varint()?;
                self.pass(bytes)
            }
            List => {
                let head = self.byte()?;
                // Some writers give an empty list no type.
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

    /// Passes over `count` elements of a list or a map.
    fn skip_each(&mut self, kinds: &[Kind], count: u64, depth: u8) -> Result<()> {
        if count > 0 && kinds.contains(&Truth) {
            return wrong("there is a list of truth values");
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

    /// A field of the number one higher, and its bytes.
    fn field(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[1 << 4 | kind], bytes].concat()
    }

    /// A header of a page of data, of 300 bytes that become 1000.
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
    fn a_header_is_read_and_not_a_byte_more() {
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
    fn every_header_that_is_cut_is_refused() {
        let bytes = header();
        for end in 0..bytes.len() {
            assert!(PageHeader::read(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_size_must_be_there_and_be_a_size() {
        let negative = [field(5, &[0]), field(5, &[1]), field(5, &[0]), vec![0]].concat();
        assert_eq!(
            problem(PageHeader::read(negative.as_slice())),
            "a page has a negative size"
        );
        let without = [field(5, &[0]), field(5, &[0]), vec![0]].concat();
        assert_eq!(
            problem(PageHeader::read(without.as_slice())),
            "the header of a page says nothing of its size"
        );
        // The crate would see its last 32 bits.
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
            "a field is not of its type"
        );
    }

    #[test]
    fn unknown_fields_are_passed_over() {
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
    fn lists_of_truth_values_are_refused() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x07];
        for kind in [1, 2] {
            let list = field(9, &[&[15 << 4 | kind], huge.as_slice()].concat());
            let map = field(11, &[huge.as_slice(), &[kind << 4 | kind]].concat());
            for bytes in [list, map] {
                assert_eq!(
                    problem(check(bytes.as_slice())),
                    "there is a list of truth values"
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
