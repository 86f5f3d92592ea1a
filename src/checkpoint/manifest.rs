//! The hashes of a checkpoint's files, to verify that they are intact.

use crate::dataset::hexadecimal;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The name of the list, with a line for each file in the format of `sha256sum`. It is written
/// last: a folder without it is unfinished.
pub(super) const MANIFEST: &str = "SHA256SUMS";

/// The list for these files, by name.
pub(super) fn manifest<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let hash = |content| hexadecimal(Sha256::new_with_prefix(content));
    let files = files.into_iter();
    files
        .map(|(name, content)| line(name, &hash(content)))
        .collect()
}

fn line(name: &str, hash: &str) -> String {
    format!("{hash}  {name}\n")
}

/// The hash of a file, read in chunks.
fn hash_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 1 << 18];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hexadecimal(hash)),
            length => hash.update(&part[..length]),
        }
    }
}

/// Checks that a folder holds these files unchanged. The list itself is compared byte by byte with
/// the one computed from the files, so that changes of the list are detected too.
///
/// # Errors
/// A file is missing, cannot be read, or has changed.
pub(super) fn verify(folder: &Path, names: &[&'static str]) -> Result<()> {
    let damaged = |name: &str, problem: &str| {
        Error::model(
            folder.join(name),
            problem,
            "restore it, or start a new run in another folder",
        )
    };
    let listed = std::fs::read(folder.join(MANIFEST))
        .map_err(|_| damaged(MANIFEST, "the list of hashes cannot be read"))?;
    let mut found = String::new();
    for name in names {
        let path = folder.join(name);
        let hash = hash_of(&path).map_err(Error::io("read", &path))?;
        let line = line(name, &hash);
        if !listed[found.len().min(listed.len())..].starts_with(line.as_bytes()) {
            return Err(damaged(
                name,
                "the file has changed: its hash differs from that in SHA256SUMS",
            ));
        }
        found.push_str(&line);
    }
    match listed == found.as_bytes() {
        true => Ok(()),
        false => Err(damaged(MANIFEST, "the list of hashes has changed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &[u8]); 2] = [("a", b"first"), ("b", b"")];

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in FILES {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        std::fs::write(folder.path().join(MANIFEST), manifest(FILES)).unwrap();
        folder
    }

    #[test]
    fn the_list_is_that_of_sha256sum() {
        assert_eq!(
            manifest(FILES),
            "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e  a\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n"
        );
    }

    #[test]
    fn every_flipped_bit_and_every_length_is_found() {
        let folder = folder();
        verify(folder.path(), &["a", "b"]).unwrap();
        for name in ["a", "b", MANIFEST] {
            let path = folder.path().join(name);
            let whole = std::fs::read(&path).unwrap();
            for bit in 0..8 * whole.len() {
                let mut changed = whole.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, changed).unwrap();
                verify(folder.path(), &["a", "b"]).unwrap_err();
            }
            let longer = [&whole[..], b"\n"].concat();
            for other in (0..whole.len())
                .map(|end| &whole[..end])
                .chain([&longer[..]])
            {
                std::fs::write(&path, other).unwrap();
                verify(folder.path(), &["a", "b"]).unwrap_err();
            }
            std::fs::remove_file(&path).unwrap();
            verify(folder.path(), &["a", "b"]).unwrap_err();
            std::fs::write(&path, whole).unwrap();
        }
        verify(folder.path(), &["a", "b"]).unwrap();
    }
}
