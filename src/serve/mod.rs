//! Models behind a URL: a server of classes of texts, and a client of one.
//!
//! | module | what it holds |
//! |---|---|
//! | `settings` | its limits: [`ServeSettings`] |
//! | `models` | the models, each replaced as a whole when its folder changes: [`Models`] |
//! | `compute` | the threads that compute, and what they compute next |
//! | `work` | what is computed |
//! | `error` | what a refused request is answered |
//! | `app` | what all requests share |
//! | `held` | what a request holds: permits and memory |
//! | `api` | what is asked and answered |
//! | `connections` | connections, and how they end |
//! | `server` | all of it together: [`Server`] |
//! | `page` | the page at `/` |
//! | `metrics`, `access_log` | what is measured and written |
//! | `client` | the other end: [`RemoteClassifier`] |
//!
//! ```no_run
//! use birnn::serve::{AccessLog, ModelSource, Models, ServeSettings, Server};
//!
//! let sources = vec![("reviews".to_owned(), ModelSource::Folder("runs/reviews".into()))];
//! let models = Models::load(sources, &candle_core::Device::Cpu)?;
//! let server = Server::bind("127.0.0.1:8080", models, ServeSettings::default(), AccessLog::off())?;
//! let handle = server.handle();
//! std::thread::spawn(move || {
//!     std::thread::sleep(std::time::Duration::from_secs(60));
//!     handle.stop();
//! });
//! server.run(|notice| eprintln!("{notice}"))?;
//! # Ok::<(), birnn::Error>(())
//! ```

mod access_log;
mod api;
mod app;
mod client;
mod compute;
mod connections;
mod error;
mod held;
mod metrics;
mod models;
mod page;
mod server;
mod settings;
mod work;

pub use access_log::AccessLog;
pub use client::RemoteClassifier;
pub use models::{ModelSource, Models, Reloaded, SHIPPED, ServedModel};
pub use server::{Ended, Notice, Server, ServerHandle};
pub use settings::ServeSettings;
