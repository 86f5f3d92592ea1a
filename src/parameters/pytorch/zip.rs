//! The files in a zip archive that is not compressed, as `torch.save` writes it.

use std::collections::BTreeMap;

/// The signatures of the parts of an archive.
const LOCAL_HEADER: u32 = 0x0403_4B50;
const ENTRY: u32 = 0x0201_4B50;
const END: u32 = 0x0605_4B50;
const LARGE_END: u32 = 0x0606_4B50;
const LARGE_END_LOCATOR: u32 = 0x0706_4B50;

/// The lengths of the parts without their texts.
const LOCAL_HEADER_LENGTH: usize = 30;
const ENTRY_LENGTH: usize = 46;
const END_LENGTH: usize = 22;
const LARGE_END_LOCATOR_LENGTH: usize = 20;

/// The kind of an extra field with numbers of 64 bits.
const LARGE_NUMBERS: u16 = 1;
/// A number of 32 bits that stands for one of 64 bits elsewhere.
const ELSEWHERE: usize = 0xFFFF_FFFF;

/// The files of an archive by name; `None` for one that is compressed. No archive at all if the result is `None`.
pub(super) fn files(bytes: &[u8]) -> Option<BTreeMap<&str, Option<&[u8]>>> {
    let mut at = first_entry(bytes)?;
    let mut files = BTreeMap::new();
    while u32_at(bytes, at)? == ENTRY {
        let is_stored = u16_at(bytes, at + 10)? == 0;
        let (mut size, mut header) = (size_at(bytes, at + 20)?, size_at(bytes, at + 42)?);
        let full_size = size_at(bytes, at + 24)?;
        let lengths = [28, 30, 32].map(|offset| u16_at(bytes, at + offset).map(usize::from));
        let [name, extra, comment] = lengths;
        let (name, extra, comment) = (name?, extra?, comment?);
        let texts = at + ENTRY_LENGTH;
        let end = texts + name + extra;
        // In this order, each only if it is elsewhere.
        let mut large = large_numbers(bytes.get(texts + name..end)?);
        if full_size == ELSEWHERE {
            large.next()?;
        }
        for number in [&mut size, &mut header] {
            if *number == ELSEWHERE {
                *number = large.next()?;
            }
        }
        let name = std::str::from_utf8(bytes.get(texts..texts + name)?).ok()?;
        let data = match is_stored {
            true => Some(stored(bytes, header, size)?),
            false => None,
        };
        files.insert(name, data);
        at = end + comment;
    }
    Some(files)
}

/// The position of the list of files.
fn first_entry(bytes: &[u8]) -> Option<usize> {
    // The end may be followed by a comment.
    let last = bytes.len().checked_sub(END_LENGTH)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let end = (first..=last)
        .rev()
        .find(|&at| u32_at(bytes, at) == Some(END))?;
    match size_at(bytes, end + 16)? {
        ELSEWHERE => {
            let locator = end.checked_sub(LARGE_END_LOCATOR_LENGTH)?;
            let large_end = u64_at(bytes, locator + 8)?;
            let signatures = (u32_at(bytes, locator)?, u32_at(bytes, large_end)?);
            (signatures == (LARGE_END_LOCATOR, LARGE_END))
                .then(|| u64_at(bytes, large_end.checked_add(48)?))?
        }
        at => Some(at),
    }
}

/// The content of a file from the position of its header.
fn stored(bytes: &[u8], header: usize, size: usize) -> Option<&[u8]> {
    let bytes = bytes.get(header..)?;
    if u32_at(bytes, 0)? != LOCAL_HEADER {
        return None;
    }
    let texts = usize::from(u16_at(bytes, 26)?) + usize::from(u16_at(bytes, 28)?);
    bytes.get(LOCAL_HEADER_LENGTH + texts..)?.get(..size)
}

/// The numbers of 64 bits in the extra fields of an entry.
fn large_numbers(mut extra: &[u8]) -> impl Iterator<Item = usize> {
    let mut numbers: &[u8] = &[];
    while let (Some(kind), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let end = (4 + usize::from(length)).min(extra.len());
        if kind == LARGE_NUMBERS {
            numbers = &extra[4..end];
            break;
        }
        extra = &extra[end..];
    }
    let (numbers, _) = numbers.as_chunks();
    numbers
        .iter()
        .map_while(|&number| usize::try_from(u64::from_le_bytes(number)).ok())
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// A number of 32 bits.
fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    let number = array_at(bytes, at).map(u64::from_le_bytes)?;
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with a file `a/b` of these bytes, its numbers in 64 bits if `large`.
    fn archive(method: u16, large: bool, data: &[u8]) -> Vec<u8> {
        let size = data.len() as u32;
        let shown = |number: u32| if large { u32::MAX } else { number };
        let mut bytes = b"in front".to_vec();
        let header = bytes.len() as u32;
        bytes.extend(LOCAL_HEADER.to_le_bytes());
        bytes.extend([0; 22]);
        bytes.extend([3, 0, 2, 0]);
        bytes.extend(b"a/b\0\0");
        bytes.extend(data);

        let entry = bytes.len() as u64;
        bytes.extend(ENTRY.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(shown(size).to_le_bytes());
        bytes.extend(shown(size).to_le_bytes());
        let extra: u16 = if large { 5 + 28 } else { 0 };
        bytes.extend([3, 0]);
        bytes.extend(extra.to_le_bytes());
        bytes.extend([0; 10]);
        bytes.extend(shown(header).to_le_bytes());
        bytes.extend(b"a/b");
        if large {
            // Another field, then the numbers.
            bytes.extend([9, 0, 1, 0, 7]);
            bytes.extend(LARGE_NUMBERS.to_le_bytes());
            bytes.extend([24, 0]);
            for number in [size, size, header] {
                bytes.extend(u64::from(number).to_le_bytes());
            }
            let end = bytes.len() as u64;
            bytes.extend(LARGE_END.to_le_bytes());
            bytes.extend([0; 44]);
            bytes.extend(entry.to_le_bytes());
            bytes.extend(LARGE_END_LOCATOR.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(end.to_le_bytes());
            bytes.extend([0; 4]);
        }
        bytes.extend(END.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(shown(entry as u32).to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    #[test]
    fn files_of_small_and_large_archives() {
        for large in [false, true] {
            let mut bytes = archive(0, large, b"content");
            let expected = BTreeMap::from([("a/b", Some(&b"content"[..]))]);
            assert_eq!(files(&bytes), Some(expected.clone()));
            for length in 0..bytes.len() {
                assert_eq!(files(&bytes[..length]), None, "{length} bytes");
            }
            bytes.extend(b"a comment, whose length is not looked at");
            assert_eq!(files(&bytes), Some(expected));
            let compressed = archive(8, large, b"content");
            assert_eq!(files(&compressed), Some(BTreeMap::from([("a/b", None)])));
        }
    }
}
