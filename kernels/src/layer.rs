//! The arguments of a layer.

use crate::layout::Layout;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The recurrence: the equations from an input and a state to the next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CellType {
    /// Elman network with tanh.
    #[serde(rename = "rnn")]
    RnnTanh,
    /// Elman network with ReLU.
    #[serde(rename = "rnn-relu")]
    RnnRelu,
    /// Gated recurrent unit, in PyTorch's variant (reset gate applied after the product).
    #[serde(rename = "gru")]
    Gru,
    /// Long short-term memory.
    #[serde(rename = "lstm")]
    Lstm,
}

impl CellType {
    /// Every cell type.
    pub const ALL: [Self; 4] = [Self::RnnTanh, Self::RnnRelu, Self::Gru, Self::Lstm];

    /// Number of gates, G: the row blocks of the weights.
    pub fn gates(self) -> usize {
        match self {
            Self::RnnTanh | Self::RnnRelu => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// Whether the state has a cell `c` in addition to `h`.
    pub fn has_cell(self) -> bool {
        self == Self::Lstm
    }
}

impl fmt::Display for CellType {
    /// The name used in configs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RnnTanh => "rnn",
            Self::RnnRelu => "rnn-relu",
            Self::Gru => "gru",
            Self::Lstm => "lstm",
        })
    }
}

impl FromStr for CellType {
    type Err = UnknownCellType;

    /// The name used in configs, or PyTorch's (`LSTM`, `GRU`, `RNN_TANH`, `RNN_RELU`), in any case.
    fn from_str(name: &str) -> Result<Self, UnknownCellType> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "rnn" | "rnn-tanh" => Ok(Self::RnnTanh),
            "rnn-relu" => Ok(Self::RnnRelu),
            "gru" => Ok(Self::Gru),
            "lstm" => Ok(Self::Lstm),
            _ => Err(UnknownCellType(name.to_owned())),
        }
    }
}

/// A text that names no cell type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCellType(String);

impl fmt::Display for UnknownCellType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = CellType::ALL.map(|cell_type| cell_type.to_string());
        write!(
            f,
            "{:?} is not a recurrence; there are {}",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownCellType {}

/// The sizes of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Number of input features, I.
    pub input: usize,
    /// Number of hidden units, H.
    pub hidden: usize,
    /// Number of directions, D: one or two.
    pub directions: usize,
    /// Whether the layer has biases.
    pub bias: bool,
}

impl Sizes {
    /// Number of parameters of all directions.
    pub fn parameters(self, cell_type: CellType) -> usize {
        let biases = if self.bias { 2 } else { 0 };
        self.directions * cell_type.gates() * self.hidden * (self.input + self.hidden + biases)
    }
}

/// The arguments of a layer, flat.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    /// The layout of the packed rows.
    pub layout: &'a Layout,
    /// The sizes of the other arguments.
    pub sizes: Sizes,
    /// Packed rows, [N, I]; with `scales`, the rows of one sequence, [T, I].
    pub input: &'a [f32],
    /// If the sequences are multiples of one, all of its length: the factor of each, `[B]`.
    pub scales: Option<&'a [f32]>,
    /// For each direction in turn: `weight_ih` [G*H, I], `weight_hh` [G*H, H], `bias_ih` `[G*H]`,
    /// `bias_hh` `[G*H]`.
    pub parameters: &'a [f32],
    /// The initial state: `h` [D, B, H], followed by `c` for an LSTM.
    pub start: &'a [f32],
}

/// A layer with fewer multiplications than this is not worth waking another thread.
const SMALL: usize = 8_000_000;

impl<'a> Arguments<'a> {
    /// Asserts that the slices have the declared sizes.
    pub(crate) fn check(&self, cell_type: CellType) {
        let Sizes {
            input,
            hidden,
            directions,
            ..
        } = self.sizes;
        let parts = 1 + usize::from(cell_type.has_cell());
        let states = parts * directions * self.layout.batch() * hidden;
        assert!(
            self.layout.lengths().last().is_some_and(|&least| least > 0),
            "a batch without rows, or a row without steps"
        );
        assert!(input > 0 && hidden > 0 && (1..=2).contains(&directions));
        let rows = match self.scales {
            None => self.layout.rows(),
            Some(scales) => {
                assert_eq!(scales.len(), self.layout.batch(), "scales");
                let (first, rest) = (self.layout.steps(), self.layout.lengths());
                assert!(rest.iter().all(|&length| length == first), "other lengths");
                first
            }
        };
        assert_eq!(self.input.len(), rows * input, "input");
        assert_eq!(
            self.parameters.len(),
            self.sizes.parameters(cell_type),
            "parameters"
        );
        assert_eq!(self.start.len(), states, "initial state");
    }

    /// Number of elements of the output, [N, D*H].
    pub fn output_len(&self) -> usize {
        self.layout.rows() * self.sizes.directions * self.sizes.hidden
    }

    /// Whether the layer is so small that a single thread is fastest.
    pub(crate) fn is_small(&self) -> bool {
        self.layout.rows().saturating_mul(self.parameters.len()) < SMALL
    }

    /// Row `position` of the initial `h` (`part` 0) or `c` (`part` 1).
    pub(crate) fn start_row(&self, part: usize, direction: usize, position: usize) -> &'a [f32] {
        let at = self.state_at(part, direction, position);
        &self.start[at..at + self.sizes.hidden]
    }

    /// The offset of that row.
    pub(crate) fn state_at(&self, part: usize, direction: usize, position: usize) -> usize {
        let directions = self.sizes.directions;
        ((part * directions + direction) * self.layout.batch() + position) * self.sizes.hidden
    }
}

/// Which gradients of a layer's arguments are wanted, beside that of the initial state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// That of the input.
    pub input: bool,
    /// Those of the parameters.
    pub parameters: bool,
}

impl Wanted {
    /// That of the input alone.
    pub const INPUT: Self = Self {
        input: true,
        parameters: false,
    };

    /// Those of the parameters, and that of the input if so.
    #[must_use]
    pub fn parameters(input: bool) -> Self {
        Self {
            input,
            parameters: true,
        }
    }
}
