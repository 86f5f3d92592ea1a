//! What is written to disk: model directories and the folder of a training run.

mod bytes;
mod export;
mod manifest;
mod model_directory;
mod run_directory;
mod weights;

pub use export::export;
pub use model_directory::{ModelDirectory, ModelFile};
pub use run_directory::{Progress, Resumed, RunDirectory, Snapshot};
