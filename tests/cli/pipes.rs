//! Readers that close a pipe early, and runs without a reader.

use super::program::{RUN_FILES, listing, temp, train_arguments, trained, wait};
use super::support::birnn;
use std::fs;
use std::io::Read;
use std::process::Stdio;

/// Reads the first line of a pipe and closes it.
fn first_line(mut pipe: impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while pipe.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let folder = temp();
    // More than a pipe holds.
    let lines = "A film like any other, with a cast.\n".repeat(9_000);
    let file = folder.path().join("texts.txt");
    fs::write(&file, lines).unwrap();
    let file = file.display().to_string();
    for more in [&[][..], &["--json"]] {
        let arguments = [&["predict", "--model", "model", "--file", &file], more].concat();
        let mut command = birnn(trained(), &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let line = first_line(child.stdout.take().unwrap());
        assert!(line.contains("A film like any other"), "{line}");
        assert_eq!(wait(&mut child).code(), Some(0));
        let mut errors = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        assert_eq!(errors, "");
    }
}

#[test]
fn training_continues_without_a_reader() {
    let folder = temp();
    for (out, closed_stderr) in [("a", false), ("b", true)] {
        let mut command = birnn(folder.path(), &train_arguments(&["--out", out]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        drop(stdout);
        let mut errors = String::new();
        if closed_stderr {
            drop(stderr);
        } else {
            stderr.unwrap().read_to_string(&mut errors).unwrap();
        }
        assert_eq!(wait(&mut child).code(), Some(0), "{errors}");
        assert!(!errors.contains("error"), "{errors}");
        assert_eq!(listing(&folder.path().join(out)), RUN_FILES);
    }
}
