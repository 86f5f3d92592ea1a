//! The number of threads, wanted and possible.

use super::program::{stderr, succeed, temp, train, trained};
use super::support::birnn;
use std::fs;
use std::time::{Duration, Instant};

fn predict(threads: &str) -> (String, String) {
    let arguments = ["predict", "--model", "model", "film", "A lovely film."];
    let mut command = birnn(trained(), &arguments);
    let output = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
    (succeed(&output), stderr(&output).to_owned())
}

#[test]
fn any_number_of_threads_may_be_asked_for() {
    let started = Instant::now();
    let (expected, nothing) = predict("1");
    assert_eq!(nothing, "");
    for threads in ["0", "2", "3", ""] {
        assert_eq!(predict(threads), (expected.clone(), String::new()));
    }
    for threads in ["100000", "18446744073709551616"] {
        let (found, note) = predict(threads);
        assert_eq!(found, expected);
        assert!(
            note.starts_with(&format!("RAYON_NUM_THREADS={threads}: "))
                && note.ends_with(" threads are used, the most there can be\n"),
            "{note}"
        );
    }
    for threads in ["-1", "abc"] {
        let (found, note) = predict(threads);
        assert_eq!(found, expected);
        assert!(
            note.starts_with(&format!(
                "RAYON_NUM_THREADS=\"{threads}\" is not a number of threads: "
            )) && note.ends_with(" are used, one for each processor\n"),
            "{note}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(30));
}

/// A user who may start no further thread.
#[cfg(target_os = "linux")]
#[test]
fn without_threads_one_does_all_of_the_work() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;
    let folder = temp();
    let path = folder.path();
    // Readable for the other user.
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy(assert_cmd::cargo::cargo_bin("birnn"), path.join("birnn")).unwrap();
    let limited = |arguments: &str| {
        let script = format!(
            "ulimit -u 1; cd {}; exec ./birnn {arguments}",
            path.display()
        );
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = match is_root {
            // The limit does not hold for root.
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", "54321", "--clear-groups", "bash", "-c"]);
                command
            }
            false => {
                let mut command = Command::new("bash");
                command.arg("-c");
                command
            }
        };
        command.arg(script).env("BIRNN_CACHE", "");
        command.env("RAYON_NUM_THREADS", "2").output().unwrap()
    };
    let output = limited("predict lovely");
    assert_eq!(succeed(&output), "positive\t0.8700\tlovely\n");
    assert_eq!(
        stderr(&output),
        "cannot start 2 threads (Resource temporarily unavailable (os error 11)): one does all of the work; results do \
         not depend on their number\n"
    );
    // Training, too, with the same result.
    let arguments = super::program::train_arguments(&["--out", "limited"]).join(" ");
    succeed(&limited(&arguments));
    let other = temp();
    train(other.path(), &["--out", "free"]);
    let weights = |folder: &std::path::Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&path.join("limited")) == weights(&other.path().join("free")));
}
