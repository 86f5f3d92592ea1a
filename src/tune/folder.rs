//! The folder of a search.
//!
//! ```text
//! search.json       the budget, and the hashes of the texts
//! start.toml        the starting configuration
//! space.toml        what is searched
//! trials.jsonl      the trials, replaced as a whole at the end of each rung
//! trials.tsv        the same as a table, best first
//! best.toml         the configuration of the best trial
//! trials/007/       the run of a trial, and its config.toml
//! lock              locked by the process that searches
//! ```

use super::budget::Budget;
use super::space::Space;
use super::start::Start;
use super::trials::{Trial, from_lines, ranked, to_lines, to_table};
use crate::checkpoint::{Lock, discard_checkpoints, discard_model, lock_file};
use crate::config::Config;
use crate::dataset::Fingerprints;
use crate::error::{Error, Result, plain_words};
use crate::fs::atomic;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const SEARCH: &str = "search.json";
const START: &str = "start.toml";
const SPACE: &str = "space.toml";
const TRIALS: &str = "trials.jsonl";
const TABLE: &str = "trials.tsv";
const BEST: &str = "best.toml";
const RUNS: &str = "trials";
const CONFIG: &str = "config.toml";
const LOCK: &str = "lock";

/// The version that this code writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 1;

/// The content of `search.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SearchFile {
    format_version: u32,
    #[serde(flatten)]
    pub(super) budget: Budget,
    /// The texts of the starting configuration, once they have been read.
    pub(super) texts: Option<Texts>,
}

/// The texts of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Texts {
    /// The number of validation texts.
    pub(super) validation: usize,
    /// The hashes of all inputs.
    pub(super) data: Fingerprints,
}

/// The folder of a search, open for writing.
#[derive(Debug)]
pub(super) struct SearchDirectory {
    path: PathBuf,
    _lock: Lock,
}

/// What the folder of a search holds.
pub(super) struct Found {
    pub(super) folder: SearchDirectory,
    pub(super) file: SearchFile,
    pub(super) start: Start,
    pub(super) space: Space,
    pub(super) trials: Vec<Trial>,
}

impl SearchFile {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            budget,
            texts: None,
        }
    }
}

impl SearchDirectory {
    /// Checks that a search may begin in a folder.
    ///
    /// # Errors
    /// It is a file, or already holds something that a search would replace.
    pub(super) fn check_free(path: &Path) -> Result<()> {
        if path.exists() && !path.is_dir() {
            let problem = "this is a file, not a folder";
            return Err(Error::model(path, problem, "choose another --out"));
        }
        // A search that was killed while it was begun has left its first files, and is replaced.
        let is_unfinished = path.join(LOCK).exists() && !path.join(SEARCH).exists();
        let names = match is_unfinished {
            true => &[TABLE, BEST, RUNS][..],
            false => &[SEARCH, START, SPACE, TRIALS, TABLE, BEST, RUNS],
        };
        let mut names = names.iter().copied();
        match names.find(|name| path.join(name).exists()) {
            None => Ok(()),
            Some(SEARCH) => Err(Error::model(
                path,
                "the folder already holds a search",
                "continue it with --resume, or choose another --out",
            )),
            Some(name) => Err(Error::model(
                path,
                format!("the folder holds files that a search would replace ({name})"),
                "choose another --out",
            )),
        }
    }

    pub(super) fn create(
        path: &Path,
        file: &SearchFile,
        start: &Start,
        space: &Space,
    ) -> Result<Self> {
        Self::check_free(path)?;
        std::fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let folder = Self::locked(path)?;
        atomic::write_file(&path.join(START), start.text().as_bytes())?;
        atomic::write_file(&path.join(SPACE), space.to_toml().as_bytes())?;
        atomic::write_file(&path.join(TRIALS), b"")?;
        // Last, as it makes the folder that of a search.
        folder.save_file(file)?;
        Ok(folder)
    }

    fn locked(path: &Path) -> Result<Self> {
        let lock = lock_file(path, &path.join(LOCK), "search")?;
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
        })
    }

    /// Opens the folder of a search that has begun.
    ///
    /// # Errors
    /// There is none, another process writes there, or a file cannot be read.
    pub(super) fn open(path: &Path) -> Result<Found> {
        let search = path.join(SEARCH);
        if !search.exists() {
            return Err(Error::model(
                path,
                "there is no search to resume",
                "start the search without --resume",
            ));
        }
        let folder = Self::locked(path)?;
        let file: SearchFile = serde_json::from_str(&read(&search)?).map_err(|error| {
            Error::model(
                &search,
                format!("not a readable search: {}", plain_words(&error.to_string())),
                "restore the file, or begin another search in another folder",
            )
        })?;
        if file.format_version != FORMAT_VERSION {
            return Err(Error::model(
                &search,
                format!(
                    "format version {}, but this birnn reads {FORMAT_VERSION}",
                    file.format_version
                ),
                "begin another search in another folder",
            ));
        }
        let (start, space, trials) = (path.join(START), path.join(SPACE), path.join(TRIALS));
        let config = Config::from_toml(Some((&start, &read(&start)?)), &[])
            .map_err(|error| error.within(&start))?;
        let found = Space::from_toml(&space, &read(&space)?, &mut |_| ())
            .map_err(|error| error.within(&space))?;
        Ok(Found {
            folder,
            file,
            start: Start::new(config)?,
            space: found,
            trials: from_lines(&trials, &read(&trials)?)?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn save_file(&self, file: &SearchFile) -> Result<()> {
        let text = serde_json::to_string_pretty(file).map_err(|error| {
            Error::argument("search", format!("cannot be written as JSON: {error}"))
        })?;
        atomic::write_file(&self.path.join(SEARCH), (text + "\n").as_bytes())
    }

    /// The folder of a trial.
    pub(super) fn run(&self, number: usize) -> PathBuf {
        self.path.join(RUNS).join(format!("{number:03}"))
    }

    /// The config of the best trial.
    pub(super) fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// Creates the folder of a trial with its config.
    pub(super) fn begin_run(&self, number: usize, config: &Config) -> Result<PathBuf> {
        let folder = self.run(number);
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let file = folder.join(CONFIG);
        if !file.exists() {
            atomic::write_file(&file, config.to_toml()?.as_bytes())?;
        }
        Ok(folder)
    }

    /// Saves all trials, and the config of the best one.
    pub(super) fn save(&self, trials: &[Trial], start: &Start) -> Result<()> {
        let metric = start.config.train.metric;
        // First what the others follow from.
        atomic::write_file(&self.path.join(TRIALS), to_lines(trials)?.as_bytes())?;
        atomic::write_file(&self.path.join(TABLE), to_table(trials, metric).as_bytes())?;
        if let Some(Trial {
            overrides,
            best: Some(_),
            ..
        }) = ranked(trials, metric).first()
        {
            let config = start.with(overrides)?.to_toml()?;
            atomic::write_file(&self.best(), config.as_bytes())?;
        }
        Ok(())
    }

    /// Removes the checkpoints of trials that are not trained further, and the models of all of them but the best one.
    pub(super) fn tidy(&self, trials: &[Trial], start: &Start) -> Result<()> {
        let best = ranked(trials, start.config.train.metric);
        let best = best.first().map(|trial| trial.number);
        for trial in trials.iter().filter(|trial| trial.is_over()) {
            let folder = self.run(trial.number);
            discard_checkpoints(&folder)?;
            if best != Some(trial.number) {
                discard_model(&folder)?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io("read", path))
}
