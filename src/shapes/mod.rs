//! The shape of every tensor of a model, out of a real run: what each is for, why it is as large as it is.
//!
//! [`Walk::new`] builds the model of a config with random weights and runs it over some texts: forward as
//! in prediction, then a step of training, and, if wanted, one step inside a cell. Each tensor that comes by
//! is a [`Row`]: its name, its shape in symbols ([`Dim`]) and as it was found, and one line of why. Both
//! shapes are there, so that each can be held against the other.

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

/// What a row belongs to, in the order of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What is learnt and stored.
    Parameters,
    /// A forward pass of prediction.
    Prediction,
    /// How outputs and states split by layer and direction.
    Views,
    /// What a step of training adds.
    Training,
    /// One step inside the first layer's forward cell.
    Cell,
}

impl Part {
    /// All parts, in their order.
    pub const ALL: [Self; 5] = [
        Self::Parameters,
        Self::Prediction,
        Self::Views,
        Self::Training,
        Self::Cell,
    ];

    /// The headline for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Parameters => "Parameters",
            Self::Prediction => "Forward, in prediction",
            Self::Views => "Outputs and states, padded and split",
            Self::Training => "Training: forward, backward, update",
            Self::Cell => "One step inside a cell",
        }
    }

    /// The name for machines.
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
    /// What it belongs to.
    pub part: Part,
    /// Its name, for parameters the one in the file of the weights.
    pub name: String,
    /// Its shape in symbols.
    pub symbolic: Vec<Dim>,
    /// Its shape as it was found.
    pub actual: Vec<usize>,
    /// Why it is there, and of this shape.
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

    /// The shape in symbols as text: `(tokens, 4*num_hiddens)`.
    pub fn symbolic_text(&self) -> String {
        let dims: Vec<String> = self.symbolic.iter().map(Dim::to_string).collect();
        format!("({})", dims.join(", "))
    }

    /// The shape as it was found as text: `(7, 400)`.
    pub fn actual_text(&self) -> String {
        let dims: Vec<String> = self.actual.iter().map(usize::to_string).collect();
        format!("({})", dims.join(", "))
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.actual.iter().product()
    }

    /// Whether the shape in symbols is that which was found.
    pub fn agrees(&self, values: &Values) -> bool {
        let symbolic = self.symbolic.iter().map(|dim| dim.value(values));
        symbolic.eq(self.actual.iter().map(|&size| Some(size)))
    }
}
