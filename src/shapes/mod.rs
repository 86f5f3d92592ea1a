//! The shape of every tensor of a model, from a real run, with its purpose and the reason for its size.
//!
//! [`Walk::new`] builds the model of a config with random weights and runs it on some texts: forward as in prediction,
//! then a training step, and optionally one step inside a cell. Each tensor becomes a [`Row`]: its name, its shape in
//! symbols ([`Dim`]) and as observed, and one line of explanation. The symbolic shape can be checked against the
//! observed one.

mod cell;
mod dim;
mod network;
mod page;
mod picture;
mod symbols;

pub use dim::{Dim, Symbol, Values};
pub use network::Walk;
pub use page::{html, summary};
pub use picture::svg;

use candle_core::Tensor;

/// The part of the walk to which a row belongs, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The trained and stored parameters.
    Parameters,
    /// A forward pass of prediction.
    Prediction,
    /// Outputs and states split by layer and direction.
    Views,
    /// The additional tensors of a training step.
    Training,
    /// One step inside the first layer's forward cell.
    Cell,
}

impl Part {
    /// All parts, in order.
    pub const ALL: [Self; 5] = [
        Self::Parameters,
        Self::Prediction,
        Self::Views,
        Self::Training,
        Self::Cell,
    ];

    /// The headline for display.
    pub fn title(self) -> &'static str {
        match self {
            Self::Parameters => "Parameters",
            Self::Prediction => "Forward, in prediction",
            Self::Views => "Outputs and states, padded and split",
            Self::Training => "Training: forward, backward, update",
            Self::Cell => "One step inside a cell",
        }
    }

    /// The name in machine-readable output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Prediction => "prediction",
            Self::Views => "views",
            Self::Training => "training",
            Self::Cell => "cell",
        }
    }
}

/// A tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The part to which it belongs.
    pub part: Part,
    /// Its name; for a parameter the name in the file of weights.
    pub name: String,
    /// Its shape in symbols.
    pub symbolic: Vec<Dim>,
    /// Its observed shape.
    pub actual: Vec<usize>,
    /// Its purpose, and the reason for its shape.
    pub why: String,
}

impl Row {
    fn new(
        part: Part,
        name: impl Into<String>,
        tensor: &Tensor,
        symbolic: Vec<Dim>,
        why: impl Into<String>,
    ) -> Self {
        Self {
            part,
            name: name.into(),
            symbolic,
            actual: tensor.dims().to_vec(),
            why: why.into(),
        }
    }

    /// The symbolic shape as text: `(tokens, 4*num_hiddens)`.
    pub fn symbolic_text(&self) -> String {
        let dims: Vec<String> = self.symbolic.iter().map(Dim::to_string).collect();
        format!("({})", dims.join(", "))
    }

    /// The observed shape as text: `(7, 400)`.
    pub fn actual_text(&self) -> String {
        let dims: Vec<String> = self.actual.iter().map(usize::to_string).collect();
        format!("({})", dims.join(", "))
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.actual.iter().product()
    }

    /// Whether the symbolic shape agrees with the observed one.
    pub fn agrees(&self, values: &Values) -> bool {
        let symbolic = self.symbolic.iter().map(|dim| dim.value(values));
        symbolic.eq(self.actual.iter().map(|&size| Some(size)))
    }
}
