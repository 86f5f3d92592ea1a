//! Several ranks do what one does, to the byte; here they are threads of one process.

use super::toy::{CPU, Reference, Toy, everything, interrupted};
use birnn::checkpoint::{Resumed, RunDirectory, RunKind, Snapshot};
use birnn::config::Config;
use birnn::dataset::Fingerprints;
use birnn::error::{Error, Result};
use birnn::train::ranks::{Ranks, ThreadRanks};
use birnn::train::{EpochReport, Nowhere, Observer, Outcome, Sink, StepReport};
use std::path::Path;

/// Steps of several batches, also of fewer than there are ranks.
fn shared() -> Config {
    let mut config = everything();
    config.train.accumulate = 5;
    config.train.batch_tokens = 25;
    config
}

/// What happens to a rank: it is to stop after a step, or dies at one.
#[derive(Default, Clone, Copy)]
struct Fate {
    stop_at: Option<u64>,
    dies_at: Option<u64>,
}

struct Life {
    fate: Fate,
    step: u64,
}

impl Observer for Life {
    fn step(&mut self, report: &StepReport) {
        self.step = report.step;
        if self.fate.dies_at == Some(report.step) {
            // What a killed process does: it says nothing to anybody.
            std::panic::resume_unwind(Box::new("killed"));
        }
    }

    fn evaluating(&mut self, _: usize, _: usize) {}

    fn epoch(&mut self, _: &EpochReport) {}

    fn stop(&mut self) -> bool {
        self.fate.stop_at.is_some_and(|step| self.step >= step)
    }
}

/// Begins or resumes a run in a folder with a rank for each fate.
fn run(
    toy: &Toy,
    folder: &Path,
    resume: bool,
    fates: &[Fate],
) -> Vec<std::thread::Result<Result<Outcome>>> {
    let config = match resume {
        true => RunDirectory::config_of(folder, RunKind::Classifier).unwrap(),
        false => shared(),
    };
    let (mut directory, snapshot) = match resume {
        true => {
            let resumed =
                RunDirectory::resume(folder, RunKind::Classifier, Fingerprints::default(), &CPU);
            let Resumed { run, snapshot, .. } = resumed.unwrap();
            (run, Some(snapshot))
        }
        false => (toy.create(&config, folder, false).unwrap(), None),
    };
    let bytes = snapshot.map(|snapshot| snapshot.to_bytes().unwrap());
    let mut first = Some(&mut directory);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (mut ranks, fate) in ThreadRanks::new(fates.len()).into_iter().zip(fates) {
            let folder = first.take().filter(|_| ranks.rank() == 0);
            let (config, bytes) = (&config, &bytes);
            threads.push(scope.spawn(move || {
                let mut life = Life {
                    fate: *fate,
                    step: 0,
                };
                let train = || {
                    let read = |bytes: &Vec<u8>| Snapshot::from_bytes(bytes, &CPU).unwrap();
                    let mut trainer = toy.trainer(config, bytes.as_ref().map(read)).unwrap();
                    let sink: &mut dyn Sink = match folder {
                        Some(folder) => folder,
                        None => &mut Nowhere,
                    };
                    trainer.run_with(&mut ranks, sink, &mut life)
                };
                // Ranks wait for each other: each needs threads of its own.
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(1)
                    .build()
                    .unwrap();
                let train = std::panic::AssertUnwindSafe(train);
                pool.install(|| std::panic::catch_unwind(train))
            }));
        }
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn any_number_of_ranks_gives_the_bytes_of_one() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &shared());
    for size in [1, 2, 3, 4, 7] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        for outcome in run(&toy, &path, false, &vec![Fate::default(); size]) {
            assert!(matches!(
                outcome.unwrap().unwrap(),
                Outcome::Finished { .. }
            ));
        }
        reference.assert_same(&path, &format!("{size} ranks"));
    }
}

#[test]
fn one_rank_that_stops_stops_all_at_the_same_step() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &shared());
    for (rank, sizes) in [(0, [2, 3]), (1, [4, 1]), (2, [3, 2])] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut fates = vec![Fate::default(); sizes[0]];
        fates[rank % sizes[0]].stop_at = Some(2);
        let steps: Vec<u64> = run(&toy, &path, false, &fates)
            .into_iter()
            .map(|outcome| interrupted(&outcome.unwrap().unwrap()))
            .collect();
        assert_eq!(steps, vec![3; sizes[0]]);
        run(&toy, &path, true, &vec![Fate::default(); sizes[1]]);
        reference.assert_same(&path, &format!("{sizes:?} ranks"));
    }
}

#[test]
fn where_a_rank_dies_the_first_saves_and_another_number_of_ranks_goes_on() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &shared());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let dies = Fate {
        dies_at: Some(2),
        ..Fate::default()
    };
    // `mpirun` sends the others a signal.
    let signalled = Fate {
        stop_at: Some(2),
        ..Fate::default()
    };
    let ended = run(&toy, &path, false, &[signalled, dies]);
    assert!(matches!(&ended[0], Ok(Err(Error::Ranks { .. }))));
    assert!(ended[1].is_err());
    let saved = RunDirectory::resume(&path, RunKind::Classifier, Fingerprints::default(), &CPU);
    assert_eq!(saved.unwrap().snapshot.state.step, 2);
    for outcome in run(&toy, &path, true, &[Fate::default(); 3]) {
        assert!(matches!(
            outcome.unwrap().unwrap(),
            Outcome::Finished { .. }
        ));
    }
    reference.assert_same(&path, "a dead rank");
}

/// Runs two ranks, each from its snapshot and with its config, and returns the error of the first.
fn diverging(toy: &Toy, configs: [&Config; 2], snapshots: [Option<Snapshot>; 2]) -> String {
    let errors = std::thread::scope(|scope| {
        let ranks = ThreadRanks::new(2).into_iter().zip(configs).zip(snapshots);
        let threads: Vec<_> = ranks
            .map(|((mut ranks, config), snapshot)| {
                scope.spawn(move || {
                    let mut life = Life {
                        fate: Fate::default(),
                        step: 0,
                    };
                    let pool = rayon::ThreadPoolBuilder::new()
                        .num_threads(1)
                        .build()
                        .unwrap();
                    let mut trainer = toy.trainer(config, snapshot).unwrap();
                    let run = || trainer.run_with(&mut ranks, &mut Nowhere, &mut life);
                    pool.install(run).unwrap_err().to_string()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(errors[0], errors[1]);
    errors[0].clone()
}

#[test]
fn ranks_whose_parameters_become_different_are_ended() {
    let toy = Toy::new();
    let mut config = shared();
    config.train.accumulate = 2;
    config.train.epochs = 60;
    // As one that computes something else would do.
    let mut other = config.clone();
    other.train.learning_rate *= 1.01;
    assert_eq!(
        diverging(&toy, [&config, &other], [None, None]),
        "ranks: rank 1 and rank 0 differ in the parameters at step 100; give every rank the same program, files and \
         arguments"
    );
}

#[test]
fn ranks_that_resume_from_different_states_are_ended_at_once() {
    let toy = Toy::new();
    let config = shared();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    toy.begin(&config, &path, &mut super::toy::Watch::stop_at(2))
        .unwrap();
    let snapshot = || {
        let resumed =
            RunDirectory::resume(&path, RunKind::Classifier, Fingerprints::default(), &CPU);
        resumed.unwrap().snapshot
    };
    let mut other = snapshot();
    let bias = other.tensors.get_mut("parameters/decoder.bias").unwrap();
    *bias = (&*bias + 1e-6).unwrap();
    let found = diverging(&toy, [&config, &config], [Some(snapshot()), Some(other)]);
    assert!(
        found.starts_with("ranks: rank 1 and rank 0 differ in the parameters at step 2;"),
        "{found}"
    );
}
