//! Word vectors as a text file.

use super::words::WordVectors;
use crate::error::Result;
use crate::fs::atomic::write_file;
use std::fmt::Write;
use std::path::Path;

impl WordVectors {
    /// The vectors in text form: a first line `count dimension`, then a word and its numbers per
    /// line, separated by spaces. Numbers have the shortest form that is read back exactly.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{} {}\n", self.words().len(), self.dimension());
        for (word, vector) in self.words().iter().zip(self.vectors()) {
            text.push_str(word);
            for value in vector {
                // Writing to a string cannot fail.
                let _ = write!(text, " {value}");
            }
            text.push('\n');
        }
        text
    }

    /// Writes the vectors in text form to a file, atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        write_file(path, self.to_text().as_bytes())
    }
}
