//! A search for a better configuration: random trials around a starting one, and successive halving by epochs.
//!
//! A [`Search`] draws trials from a [`Space`]. Each is a run in a folder of its own, which is trained a part of its epochs
//! and compared with the others at this point; the best third goes on, from its checkpoint ([`halving`]). The first trial
//! is the starting configuration, so that the best one is at least as good on the validation texts. Proposals that learn
//! from earlier trials pay only with more of them than minutes have room for.
//!
//! The seed determines the trials and their order; the time only how many of them there are. By itself each trial is a run
//! like any other, with the same bytes as that of `birnn train --config` with its `config.toml`.
//!
//! ```no_run
//! use birnn::{config::Config, fs::cache::Cache, tune::{Budget, Search, Space}};
//! use candle_core::Device;
//! use std::path::Path;
//!
//! let config = Config::default(); // Its data are the bundled sample.
//! let space = Space::default_for(&config)?;
//! let budget = Budget { trials: Some(10), ..Budget::default() };
//! let mut search = Search::create(Path::new("runs/search"), config, space, budget)?;
//! search.run(&Cache::off(), &Device::Cpu, &mut ())?;
//! let found = search.findings().expect("the first trial has a result");
//! println!("{:?}", found.best().overrides);
//! # Ok::<(), birnn::Error>(())
//! ```

mod budget;
mod draw;
mod folder;
pub mod halving;
mod outcome;
mod run;
mod search;
mod space;
mod start;
mod trials;
mod watch;

pub use budget::Budget;
pub use outcome::Findings;
pub use search::{Ended, Search, SearchMonitor};
pub use space::{Choices, Overrides, Space};
pub use trials::{Best, Trial, state};
