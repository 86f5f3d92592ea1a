//! Commands for copying into a shell, and names derived from the data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The name under which this program was called.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Sets it, once; later ones change nothing.
pub(super) fn set_program(name: Option<&OsString>) {
    let _ = PROGRAM.set(name.map_or_else(|| "birnn".into(), PathBuf::from));
}

/// The name under which this program was called, quoted for a shell.
pub(super) fn program() -> String {
    PROGRAM
        .get()
        .map_or_else(|| "birnn".into(), |program| quoted(program))
}

/// A path, quoted for a shell.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-:\\".contains(c);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// The argument of `--data` that reads a source again, quoted for a shell; standard input must be given as a file.
pub(super) fn quoted_source(source: &str) -> String {
    match source {
        "-" => "FILE".to_owned(),
        source => quoted(Path::new(source)),
    }
}

/// `runs/NAME` with an ending, or the first free one of `runs/NAME-2`, `runs/NAME-3`, ...; `NAME`
/// is derived from the source.
pub(super) fn free_path(source: &str, ending: &str, is_free: impl Fn(&Path) -> bool) -> PathBuf {
    let name = match source {
        "-" => "stdin",
        // `reviews.csv.gz` and `owner/reviews` both become `reviews`.
        source => Path::new(source)
            .file_name()
            .and_then(|name| name.to_str()?.split('.').find(|part| !part.is_empty()))
            .unwrap_or("run"),
    };
    let path = |number: String| Path::new("runs").join(format!("{name}{number}{ending}"));
    std::iter::once(path(String::new()))
        .chain((2..10_000).map(|number| path(format!("-{number}"))))
        .find(|path| is_free(path))
        .unwrap_or_else(|| path(String::new()))
}
