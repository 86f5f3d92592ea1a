//! The threads of the program: as many as wanted and as the system allows, started once.
//!
//! rayon would start them by itself when they are first needed, but panics if one cannot be started.

use super::note;
use anyhow::Context;
use rayon::ThreadBuilder;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// The variable that rayon and Candle read.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// No more threads than this are started, unless there are more processors: each takes memory and a start.
const MAX_THREADS: usize = 256;

/// Starts the threads: as many as `RAYON_NUM_THREADS` says, or one for each processor; fewer if the system does not
/// allow them, with a note.
pub(super) fn start() -> anyhow::Result<()> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let value = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let (wanted, remark) = wanted(value.as_deref(), processors);
    if let Some(remark) = remark {
        note(&remark);
    }
    start_up_to(wanted)
}

/// The number of threads that this value of the variable asks for, and what to say about it.
fn wanted(value: Option<&str>, processors: usize) -> (usize, Option<String>) {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return (processors, None);
    };
    let most = MAX_THREADS.max(processors);
    match value.parse::<usize>() {
        // As rayon reads it.
        Ok(0) => (processors, None),
        Ok(threads) if threads <= most => (threads, None),
        // A number that is too large for the type, too.
        _ if value.bytes().all(|byte| byte.is_ascii_digit()) => {
            let remark =
                format!("{VARIABLE}={value}: {most} threads are used, the most there can be");
            (most, Some(remark))
        }
        _ => {
            let remark = format!(
                "{VARIABLE}={value:?} is not a number of threads: {processors} are used, one for each processor"
            );
            (processors, Some(remark))
        }
    }
}

/// Starts these threads, or as many of them as possible; without any, this thread does all of the work.
pub(super) fn start_up_to(wanted: usize) -> anyhow::Result<()> {
    let mut waiting = Vec::with_capacity(wanted);
    let mut refusal = None;
    while waiting.len() < wanted {
        match idle() {
            Ok(thread) => waiting.push(thread),
            Err(error) => {
                refusal = Some(error);
                break;
            }
        }
    }
    let threads = waiting.len().max(1);
    if let Some(error) = refusal {
        let used = match threads {
            1 => "one does all of the work".to_owned(),
            threads => format!("{threads} are used"),
        };
        note(&format!(
            "cannot start {wanted} threads ({error}): {used}; results do not depend on their number"
        ));
    }
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let started = match waiting.is_empty() {
        true => builder.use_current_thread().build_global(),
        false => {
            let mut waiting = waiting.into_iter();
            // They run already: nothing can fail any more.
            builder
                .spawn_handler(|worker| {
                    let thread = waiting.next().and_then(|thread| thread.send(worker).ok());
                    thread.ok_or_else(|| std::io::Error::other("a thread has ended"))
                })
                .build_global()
        }
    };
    started.context("cannot start threads")
}

/// A thread that waits for its task.
fn idle() -> std::io::Result<Sender<ThreadBuilder>> {
    let (sender, receiver) = channel::<ThreadBuilder>();
    thread::Builder::new().spawn(move || {
        if let Ok(worker) = receiver.recv() {
            worker.run();
        }
    })?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_the_variable_gives_a_number_of_threads() {
        for (value, threads) in [
            (None, 2),
            (Some(""), 2),
            (Some("0"), 2),
            (Some("1"), 1),
            (Some(" 7 "), 7),
            (Some("256"), 256),
        ] {
            assert_eq!(wanted(value, 2), (threads, None), "{value:?}");
        }
        // As many as there are processors are never too many.
        assert_eq!(wanted(Some("300"), 384), (300, None));
        for value in ["257", "100000", "99999999999999999999999"] {
            let remark =
                format!("RAYON_NUM_THREADS={value}: 256 threads are used, the most there can be");
            assert_eq!(wanted(Some(value), 2), (256, Some(remark)));
        }
        for value in ["-1", "abc", "1.5", "+", "２"] {
            let remark = format!(
                "RAYON_NUM_THREADS={value:?} is not a number of threads: 2 are used, one for each processor"
            );
            assert_eq!(wanted(Some(value), 2), (2, Some(remark)));
        }
    }
}
