//! The models that are served, each replaced as a whole when its folder changes.

mod watch;

use crate::checkpoint::{ModelFiles, SavedClassifier};
use crate::error::{Error, Result};
use crate::inference::Classifier;
use arc_swap::{ArcSwap, ArcSwapOption};
use candle_core::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use watch::Stamp;

/// A model that can be served.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// The name in addresses.
    pub name: String,
    /// The model.
    pub classifier: Classifier,
    /// The SHA-256 of its files.
    pub fingerprint: String,
    /// When it was loaded.
    pub loaded: SystemTime,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The one that is part of this program.
    Shipped,
    /// A folder of a model or a run.
    Folder(PathBuf),
}

/// How an attempt to load a model again ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reloaded {
    /// The files are those of the model that is served.
    Same,
    /// The new one is served from now on.
    Replaced,
    /// The old one goes on being served.
    Refused(Error),
}

/// The models by name; the first one answers where no name is given.
pub struct Models {
    entries: Vec<Entry>,
    device: Device,
}

struct Entry {
    source: ModelSource,
    current: ArcSwap<ServedModel>,
    /// Why the files that are there now are not served.
    refusal: ArcSwapOption<String>,
    /// What is known of the files; held while they are read, so that this happens once at a time.
    seen: Mutex<Seen>,
}

/// The states of the files of a model.
struct Seen {
    /// When they were last loaded, or refused.
    read: Stamp,
    /// When they were last looked at.
    last: Stamp,
}

/// The name of the model that is part of this program.
pub const SHIPPED: &str = "shipped";

impl Models {
    /// Loads models, each with its name.
    ///
    /// # Errors
    /// There are none, two have one name, a name that cannot be part of an address, or those of
    /// [`Classifier::from_dir`].
    pub fn load(sources: Vec<(String, ModelSource)>, device: &Device) -> Result<Self> {
        if sources.is_empty() {
            return Err(Error::argument("models", "there are none"));
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(sources.len());
        for (name, source) in sources {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
                let problem = format!(
                    "the name {name:?} cannot be part of an address: give one of letters, digits, `-`, `_` and `.`, NAME=DIR"
                );
                return Err(Error::argument("models", problem));
            }
            if entries
                .iter()
                .any(|entry| entry.current.load().name == name)
            {
                let problem = format!("two have the name {name}: give them names, NAME=DIR");
                return Err(Error::argument("models", problem));
            }
            let stamp = Stamp::of(&source);
            entries.push(Entry {
                current: ArcSwap::from_pointee(load(&name, &source, device)?),
                refusal: ArcSwapOption::empty(),
                seen: Mutex::new(Seen {
                    read: stamp.clone(),
                    last: stamp,
                }),
                source,
            });
        }
        Ok(Self {
            entries,
            device: device.clone(),
        })
    }

    /// The model of this name, or without one the first.
    pub fn get(&self, name: Option<&str>) -> Option<Arc<ServedModel>> {
        let mut models = self.entries.iter().map(|entry| entry.current.load_full());
        match name {
            Some(name) => models.find(|model| model.name == name),
            None => models.next(),
        }
    }

    /// All models in the order in which they were given, each with why newer files of it are not served, if so.
    pub fn all(&self) -> impl Iterator<Item = (Arc<ServedModel>, Option<Arc<String>>)> {
        let entries = self.entries.iter();
        entries.map(|entry| (entry.current.load_full(), entry.refusal.load_full()))
    }

    /// Loads the models again whose files have changed since they were loaded and do not change any more, each beside the
    /// one that is served; with `all` every one, at once. Gives those that were tried.
    pub fn reload(&self, all: bool) -> Vec<(String, Reloaded)> {
        let tried = self.entries.iter().filter_map(|entry| {
            let found = self.reload_entry(entry, all)?;
            Some((entry.current.load().name.clone(), found))
        });
        tried.collect()
    }

    fn reload_entry(&self, entry: &Entry, is_forced: bool) -> Option<Reloaded> {
        let mut seen = entry.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Stamp::of(&entry.source);
        let is_still = std::mem::replace(&mut seen.last, now.clone()) == now;
        if !is_forced && (now == seen.read || !is_still) {
            return None;
        }
        let served = entry.current.load_full();
        // A bug on these files must not end the server, nor be tried again every second.
        let load = || load(&served.name, &entry.source, &self.device);
        let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
            let problem = "this is a bug in birnn: loading it has failed";
            Err(Error::model(Path::new(&served.name), problem, "report it"))
        });
        if Stamp::of(&entry.source) != now && !is_forced {
            // They changed while they were read: next time.
            return None;
        }
        seen.read = now;
        Some(match loaded {
            Ok(model) => {
                entry.refusal.store(None);
                match model.fingerprint == served.fingerprint {
                    true => Reloaded::Same,
                    false => {
                        entry.current.store(Arc::new(model));
                        Reloaded::Replaced
                    }
                }
            }
            Err(error) => {
                entry.refusal.store(Some(Arc::new(error.to_string())));
                Reloaded::Refused(error)
            }
        })
    }
}

/// Loads a model into memory: its files may be written to while it is in use.
fn load(name: &str, source: &ModelSource, device: &Device) -> Result<ServedModel> {
    let (path, files) = match source {
        ModelSource::Shipped => (Path::new(SHIPPED), ModelFiles::shipped()?),
        ModelSource::Folder(folder) => (folder.as_path(), ModelFiles::read(folder)?),
    };
    let saved = SavedClassifier::from_files(path, &files, device)?;
    Ok(ServedModel {
        name: name.to_owned(),
        classifier: saved.into(),
        fingerprint: files.hash(),
        loaded: SystemTime::now(),
    })
}
