//! Ranks of MPI.

use super::Ranks;
use crate::error::{Error, Result};
use mpi::collective::CommunicatorCollectives;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::{Count, Threading};
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

/// Between looks whether others have answered, where this thread has nothing else to do.
const BETWEEN_LOOKS: Duration = Duration::from_micros(50);
/// The number of looks between two calls of `waiting`.
const LOOKS: u32 = 20;
/// The exit code with which all ranks are ended where one does not answer after a signal.
const ENDED: i32 = 143;

/// MPI, as long as it runs. It begins and ends on one thread; [`MpiRanks`] may be used by any, one at a time.
pub struct Mpi(Universe);

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.0.world();
        write!(f, "Mpi, rank {} of {}", world.rank(), world.size())
    }
}

impl Mpi {
    /// Starts MPI, once in a process.
    ///
    /// # Errors
    /// It has been started before, or cannot be called from other threads than this one.
    pub fn start() -> Result<Self> {
        let failed = |problem: &str| Error::Ranks {
            problem: problem.to_owned(),
            remedy: "use an MPI that was built with support for threads".to_owned(),
        };
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| failed("MPI has been started before"))?;
        match threading >= Threading::Serialized {
            true => Ok(Self(universe)),
            false => Err(failed("this MPI can only be called from its first thread")),
        }
    }

    /// Ends all ranks, with this exit code: others would wait for this one for ever. It must be called while MPI runs.
    pub fn abort(code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }

    /// This rank of `mpirun -n R`. It must not be used after `self`.
    #[must_use]
    pub fn ranks(&self) -> MpiRanks {
        let world = self.0.world();
        MpiRanks {
            rank: world.rank() as usize,
            size: world.size() as usize,
            received: 0,
        }
    }
}

/// A rank of `mpirun -n R`.
#[derive(Debug)]
pub struct MpiRanks {
    rank: usize,
    size: usize,
    received: u64,
}

impl MpiRanks {
    /// Gathers numbers of 8 bytes, `counts` of each rank.
    fn gather(
        own: &[u64],
        counts: &[Count],
        waiting: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Vec<u64> {
        let starts: Vec<Count> = counts
            .iter()
            .scan(0, |sum, count| {
                let start = *sum;
                *sum += count;
                Some(start)
            })
            .collect();
        let total: usize = counts.iter().map(|&count| count as usize).sum();
        let mut all = vec![0; total];
        let mut places = PartitionMut::new(&mut all[..], counts, &starts[..]);
        mpi::request::scope(|scope| {
            // The handle is the same on every thread.
            let world = SimpleCommunicator::world();
            let mut request = world.immediate_all_gather_varcount_into(scope, own, &mut places);
            for look in 1u32.. {
                match request.test() {
                    Ok(_) => return,
                    Err(unfinished) => request = unfinished,
                }
                if look.is_multiple_of(LOOKS) && waiting().is_break() {
                    // It cannot be taken back, nor left: the process ends here, and all others with it.
                    world.abort(ENDED);
                }
                // The next batch may be made in the meantime.
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::sleep(BETWEEN_LOOKS);
                }
            }
        });
        all
    }
}

impl Ranks for MpiRanks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(
        &mut self,
        own: &[u8],
        waiting: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u8>>> {
        let lengths = Self::gather(&[own.len() as u64], &vec![1; self.size], waiting);
        // Counts are of 32 bits: of 8 bytes each, 16 GiB.
        let words = |length: &u64| Count::try_from(length.div_ceil(8)).ok();
        let counts: Option<Vec<Count>> = lengths.iter().map(words).collect();
        let total = |counts: &Vec<Count>| {
            let sum = counts.iter().map(|&count| i64::from(count)).sum::<i64>();
            Count::try_from(sum).is_ok()
        };
        let counts = counts.filter(total).ok_or_else(|| Error::Ranks {
            problem: "more than 16 GiB of gradients in a step".to_owned(),
            remedy: "use fewer ranks, or a lower train.accumulate".to_owned(),
        })?;
        let mut padded = vec![0u64; own.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut padded)[..own.len()].copy_from_slice(own);
        let all = Self::gather(&padded, &counts, waiting);
        let mut rest = &all[..];
        let mut each = Vec::with_capacity(counts.len());
        for (&count, &length) in counts.iter().zip(&lengths) {
            let (words, after) = rest.split_at(count as usize);
            rest = after;
            each.push(bytemuck::cast_slice::<u64, u8>(words)[..length as usize].to_vec());
        }
        self.received += lengths.iter().sum::<u64>() - own.len() as u64;
        Ok(each)
    }

    fn received(&self) -> u64 {
        self.received
    }
}
