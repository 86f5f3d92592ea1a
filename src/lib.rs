//! Bidirectional recurrent text classification on [Candle](candle_core): recurrent layers with
//! PyTorch's parameters and a fast CPU kernel, a classifier built from them, and everything
//! between a file of labelled texts and a prediction.
//!
//! # The flow
//! Data flows down; no module imports one that is further down.
//!
//! ```text
//!  data         files, folders, the hub                 -> rows: text, label
//!  text         tokenizer                               -> token ids
//!  batch        packing: only valid steps               -> packed token ids [N]
//!  ops          embedding, dropout, pooling, loss: an operation in one folder with all its devices
//!  rnn          layers x directions                     -> [N, D*H]
//!    kernels      one operation a layer, on each device
//!  optim        AdamW, averages of the weights, schedules
//!  models       classifier: embedding [N, E], rnn [N, D*H], pooling [B, 4*H], linear [B, classes]
//!               language: which token comes next; ngrams: a linear head beside the network
//!  config       what a run is, read and checked
//!  dataset      data and text for a whole run, cached   -> token lists with classes
//!  checkpoint   model directories and runs on disk
//!  inference    Classifier: from texts to classes; evaluation, calibration
//!  train        one loop for every model
//!  recipe       complete runs, step by step
//!  tune         a search for a better config
//!  report       pages about models
//!  serve        models behind a URL
//!  shapes       every tensor of a model, explained
//!  bench        how fast all this is on a machine
//! ```
//!
//! # Only the layers
//! [`rnn::Recurrent`] is RNN, GRU and LSTM as PyTorch has them: stacked, bidirectional, ragged;
//! it needs nothing of the rest.
//!
//! # The whole way
//! ```
//! use birnn::{batch::Batch, data::{Labels, Source, SourceOptions}, ops::dropout::Phase};
//! use birnn::{models::classifier::{BiRnn, ModelConfig}, parameters::Parameters};
//! use birnn::text::{TextConfig, TextEncoder};
//! use candle_core::Device;
//!
//! let split = Source::open("sample", SourceOptions::default())?.split("train", &mut ())?;
//! let labels = Labels::of_split(&split)?;
//! let texts: Vec<&str> = split.records.iter().map(|row| row.text.as_str()).collect();
//! let encoder = TextEncoder::train(&texts, &TextConfig::default(), &mut |_, _| ())?;
//!
//! let config = ModelConfig { num_hiddens: 16, ..ModelConfig::default() };
//! let build = |vb: candle_nn::VarBuilder| {
//!     BiRnn::new(&config, encoder.vocabulary_size(), labels.len(), vb)
//! };
//! let (model, parameters) = Parameters::create(0, &Device::Cpu, build)?;
//!
//! let ids = [encoder.encode(texts[0])?, encoder.encode(texts[1])?];
//! let batch = Batch::new(&[&ids[0], &ids[1]])?;
//! let logits = model.forward(&batch, Phase::Inference)?;
//! assert_eq!(logits.dims(), [2, labels.len()]);
//! assert!(parameters.get("encoder.weight_ih_l0").is_some());
//! # Ok::<(), birnn::Error>(())
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order of the flow, from the ground up.
pub mod device;
pub mod error;
pub mod fs;
pub mod parameters;
pub mod rng;

pub mod batch;
pub mod data;
pub mod text;
pub mod vectors;

pub mod models;
pub mod ops;
pub mod optim;
pub mod rnn;

pub mod checkpoint;
pub mod config;
pub mod dataset;
pub mod inference;
pub mod recipe;
pub mod train;

pub mod bench;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "serve")]
pub mod serve;
pub mod shapes;
#[cfg(feature = "toml")]
pub mod tune;

pub use error::{Error, Result};

/// Candle in the version whose tensors, devices and builders this crate takes and returns: a program that uses these
/// needs no version of its own.
pub use candle_core;
/// Candle's layers, initial values and [`VarBuilder`](candle_nn::VarBuilder), in the version that fits.
pub use candle_nn;
