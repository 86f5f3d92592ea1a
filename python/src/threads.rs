//! The threads that compute.
//!
//! By default all calls share as many threads as there are processors (or as `RAYON_NUM_THREADS` says). With a number of
//! their own, each of Python's threads has so many for itself: with 1, two of Python's threads predict beside each other.
//!
//! A process that was forked has none of the threads of the one that it comes from: it starts its own.

use crate::error::wrong_argument;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A pool, and the process that started it.
struct Pool {
    process: u32,
    threads: usize,
    /// There until it is dropped.
    pool: Option<Arc<ThreadPool>>,
}

impl Drop for Pool {
    /// Ends the threads, unless this process was forked from the one that has them: there is nothing to end here then.
    fn drop(&mut self) {
        let pool = self.pool.take();
        if self.process != std::process::id() {
            std::mem::forget(pool);
        }
    }
}

/// The pool that all threads of Python share.
static SHARED: Mutex<Option<Pool>> = Mutex::new(None);
/// The number of threads that calls use that do not say how many; 0 for as many as there are processors.
static DEFAULT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The pool of this thread of Python.
    static OWN: RefCell<Option<Pool>> = const { RefCell::new(None) };
}

impl Pool {
    fn start(threads: usize) -> Result<Self, String> {
        let builder = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|thread| format!("birnn-{thread}"));
        let pool = builder
            .build()
            .map_err(|error| format!("cannot start threads: {error}"))?;
        Ok(Self {
            process: std::process::id(),
            threads,
            pool: Some(Arc::new(pool)),
        })
    }

    /// Whether it can be used in this process, for so many threads.
    fn fits(&self, threads: usize) -> bool {
        self.process == std::process::id() && self.threads == threads
    }
}

/// The pool in a place, started there unless it fits.
fn in_place(place: &mut Option<Pool>, threads: usize) -> Result<Arc<ThreadPool>, String> {
    if !place.as_ref().is_some_and(|pool| pool.fits(threads)) {
        *place = Some(Pool::start(threads)?);
    }
    let pool = place.as_ref().and_then(|pool| pool.pool.clone());
    pool.ok_or_else(|| "there are no threads".to_owned())
}

/// Runs a computation on `threads` threads of this thread of Python, or on those that all share.
pub(crate) fn in_pool<T: Send>(
    threads: Option<usize>,
    compute: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    let threads = threads.unwrap_or_else(|| DEFAULT.load(Ordering::Relaxed));
    let pool = match threads {
        0 => in_place(
            &mut SHARED.lock().unwrap_or_else(PoisonError::into_inner),
            0,
        )?,
        threads => OWN.with(|own| in_place(&mut own.borrow_mut(), threads))?,
    };
    Ok(pool.install(compute))
}

/// Computes without holding Python's lock.
pub(crate) fn compute<T: Send>(
    py: Python<'_>,
    threads: Option<usize>,
    compute: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    py.detach(|| in_pool(threads, compute))
        .map_err(PyRuntimeError::new_err)
}

/// Checks a number of threads that a caller gives.
pub(crate) fn checked(py: Python<'_>, threads: Option<i64>) -> PyResult<Option<usize>> {
    match threads.map(usize::try_from) {
        None => Ok(None),
        Some(Ok(threads)) if threads > 0 => Ok(Some(threads)),
        _ => {
            let threads = threads.unwrap_or_default();
            let problem = format!(
                "threads: {threads}, but at least 1 is needed; leave it out for all processors"
            );
            Err(wrong_argument(py, problem))
        }
    }
}

/// Sets how many threads each thread of Python uses, for calls that do not say so; `None` for threads that all share, as
/// many as there are processors.
#[pyfunction]
#[pyo3(signature = (threads))]
pub(crate) fn set_num_threads(py: Python<'_>, threads: Option<i64>) -> PyResult<()> {
    DEFAULT.store(checked(py, threads)?.unwrap_or(0), Ordering::Relaxed);
    Ok(())
}

/// How many threads a call uses that does not say so.
#[pyfunction]
pub(crate) fn num_threads(py: Python<'_>) -> PyResult<usize> {
    compute(py, None, rayon::current_num_threads)
}
