//! Files as bytes in memory: the one place outside the kernels with unsafe code.

#![allow(
    unsafe_code,
    reason = "mapping a file into memory requires that nobody writes to it"
)]

use memmap2::Mmap;
use std::fs::File;
use std::io;

/// A file that is mapped into memory. It stays valid if the file is replaced by another one of the same name.
///
/// Nobody may write to the file in the meantime. That holds for two kinds of files. This program never writes in place to
/// the files of models and runs: it renames a new file over them (`atomic`), which leaves the mapped one unchanged, and
/// `Loading::Mapped` requires of its callers that nobody else writes to them. Temporary files have no name, and their only
/// handle is closed when they are mapped.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    pub fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes must not change while they are mapped; see above.
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self(map))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes the pages out of memory; they are read again when they are used. If the system refuses, they stay until it
    /// needs the memory.
    pub fn leave_memory(&self) {
        #[cfg(unix)]
        {
            // SAFETY: the mapping is of a file and is never written to, so that its pages hold the same bytes when they are
            // read again, also for a thread that reads them now.
            let _refused = unsafe { self.0.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }
}
