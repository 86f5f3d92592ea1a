//! Bytes that wait in a temporary file instead of memory.

use super::mapped::Mapped;
use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The folder of large temporary files: that of `TMPDIR`; otherwise `/var/tmp` where there is one, since `/tmp` is often in
/// memory.
pub(crate) fn folder() -> PathBuf {
    let large = PathBuf::from("/var/tmp");
    match cfg!(unix) && std::env::var_os("TMPDIR").is_none() && large.is_dir() {
        true => large,
        false => std::env::temp_dir(),
    }
}

/// Bytes in a temporary file without a name, which the system removes when it is no longer used.
#[derive(Debug)]
pub(crate) struct TemporaryBytes {
    map: Mapped,
    window: Option<Arc<Window>>,
    /// Whether the window counts it.
    is_counted: AtomicBool,
}

impl TemporaryBytes {
    /// Writes the parts one after another to a file. With a window, only so many files of that window take memory at once.
    pub fn new<'a>(
        parts: impl IntoIterator<Item = &'a [u8]>,
        window: Option<Arc<Window>>,
    ) -> io::Result<Arc<Self>> {
        let mut file = BufWriter::new(tempfile::tempfile_in(folder())?);
        for part in parts {
            file.write_all(part)?;
        }
        let map = Mapped::of(&file.into_inner()?)?;
        Ok(Arc::new(Self {
            map,
            window,
            is_counted: AtomicBool::new(false),
        }))
    }

    /// The bytes.
    pub fn bytes(self: &Arc<Self>) -> &[u8] {
        if let Some(window) = &self.window
            && !self.is_counted.load(Ordering::Relaxed)
        {
            window.count(self);
        }
        self.map.bytes()
    }

    /// Takes the bytes out of memory; they are read again when they are used.
    pub fn leave_memory(&self) {
        self.map.leave_memory();
    }
}

/// How many temporary files take memory at once: when one more is used, the one that has been used longest leaves it.
#[derive(Debug)]
pub(crate) struct Window {
    most: usize,
    files: Mutex<VecDeque<Weak<TemporaryBytes>>>,
}

impl Window {
    /// A window of so many files.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            files: Mutex::default(),
        })
    }

    fn count(&self, file: &Arc<TemporaryBytes>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_counted.swap(true, Ordering::Relaxed) {
            return;
        }
        files.push_back(Arc::downgrade(file));
        if files.len() > self.most
            && let Some(oldest) = files.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.is_counted.store(false, Ordering::Relaxed);
            oldest.leave_memory();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_what_was_written_in_and_out_of_the_window() {
        let window = Window::new(2);
        let files: Vec<Arc<TemporaryBytes>> = (0..5_u8)
            .map(|file| {
                let parts = [&[file; 3000][..], b"", &[file + 100; 5000]];
                TemporaryBytes::new(parts, Some(window.clone())).unwrap()
            })
            .collect();
        let counted = |files: &[Arc<TemporaryBytes>]| -> Vec<bool> {
            let of = |file: &Arc<TemporaryBytes>| file.is_counted.load(Ordering::Relaxed);
            files.iter().map(of).collect()
        };
        for _ in 0..2 {
            for (file, number) in files.iter().zip(0_u8..) {
                assert_eq!(file.bytes()[..3000], [number; 3000]);
                assert_eq!(file.bytes()[3000..], [number + 100; 5000]);
            }
        }
        assert_eq!(counted(&files), [false, false, false, true, true]);
        let _ = (files[4].bytes(), files[0].bytes());
        assert_eq!(counted(&files), [true, false, false, false, true]);
        let empty = TemporaryBytes::new([&b""[..]], None).unwrap();
        assert_eq!(empty.bytes(), b"");
    }
}
