//! The search itself: trials are drawn, trained from rung to rung, and compared.

use super::budget::Budget;
use super::folder::{Found, SearchDirectory, SearchFile, Texts};
use super::halving::{Next, RUNGS, epochs_at, next, out};
use super::outcome::Findings;
use super::run::{Run, train};
use super::space::{Overrides, Space};
use super::start::Start;
use super::trials::{Trial, ranked};
use super::watch::Watch;
use crate::config::{Config, Folds};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::recipe::{Monitor, SharedInputs};
use candle_core::Device;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Follows a search and can stop it; `()` does nothing.
pub trait SearchMonitor: Monitor {
    /// Called before a trial is trained to the end of its next rung, after this number of epochs.
    fn rung_begins(&mut self, trial: &Trial, epochs: u64);

    /// Called when the training of a trial has paused or ended, with the best trial so far and the time that is left, if
    /// it is limited.
    fn rung_ends(&mut self, trial: &Trial, best: Option<&Trial>, left: Option<Duration>);
}

impl SearchMonitor for () {
    fn rung_begins(&mut self, _: &Trial, _: u64) {}
    fn rung_ends(&mut self, _: &Trial, _: Option<&Trial>, _: Option<Duration>) {}
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// All trials have been drawn, and none is to be trained further.
    Completely,
    /// The time is up.
    OutOfTime,
    /// The monitor stopped it.
    Stopped,
}

/// A search in a folder.
#[derive(Debug)]
pub struct Search {
    folder: SearchDirectory,
    file: SearchFile,
    start: Start,
    space: Space,
    trials: Vec<Trial>,
    /// The texts of the trials, and what was fitted to them; the newest last.
    inputs: Vec<SharedInputs>,
    deadline: Option<Instant>,
}

/// The number of different readings of the texts that are kept in memory.
const MAX_INPUTS: usize = 4;

/// The number of draws in place of one that cannot be used or was drawn before.
const ATTEMPTS: u64 = 100;

/// The config by which a trial is trained: cross-validated if it says so by a number. Otherwise a part of the texts is held
/// out, although the best one may be trained on all of them in the end.
fn of_trial(mut config: Config) -> Config {
    if matches!(config.train.folds, Folds::Auto | Folds::Fixed(1)) {
        config.train.folds = Folds::Fixed(0);
    }
    config
}

impl Search {
    /// Checks, before any work is done, that a search may begin in a folder.
    ///
    /// # Errors
    /// It is a file, or already holds something that a search would replace.
    pub fn check_free(folder: &Path) -> Result<()> {
        SearchDirectory::check_free(folder)
    }

    /// Begins a search from a starting configuration, whose seed is that of the search and whose `train.metric` compares
    /// the trials. Its paths should be absolute.
    ///
    /// # Errors
    /// A config, space or budget that cannot be used, or a folder that cannot be written or is not free.
    pub fn create(folder: &Path, start: Config, space: Space, budget: Budget) -> Result<Self> {
        budget.validate()?;
        let start = Start::new(start)?;
        space.check(&start)?;
        let file = SearchFile::new(budget);
        let folder = SearchDirectory::create(folder, &file, &start, &space)?;
        Ok(Self::of(Found {
            folder,
            file,
            start,
            space,
            trials: Vec::new(),
        }))
    }

    /// Opens a search to continue it, with other limits where some are given.
    ///
    /// # Errors
    /// There is no search, another process writes there, a file cannot be read, or limits that cannot be used.
    pub fn resume(folder: &Path, limits: Budget) -> Result<Self> {
        let mut found = SearchDirectory::open(folder)?;
        found.space.check(&found.start)?;
        let budget = &mut found.file.budget;
        if limits != Budget::default() {
            *budget = limits;
            budget.validate()?;
            found.folder.save_file(&found.file)?;
        }
        Ok(Self::of(found))
    }

    fn of(found: Found) -> Self {
        let Found {
            folder,
            file,
            start,
            space,
            trials,
        } = found;
        Self {
            folder,
            file,
            start,
            space,
            trials,
            inputs: Vec::new(),
            deadline: None,
        }
    }

    /// The starting configuration.
    pub fn config(&self) -> &Config {
        &self.start.config
    }

    /// What is searched.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The limits.
    pub fn budget(&self) -> Budget {
        self.file.budget
    }

    /// The trials so far, by their numbers.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with the config of the best trial; it is there as soon as a trial has a result.
    pub fn best_config(&self) -> PathBuf {
        self.folder.best()
    }

    /// The seconds that all trials took.
    pub fn spent(&self) -> f64 {
        self.trials.iter().map(|trial| trial.seconds).sum()
    }

    /// Searches until the end of the budget, or until the monitor stops it.
    ///
    /// # Errors
    /// The texts cannot be read or are not those with which the search began, or a trial or the state of the search
    /// cannot be saved. A trial whose numbers are not finite is no error.
    pub fn run(
        &mut self,
        cache: &Cache,
        device: &Device,
        monitor: &mut dyn SearchMonitor,
    ) -> Result<Ended> {
        let left = self.file.budget.left(self.spent());
        self.deadline = left.and_then(|left| Instant::now().checked_add(left));
        self.folder.tidy(&self.trials, &self.start)?;
        let start = of_trial(self.start.config.clone());
        match self.read(&start, (cache, device), monitor) {
            Err(Error::Stopped) => return Ok(self.stopped(monitor)),
            read => read?,
        }
        self.check_texts()?;
        loop {
            if monitor.stop() || self.is_late() {
                return Ok(self.stopped(monitor));
            }
            match next(&self.trials, start.train.metric) {
                Next::Train(number) => self.train(number, cache, device, monitor)?,
                Next::Draw => match self.draw()? {
                    Some(trial) => self.trials.push(trial),
                    None => return Ok(Ended::Completely),
                },
            }
        }
    }

    fn is_late(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn stopped(&self, monitor: &mut dyn SearchMonitor) -> Ended {
        match monitor.stop() {
            true => Ended::Stopped,
            false => Ended::OutOfTime,
        }
    }

    /// What has been found; `None` before the first epoch.
    pub fn findings(&self) -> Option<Findings<'_>> {
        let texts = self.file.texts.as_ref()?.validation;
        Findings::new(&self.trials, self.start.config.train.metric, texts)
    }

    /// Makes the texts of a config the newest of [`Search::inputs`].
    fn read(
        &mut self,
        config: &Config,
        (cache, device): (&Cache, &Device),
        monitor: &mut dyn SearchMonitor,
    ) -> Result<()> {
        let inputs = match self.inputs.iter().position(|inputs| inputs.fits(config)) {
            Some(index) => self.inputs.remove(index),
            None => {
                let mut watch = self.watch(u64::MAX, monitor);
                let mut inputs = SharedInputs::load(config, cache, device, &mut watch)?;
                inputs.describe(None, &mut watch);
                inputs
            }
        };
        if self.inputs.len() == MAX_INPUTS {
            self.inputs.remove(0);
        }
        self.inputs.push(inputs);
        Ok(())
    }

    fn watch<'a>(&self, until: u64, monitor: &'a mut dyn SearchMonitor) -> Watch<'a> {
        Watch {
            monitor,
            deadline: self.deadline,
            until,
            epochs: 0,
            best: None,
        }
    }

    /// Checks that the newest texts, those of the starting configuration, are the ones with which the search began.
    fn check_texts(&mut self) -> Result<()> {
        let Some(inputs) = self.inputs.last() else {
            return Ok(());
        };
        let dataset = inputs.dataset();
        match &self.file.texts {
            None => {
                self.file.texts = Some(Texts {
                    validation: match dataset.folds {
                        0 => dataset.validation.len(),
                        _ => dataset.train.len(),
                    },
                    data: dataset.fingerprints.clone(),
                });
                self.folder.save_file(&self.file)
            }
            Some(texts) => match &texts.data.differences(&dataset.fingerprints)[..] {
                [] => Ok(()),
                changed => Err(Error::model(
                    self.folder.path(),
                    format!(
                        "these inputs have changed since the search began: {}",
                        changed.join(", ")
                    ),
                    "restore them, or begin another search in another folder",
                )),
            },
        }
    }

    /// The next trial; `None` if there are as many as there may be, or if no other one was found.
    fn draw(&self) -> Result<Option<Trial>> {
        let number = self.trials.len();
        if self
            .file
            .budget
            .trials
            .is_some_and(|trials| number >= trials)
        {
            return Ok(None);
        }
        let of = |overrides: Overrides, config: &Config| {
            Trial::new(number, overrides, config.train.epochs)
        };
        if number == 0 {
            return Ok(Some(of(Overrides::new(), &self.start.config)));
        }
        let known = self
            .trials
            .iter()
            .map(|trial| self.start.with(&trial.overrides));
        let known: Vec<Config> = known.collect::<Result<_>>()?;
        for attempt in 0..ATTEMPTS {
            let mut overrides = self
                .space
                .draw(self.start.config.seed, number as u64, attempt);
            self.start.retain_changes(&mut overrides);
            // Some values exclude each other.
            match self.start.with(&overrides) {
                Ok(config) if !known.contains(&config) => return Ok(Some(of(overrides, &config))),
                Ok(_) | Err(Error::Config { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Trains a trial to the end of its next rung, and saves how far it came.
    fn train(
        &mut self,
        number: usize,
        cache: &Cache,
        device: &Device,
        monitor: &mut dyn SearchMonitor,
    ) -> Result<()> {
        let mut trial = self.trials[number].clone();
        let config = of_trial(self.start.with(&trial.overrides)?);
        let until = match config.train.folds {
            // It would be repeated at each rung.
            Folds::Fixed(2..) => trial.of_epochs,
            _ => epochs_at(trial.rungs.len(), trial.of_epochs),
        };
        monitor.rung_begins(&trial, until);
        let began = Instant::now();
        let run = match self.read(&config, (cache, device), monitor) {
            Ok(()) => self.train_run(&mut trial, &config, (until, device), monitor)?,
            Err(Error::Stopped) => Run::Stopped,
            Err(error) => return Err(error),
        };
        trial.seconds += began.elapsed().as_secs_f64();
        match (run, trial.best) {
            // Nor could it be trained again to its best epoch.
            (Run::Failed(reason), _) => (trial.failed, trial.best) = (Some(reason), None),
            (Run::Paused, Some(best)) => {
                trial.rungs.push(best);
                // With few epochs, the next rung may be at the same one.
                while epochs_at(trial.rungs.len(), trial.of_epochs) <= trial.epochs
                    && !trial.is_complete()
                {
                    trial.rungs.push(best);
                }
            }
            (Run::Finished, Some(best)) => trial.rungs.resize(RUNGS, best),
            _ => {}
        }
        self.trials[number] = trial;
        let metric = self.start.config.train.metric;
        for number in out(&self.trials, metric) {
            self.trials[number].out = true;
        }
        self.folder.save(&self.trials, &self.start)?;
        self.folder.tidy(&self.trials, &self.start)?;
        let best = ranked(&self.trials, metric);
        let best = best.first().copied().filter(|best| best.best.is_some());
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        monitor.rung_ends(&self.trials[number], best, left);
        Ok(())
    }

    fn train_run(
        &mut self,
        trial: &mut Trial,
        config: &Config,
        (until, device): (u64, &Device),
        monitor: &mut dyn SearchMonitor,
    ) -> Result<Run> {
        let path = self.folder.begin_run(trial.number, config)?;
        let mut watch = self.watch(until, monitor);
        let Some(inputs) = self.inputs.last_mut() else {
            return Err(Error::argument("inputs", "no texts have been read"));
        };
        let run = train(&path, config, inputs, device, &mut watch)?;
        // A run that was stopped while it was prepared has not come to what it had.
        if watch.epochs > 0 {
            (trial.epochs, trial.best) = (watch.epochs, watch.best);
        }
        Ok(run)
    }
}
