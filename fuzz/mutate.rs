//! Mutates bytes so that they remain nearly valid.

use birnn::rng::{Rng, Stream};
use std::collections::BTreeSet;

/// The maximum length of an input.
const MAX_BYTES: usize = 64 << 10;

/// Fragments that parsers stumble over, in any format.
const FRAGMENTS: [&[u8]; 36] = [
    b"0",
    b"-1",
    b"1e999",
    b"-0.0",
    b"NaN",
    b"inf",
    b"18446744073709551615",
    b"4294967296",
    b"9223372036854775808",
    b"1e-400",
    b"\"",
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"=",
    b"\t",
    b" ",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
];

/// Numbers at the limits of types.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Mutates inputs at random, in the same way in every run.
pub struct Mutator {
    rng: Rng,
    /// Words and numbers of the seeds, without duplicates.
    words: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seeds: &[Vec<u8>]) -> Self {
        let is_word =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let words: BTreeSet<Vec<u8>> = seeds
            .iter()
            .flat_map(|seed| seed.chunk_by(move |a, b| is_word(a) == is_word(b)))
            .filter(|word| is_word(&word[0]) && word.len() <= 40)
            .map(<[u8]>::to_vec)
            .collect();
        Self {
            rng: Rng::new(1, Stream::Shuffle, 0, 0),
            words: words.into_iter().collect(),
        }
    }

    /// One of the seeds with a few changes.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(seeds).clone();
        // Half of the inputs get one change, a quarter two, ...
        let changes = 1 + self.rng.bits().trailing_ones();
        for _ in 0..changes {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(MAX_BYTES);
        bytes
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.rng.below(items.len())]
    }

    /// A range within `length` bytes; most are short.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.rng.below(length + 1);
        let longest = match self.rng.below(8) {
            0 => length,
            _ => 8,
        };
        let end = start + self.rng.below(longest.min(length - start) + 1);
        start..end
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let range = self.range(bytes.len());
        match self.rng.below(12) {
            0 if !bytes.is_empty() => {
                let bit = self.rng.below(8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            1 if !bytes.is_empty() => {
                let index = self.rng.below(bytes.len());
                bytes[index] = self.rng.bits() as u8;
            }
            2 => drop(bytes.drain(range)),
            3 => bytes.truncate(range.start),
            4 => {
                let fragment = self.pick(&FRAGMENTS).to_vec();
                bytes.splice(range, fragment);
            }
            5 if !self.words.is_empty() => {
                let index = self.rng.below(self.words.len());
                bytes.splice(range, self.words[index].clone());
            }
            // A part of another seed.
            6 => {
                let other = self.pick(seeds);
                let part = self.range(other.len());
                bytes.splice(range, other[part].to_vec());
            }
            // A repetition.
            7 => {
                let part = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, part);
            }
            // Many repetitions: long, or deeply nested.
            8 if !range.is_empty() => {
                let longest = MAX_BYTES / range.len();
                let times = match self.rng.below(64) {
                    0 => longest,
                    _ => self.rng.below(longest.min(64) + 1),
                };
                let part = bytes[range.clone()].repeat(times);
                bytes.splice(range.start..range.start, part);
            }
            // A number in binary.
            9 => {
                let number = self.pick(&NUMBERS).to_le_bytes();
                let width = 1 << self.rng.below(4);
                let end = bytes.len().min(range.start + width);
                bytes[range.start..end].copy_from_slice(&number[..end - range.start]);
            }
            // A number in decimal digits.
            10 => {
                let digits = bytes[range.start..].iter().position(u8::is_ascii_digit);
                let Some(start) = digits.map(|index| range.start + index) else {
                    return;
                };
                let length = bytes[start..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit());
                let end = start + length.count();
                let number = match self.rng.below(3) {
                    0 => *self.pick(&NUMBERS),
                    1 => self.rng.below(300) as u64,
                    _ => self.rng.bits(),
                };
                bytes.splice(start..end, number.to_string().into_bytes());
            }
            // Swaps two ranges.
            _ => {
                let part = bytes[range.clone()].to_vec();
                bytes.drain(range);
                let index = self.rng.below(bytes.len() + 1);
                bytes.splice(index..index, part);
            }
        }
    }
}
