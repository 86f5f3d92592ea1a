//! This process among those that `mpirun` has started.

#[cfg(not(feature = "mpi"))]
use super::Usage;
use super::be_rank;
use birnn::checkpoint::{RunDirectory, RunKind, Snapshot};
use birnn::config::Config;
use birnn::train::ranks::{Alone, Ranks, broadcast, check_same};
use candle_core::Device;
use std::path::Path;

/// The variables in which Open MPI, MPICH and Slurm give the number of processes.
const SIZES: [&str; 4] = [
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MPI_LOCALNRANKS",
    "SLURM_STEP_NUM_TASKS",
];

/// The processes of a run.
pub(super) struct Job {
    pub(super) ranks: Box<dyn Ranks>,
    #[cfg(feature = "mpi")]
    mpi: Option<birnn::train::ranks::Mpi>,
}

/// Whether MPI runs in this process.
#[cfg(feature = "mpi")]
static RUNS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// To finalize MPI is to wait for all others, which may be waiting for this process: one that fails does not, but ends them by
/// [`end_others`].
#[cfg(feature = "mpi")]
impl Drop for Job {
    fn drop(&mut self) {
        std::mem::forget(self.mpi.take());
    }
}

/// Ends all other processes of the job, and this one, if there are others and they have not finished together.
#[cfg(feature = "mpi")]
pub(super) fn end_others(code: u8) {
    if RUNS.load(std::sync::atomic::Ordering::Relaxed) {
        birnn::train::ranks::Mpi::abort(i32::from(code.max(1)));
    }
}

/// There are no others.
#[cfg(not(feature = "mpi"))]
pub(super) fn end_others(_: u8) {}

impl Job {
    /// Finds out whether there are others, and starts MPI if so, unless this process is to train alone.
    ///
    /// # Errors
    /// There are others, but this build has no MPI.
    pub(super) fn start(is_alone: bool) -> anyhow::Result<Self> {
        let size = SIZES
            .iter()
            .find_map(|name| std::env::var(name).ok()?.parse::<usize>().ok());
        let job = match size {
            Some(size) if size > 1 && !is_alone => Self::of_several(size)?,
            _ => Self {
                ranks: Box::new(Alone),
                #[cfg(feature = "mpi")]
                mpi: None,
            },
        };
        if job.ranks.size() > 1 {
            be_rank(job.ranks.rank());
        }
        Ok(job)
    }

    #[cfg(feature = "mpi")]
    fn of_several(_: usize) -> anyhow::Result<Self> {
        let mpi = birnn::train::ranks::Mpi::start()?;
        RUNS.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(Self {
            ranks: Box::new(mpi.ranks()),
            mpi: Some(mpi),
        })
    }

    #[cfg(not(feature = "mpi"))]
    fn of_several(size: usize) -> anyhow::Result<Self> {
        let problem = format!(
            "this is one of {size} processes of one job, but this birnn was built without MPI: build it with --features mpi, \
             or give --alone if each is to train by itself"
        );
        Err(Usage(problem).into())
    }

    /// Ends a job whose processes all come to their end.
    #[cfg(feature = "mpi")]
    pub(super) fn finish(mut self) {
        RUNS.store(false, std::sync::atomic::Ordering::Relaxed);
        drop(self.mpi.take());
    }

    /// Ends a job of one process.
    #[cfg(not(feature = "mpi"))]
    pub(super) fn finish(self) {}

    /// Whether this process writes the results, and prints.
    pub(super) fn is_first(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Whether there are several processes.
    pub(super) fn has_several(&self) -> bool {
        self.ranks.size() > 1
    }

    /// The config of an interrupted run, whose folder only the first process need have.
    pub(super) fn resumed_config(&mut self, out: &Path, kind: RunKind) -> anyhow::Result<Config> {
        if !self.has_several() {
            return Ok(RunDirectory::config_of(out, kind)?);
        }
        let own = match self.is_first() {
            true => RunDirectory::config_of(out, kind)?.to_toml()?,
            false => String::new(),
        };
        let text = broadcast(&mut *self.ranks, own.as_bytes())?;
        let text = String::from_utf8_lossy(&text);
        Ok(Config::from_toml(Some((Path::new(""), &text)), &[])?)
    }

    /// Checks that all processes have the same program, config and texts.
    pub(super) fn check_inputs(
        &mut self,
        config: &Config,
        texts: &impl serde::Serialize,
    ) -> anyhow::Result<()> {
        if self.has_several() {
            let version = env!("CARGO_PKG_VERSION").as_bytes();
            check_same(&mut *self.ranks, "the version", version)?;
            check_same(&mut *self.ranks, "the config", config.to_toml()?.as_bytes())?;
            check_same(&mut *self.ranks, "the texts", &serde_json::to_vec(texts)?)?;
        }
        Ok(())
    }

    /// The state to resume from, which the first process has read.
    pub(super) fn share(
        &mut self,
        snapshot: Option<Snapshot>,
        device: &Device,
    ) -> birnn::Result<Option<Snapshot>> {
        if !self.has_several() {
            return Ok(snapshot);
        }
        let own = match &snapshot {
            Some(snapshot) => snapshot.to_bytes()?,
            None => Vec::new(),
        };
        let bytes = broadcast(&mut *self.ranks, &own)?;
        match (snapshot, bytes.is_empty()) {
            (Some(snapshot), _) => Ok(Some(snapshot)),
            (None, true) => Ok(None),
            (None, false) => Snapshot::from_bytes(&bytes, device).map(Some),
        }
    }
}
