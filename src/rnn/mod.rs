//! Recurrent layers with PyTorch's parameters, names, shapes and orders.
//!
//! - [`Recurrent`]: RNN, GRU or LSTM; any number of layers, one or both directions, ragged batches.
//! - [`RnnCell`], [`GruCell`], [`LstmCell`]: one step.
//! - [`views`]: splits outputs and states by layer and direction.
//! - [`convert`]: weights of Keras, ONNX and cuDNN.
//!
//! Shapes, with B sequences, T steps, I inputs, H hidden units, L layers, D directions:
//!
//! | tensor | shape |
//! |---|---|
//! | input | [B, T, I] if `batch_first`, else [T, B, I] |
//! | output | [B, T, D*H] or [T, B, D*H]; forward half first; zero where a row has ended |
//! | state `h`, `c` | [L*D, B, H]: layer 0 forward, layer 0 reverse, layer 1 forward, ... |
//!
//! ```
//! use birnn::{ops::dropout::Phase, rnn::{CellType, Recurrent, RecurrentConfig}};
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{VarBuilder, VarMap};
//!
//! // The textbook's LSTM(10, 20, 2) on an input of shape (5, 3, 10).
//! let variables = VarMap::new();
//! let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
//! let config = RecurrentConfig { num_layers: 2, ..RecurrentConfig::new(CellType::Lstm, 10, 20) };
//! let lstm = Recurrent::new(&config, builder)?;
//! let input = Tensor::randn(0f32, 1., (5, 3, 10), &Device::Cpu)?;
//! let (output, state) = lstm.forward(&input, None, None, Phase::Inference)?;
//! assert_eq!(output.dims(), [5, 3, 20]);
//! assert_eq!(state.h.dims(), [2, 3, 20]);
//! assert_eq!(state.c.unwrap().dims(), [2, 3, 20]);
//! # Ok::<(), birnn::Error>(())
//! ```

mod cell;
mod config;
pub mod convert;
mod forward_train;
pub mod kernels;
mod padding;
pub mod scratch;
mod stack;
mod variants;
pub mod views;
mod weights;

pub use crate::rnn::kernels::{CellType, State, Wanted};
pub use cell::{GruCell, LstmCell, RnnCell};
pub use config::{GateActivation, RecurrentConfig};
pub use forward_train::{ParameterGradients, StackActivations};
pub use kernels::DirectionWeights;
pub use padding::{pack_padded, pad_packed};
pub use stack::Recurrent;
