//! Differentiable operations besides the recurrent layers: a folder or file for each, with the code for all devices.
//!
//! | module | what it computes |
//! |---|---|
//! | [`embedding`] | the rows of a table, [N, E], for token ids `[N]` |
//! | [`gather`] | picked rows, and the sums of their gradients by row |
//! | [`dropout`] | elements set to zero, by a counter-based mask |
//! | [`pooling`] | one vector per sequence from the outputs of all steps |
//! | [`argmax`] | the most probable class |
//! | [`cross_entropy`] | the loss of logits of one class a text, and its gradient |
//! | [`binary_cross_entropy`] | the same for any number of classes a text |

pub mod argmax;
pub mod binary_cross_entropy;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod gather;
pub mod pooling;
