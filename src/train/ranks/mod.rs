//! Training on several machines: the ranks of a run share the batches of each step.
//!
//! Every rank has the whole run: the texts, the parameters, the plan of every epoch. Of the batches of a step
//! (`train.accumulate`) each takes every R-th one, computes its gradients, and gives them to all others as they are. Then
//! every rank adds the gradients of all batches in the order of the batches and takes the same step. So R ranks do what
//! one does, to the byte; a sum of sums, as all-reduce makes it, would differ in the last digits for each R.
//!
//! | module | what it holds |
//! |---|---|
//! | `wire` | gradients and sums as bytes |
//! | `step` | the gradients of a step, from all ranks |
//! | `threads` | ranks that are threads of one process |
//! | `mpi` | ranks of MPI, with the feature `mpi` |

#[cfg(feature = "mpi")]
mod mpi;
mod step;
mod threads;
mod wire;

#[cfg(feature = "mpi")]
pub use mpi::{Mpi, MpiRanks};
pub(super) use step::{StepBatches, agree, check_parameters, gradients};
pub use threads::ThreadRanks;

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// The ranks of a run, as one of them sees them.
pub trait Ranks: Send {
    /// The number of this rank, from 0. Rank 0 writes the results.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// The bytes of every rank, by rank; each gives its own. All must call this in the same order.
    ///
    /// `waiting` is called now and then while others have not given theirs. If it breaks off, all ranks are ended: this
    /// function then need not return.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `waiting` broke off and it does return; bytes that cannot be sent.
    fn all_gather(
        &mut self,
        own: &[u8],
        waiting: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u8>>>;

    /// The number of bytes that this rank has received from others.
    fn received(&self) -> u64;
}

/// A single rank.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(
        &mut self,
        own: &[u8],
        _: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u8>>> {
        Ok(vec![own.to_vec()])
    }

    fn received(&self) -> u64 {
        0
    }
}

/// The bytes of rank 0, on every rank.
///
/// # Errors
/// Those of [`Ranks::all_gather`].
pub fn broadcast(ranks: &mut dyn Ranks, own: &[u8]) -> Result<Vec<u8>> {
    let own = if ranks.rank() == 0 { own } else { &[] };
    let mut all = ranks.all_gather(own, &mut || ControlFlow::Continue(()))?;
    Ok(all.swap_remove(0))
}

/// Checks that all ranks have the same value of something, such as the hash of their texts.
///
/// # Errors
/// A rank has another value than rank 0.
pub fn check_same(ranks: &mut dyn Ranks, what: &str, own: &[u8]) -> Result<()> {
    check_same_while(ranks, what, own, &mut || ControlFlow::Continue(()))
}

/// The same with what [`Ranks::all_gather`] calls while others are waited for.
fn check_same_while(
    ranks: &mut dyn Ranks,
    what: &str,
    own: &[u8],
    waiting: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<()> {
    let all = ranks.all_gather(own, waiting)?;
    match all.iter().position(|value| *value != all[0]) {
        None => Ok(()),
        Some(rank) => Err(Error::Ranks {
            problem: format!("rank {rank} and rank 0 differ in {what}"),
            remedy: "give every rank the same program, files and arguments".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_names_the_rank() {
        let check = |mut ranks: ThreadRanks| {
            std::thread::spawn(move || {
                let own = if ranks.rank() == 2 { b"b" } else { b"a" };
                let first = broadcast(&mut ranks, own).unwrap();
                let found = check_same(&mut ranks, "the texts", own);
                (first, found.unwrap_err().to_string(), ranks.received())
            })
        };
        let threads: Vec<_> = ThreadRanks::new(3).into_iter().map(check).collect();
        for thread in threads {
            let (first, error, received) = thread.join().unwrap();
            assert_eq!((&first[..], received), (&b"a"[..], received.clamp(2, 3)));
            assert_eq!(
                error,
                "ranks: rank 2 and rank 0 differ in the texts; give every rank the same program, files and arguments"
            );
        }
        assert_eq!(broadcast(&mut Alone, b"own").unwrap(), b"own");
    }
}
