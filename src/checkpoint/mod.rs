//! The files that are written to disk: model directories and the folder of a training run.

mod beginning;
mod bytes;
mod checkpoints;
mod checksums;
mod discard;
mod export;
mod language_directory;
mod manifest;
mod model_directory;
mod model_files;
mod output_fit;
mod run_directory;
mod shipped;
mod space;
mod state;
mod tensors;
mod verify;
mod weights;

pub use beginning::Beginning;
#[cfg(feature = "toml")]
pub(crate) use checkpoints::{Lock, lock_file};
pub use checksums::FileState;
pub use discard::{discard_checkpoints, discard_model};
pub use export::export;
pub use language_directory::{LanguageDirectory, LanguageFile};
pub use model_directory::{Loading, ModelFile, SavedClassifier};
pub use model_files::ModelFiles;
pub use output_fit::OutputFit;
pub use run_directory::{Description, Resumed, RunDirectory};
pub use space::check_space;
pub use state::{RunKind, RunState, Snapshot};
pub use verify::{Verification, VerifiedFile, accept, verify};
