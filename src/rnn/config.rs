//! What a stack of recurrent layers is.

use crate::error::{Error, Result};
use crate::ops::dropout::check_probability;
use crate::rnn::kernels::CellType;
use serde::{Deserialize, Serialize};

/// The arguments of PyTorch's `RNN`, `GRU` and `LSTM`, and variants of the cells beyond them.
///
/// Made with [`RecurrentConfig::new`], and changed by struct update or by the methods of the fields' names:
///
/// ```
/// use birnn::rnn::{CellType, RecurrentConfig};
///
/// let config = RecurrentConfig::new(CellType::Lstm, 100, 200).num_layers(2).bidirectional(true);
/// let same = RecurrentConfig { num_layers: 2, bidirectional: true, ..RecurrentConfig::new(CellType::Lstm, 100, 200) };
/// assert_eq!(config, same);
/// ```
///
/// The fields after `bidirectional` are not for the fast kernels, except `weight_drop`, `locked_dropout` and
/// `learn_initial_state`: with one of the others a layer runs in tensor operations, several times slower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecurrentConfig {
    /// The recurrence.
    pub cell_type: CellType,
    /// Number of input features, I.
    pub input_size: usize,
    /// Number of hidden units, H.
    pub hidden_size: usize,
    /// Number of layers, each fed with the output of the one below, L.
    #[serde(default = "one")]
    pub num_layers: usize,
    /// Whether the layers have the biases `bias_ih` and `bias_hh`.
    #[serde(default = "yes")]
    pub bias: bool,
    /// Whether inputs and outputs are [B, T, ..] rather than [T, B, ..].
    #[serde(default)]
    pub batch_first: bool,
    /// Probability of dropout on the output of each layer but the last.
    #[serde(default)]
    pub dropout: f64,
    /// Whether each layer also runs in reverse.
    #[serde(default)]
    pub bidirectional: bool,
    /// Size of the projection of an LSTM's hidden state (Sak et al. 2014), P: PyTorch's `proj_size`; 0 for none. The
    /// output is then D*P wide, and `h` [L*D, B, P]; parameters `weight_hr_l0` [P, H].
    #[serde(default)]
    pub proj_size: usize,
    /// For a GRU, whether the reset gate multiplies the state after its product with `W_hn` (PyTorch, cuDNN, Keras's
    /// default) or before it (the original paper, Cho et al. 2014; Keras's `reset_after=False`; ONNX's default).
    #[serde(default = "yes")]
    pub reset_after: bool,
    /// The activation of the gates.
    #[serde(default)]
    pub gate_activation: GateActivation,
    /// Whether the sums over the input, the sums over the state and an LSTM's cell state are normalised in each step
    /// (Ba et al. 2016): the sums before their biases, over all gates together. Parameters `layer_norm_ih_l0.weight`
    /// and `.bias` `[G*H]`, `layer_norm_hh_l0` likewise, and for an LSTM `layer_norm_c_l0` `[H]`.
    #[serde(default)]
    pub layer_norm: bool,
    /// Whether `dropout` drops the same features at all steps of a sequence (variational dropout: Gal and Ghahramani
    /// 2016; AWD-LSTM's locked dropout).
    #[serde(default)]
    pub locked_dropout: bool,
    /// Probability of dropout on the hidden state in the recurrent product, with one mask for all steps of a sequence
    /// (Gal and Ghahramani 2016; Keras's `recurrent_dropout`).
    #[serde(default)]
    pub recurrent_dropout: f64,
    /// Probability of dropout on the elements of `weight_hh`, with one mask for all steps and sequences of a pass
    /// (DropConnect; AWD-LSTM, Merity et al. 2017).
    #[serde(default)]
    pub weight_drop: f64,
    /// Probability that a unit keeps its hidden state of the step before (zoneout, Krueger et al. 2016); in inference
    /// the expected state.
    #[serde(default)]
    pub zoneout: f64,
    /// The same for an LSTM's cell state.
    #[serde(default)]
    pub zoneout_cell: f64,
    /// Whether the initial state is a parameter, used where none is given: `h_0` [L*D, H] (with a projection [L*D, P])
    /// and for an LSTM `c_0` [L*D, H]; initially zeros.
    #[serde(default)]
    pub learn_initial_state: bool,
    /// Keeps struct literals without `..` impossible, so that a new field breaks no program.
    #[doc(hidden)]
    #[serde(skip)]
    pub _more: (),
}

/// The activation of the gates of an LSTM or a GRU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GateActivation {
    /// `1 / (1 + exp(-x))`.
    #[default]
    Sigmoid,
    /// `x / 6 + 1 / 2` between 0 and 1: PyTorch's `hardsigmoid`, Keras 3's `hard_sigmoid`.
    HardSigmoid,
    /// `0.2 x + 1 / 2` between 0 and 1: ONNX's `HardSigmoid` with its default values, Keras 2's `hard_sigmoid`.
    SteepHardSigmoid,
}

/// Checks that a size is not 0.
pub(super) fn check_size(argument: &'static str, size: usize) -> Result<()> {
    match size {
        0 => Err(Error::argument(argument, "0, but at least 1 is needed")),
        _ => Ok(()),
    }
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// A method for each field.
macro_rules! setters {
    ($($name:ident: $type:ty),* $(,)?) => {
        $(
            #[doc = concat!("The same with [`", stringify!($name), "`](field@Self::", stringify!($name), ").")]
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            }
        )*
    };
}

impl RecurrentConfig {
    /// PyTorch's defaults: one layer, one direction, biases, time-major, no dropout.
    pub fn new(cell_type: CellType, input_size: usize, hidden_size: usize) -> Self {
        Self {
            cell_type,
            input_size,
            hidden_size,
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
            proj_size: 0,
            reset_after: true,
            gate_activation: GateActivation::Sigmoid,
            layer_norm: false,
            locked_dropout: false,
            recurrent_dropout: 0.0,
            weight_drop: 0.0,
            zoneout: 0.0,
            zoneout_cell: 0.0,
            learn_initial_state: false,
            _more: (),
        }
    }

    setters! {
        num_layers: usize,
        bias: bool,
        batch_first: bool,
        dropout: f64,
        bidirectional: bool,
        proj_size: usize,
        reset_after: bool,
        gate_activation: GateActivation,
        layer_norm: bool,
        locked_dropout: bool,
        recurrent_dropout: f64,
        weight_drop: f64,
        zoneout: f64,
        zoneout_cell: f64,
        learn_initial_state: bool,
    }

    /// Number of directions, D.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Number of features of a direction's output and of `h`: P with a projection, else H.
    pub fn state_size(&self) -> usize {
        match self.proj_size {
            0 => self.hidden_size,
            size => size,
        }
    }

    /// Number of features of the output, D*H (with a projection D*P).
    pub fn output_size(&self) -> usize {
        self.directions() * self.state_size()
    }

    /// Whether a layer needs more than the equations of the kernels.
    pub(super) fn is_variant(&self) -> bool {
        self.proj_size > 0
            || !self.reset_after
            || self.gate_activation != GateActivation::Sigmoid
            || self.layer_norm
            || self.recurrent_dropout > 0.0
            || self.zoneout > 0.0
            || self.zoneout_cell > 0.0
    }

    /// Whether a pass is more than a kernel for each layer and dropout between them.
    pub(super) fn is_extended(&self) -> bool {
        self.is_variant()
            || self.locked_dropout
            || self.weight_drop > 0.0
            || self.learn_initial_state
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// The first field whose value cannot be used: a size of 0, a probability outside [0, 1), or a variant that this
    /// recurrence does not have.
    pub fn validate(&self) -> Result<()> {
        for (argument, size) in [
            ("input_size", self.input_size),
            ("hidden_size", self.hidden_size),
            ("num_layers", self.num_layers),
        ] {
            check_size(argument, size)?;
        }
        // Also where no layer has one, so that a wrong value never waits for another layer.
        for (argument, probability) in [
            ("dropout", self.dropout),
            ("recurrent_dropout", self.recurrent_dropout),
            ("weight_drop", self.weight_drop),
            ("zoneout", self.zoneout),
            ("zoneout_cell", self.zoneout_cell),
        ] {
            check_probability(argument, probability)?;
        }
        let lacks = |argument, is_there: bool, what: &str| match is_there {
            true => Err(Error::argument(
                argument,
                format!("{} has no {what}", self.cell_type),
            )),
            false => Ok(()),
        };
        let (is_lstm, is_gru) = (
            self.cell_type == CellType::Lstm,
            self.cell_type == CellType::Gru,
        );
        lacks("proj_size", !is_lstm && self.proj_size > 0, "projection")?;
        lacks(
            "zoneout_cell",
            !is_lstm && self.zoneout_cell > 0.0,
            "cell state",
        )?;
        lacks("reset_after", !is_gru && !self.reset_after, "reset gate")?;
        lacks(
            "gate_activation",
            !is_lstm && !is_gru && self.gate_activation != GateActivation::Sigmoid,
            "gates",
        )?;
        if self.layer_norm && !self.reset_after {
            let problem = "there is no layer normalisation with a reset gate before the product";
            return Err(Error::argument("layer_norm", problem));
        }
        if self.proj_size >= self.hidden_size {
            let problem = format!(
                "{}, but it must be smaller than hidden_size, {}",
                self.proj_size, self.hidden_size
            );
            return Err(Error::argument("proj_size", problem));
        }
        Ok(())
    }
}
