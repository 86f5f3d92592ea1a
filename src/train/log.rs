//! The log of a run, read again.

use super::report::Event;
use crate::checkpoint::RunDirectory;
use crate::error::{Error, Result};
use std::path::Path;

/// The events in the log of a run, in the order in which they happened; none if the folder has no log, as that of a model
/// that was copied elsewhere. The last line of a run that was killed may be incomplete; it is left out.
///
/// # Errors
/// The log cannot be read, or another line than the last is no event.
pub fn read_log(folder: &Path) -> Result<Vec<Event>> {
    let path = RunDirectory::metrics_path(folder);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let events = text[..whole].lines().enumerate().map(|(index, line)| {
        serde_json::from_str(line).map_err(|error| {
            Error::model(
                &path,
                format!("line {} is no event: {error}", index + 1),
                "remove the line, or the file, which only reports read",
            )
        })
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_up_to_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_log(folder.path()).unwrap().is_empty());
        let path = RunDirectory::metrics_path(folder.path());
        let step = r#"{"event":"step","epoch":1,"step":20,"steps":40,"loss":0.5,"gradient_norm":0.25,"learning_rate":0.001,"tokens_per_second":1000.0}"#;
        std::fs::write(&path, format!("{step}\n{}", &step[..30])).unwrap();
        let events = read_log(folder.path()).unwrap();
        let [Event::Step(found)] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((found.step, found.loss, found.accuracy), (20, 0.5, None));
        std::fs::write(&path, format!("{step}\n{{}}\n")).unwrap();
        let error = read_log(folder.path()).unwrap_err().to_string();
        assert!(error.contains("line 2 is no event"), "{error}");
    }
}
