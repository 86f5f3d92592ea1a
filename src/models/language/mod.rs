//! The recurrent language model of the textbook: which token comes next.
//!
//! [`Stream`] cuts a text into pieces that follow each other; [`RnnModel`] reads them, its state carried
//! from piece to piece; [`LanguageLearner`] learns from them by truncated back-propagation; [`generate`]
//! goes on from a beginning.
//!
//! For pretraining it learns from whole texts instead, in both directions, among sampled [`Candidates`];
//! [`tell`] measures how well.
//!
//! ```
//! use birnn::models::language::{LanguageConfig, LanguageLearner, LanguageTraining, RnnModel, Stream};
//! use birnn::models::language::{Sampling, generate, perplexity};
//! use birnn::parameters::Parameters;
//! use candle_core::Device;
//!
//! // Characters as numbers: `abcabc...`.
//! let ids: Vec<u32> = (0..400).map(|place| place % 3).collect();
//! let stream = Stream::new(&ids, 4, 10)?;
//! let config = LanguageConfig { num_hiddens: 16, ..LanguageConfig::default() };
//! let model = Parameters::create(0, &Device::Cpu, |vb| RnnModel::new(&config, 3, vb))?;
//! let training = LanguageTraining { learning_rate: 0.01, ..LanguageTraining::default() };
//! let mut learner = LanguageLearner::new(model, training);
//! let mut loss = 0.0;
//! for _ in 0..20 {
//!     loss = learner.epoch(&stream, &Device::Cpu)?;
//! }
//! assert!(perplexity(loss) < 1.1);
//! let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
//! assert_eq!(generate(learner.model(), &[0, 1], 4, greedy, &Device::Cpu)?, [2, 0, 1, 2]);
//! # Ok::<(), birnn::Error>(())
//! ```

mod batch;
mod candidates;
mod config;
mod evaluate;
mod generate;
mod gradients;
mod loss;
mod model;
mod stream;
mod targets;
mod train;

pub use batch::{Softmax, TextBatch};
pub use candidates::{Candidates, Unigrams};
pub use config::{Input, LanguageConfig};
pub use evaluate::tell;
pub use generate::{Sampling, generate};
pub use loss::Told;
pub use model::RnnModel;
pub use stream::{Piece, Stream};
pub use train::{LanguageLearner, LanguageTraining, Preparer, perplexity};
