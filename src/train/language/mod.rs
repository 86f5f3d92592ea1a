//! The training task of a language model: texts, labelled or not.
//!
//! [`LanguageTask`] trains on whole texts, in both directions, with sampled [`Candidates`]. [`LanguageLearner`] trains
//! as in the textbook: [`Stream`] splits a text into consecutive segments, and the learner processes them by truncated
//! backpropagation, carrying the state from segment to segment.
//!
//! ```
//! use birnn::models::language::{LanguageConfig, RnnModel, Sampling, generate, perplexity};
//! use birnn::parameters::Parameters;
//! use birnn::train::language::{LanguageLearner, LanguageTraining, Stream};
//! use candle_core::Device;
//!
//! // Characters as numbers: `abcabc...`.
//! let ids: Vec<u32> = (0..400).map(|position| position % 3).collect();
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
mod decoder;
mod gradients;
mod initial;
mod learner;
#[cfg(test)]
mod oracle;
mod stream;
mod task;

pub use batch::{Softmax, TextBatch};
pub use candidates::{Candidates, Unigrams};
pub use initial::initial_language_model;
pub use learner::{LanguageLearner, LanguageTraining};
pub use stream::{Segment, Stream};
pub use task::{LanguageCollator, LanguageTask};
