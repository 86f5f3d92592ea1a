//! The parameters of a stack, read from a builder.

use super::config::RecurrentConfig;
use crate::error::{Error, Result};
use crate::rnn::kernels::{DirectionWeights, State};
use crate::rnn::variants::{LayerNorm, Norms, VariantWeights};
use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

/// PyTorch's initialisation of recurrent layers.
pub(super) fn uniform(hidden_size: usize) -> Init {
    let bound = 1.0 / (hidden_size as f64).sqrt();
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

/// `_l0`, `_l0_reverse`, `_l1`, ...: what ends the names of a layer's parameters in one direction.
fn suffix(layer: usize, direction: usize) -> String {
    match direction {
        0 => format!("_l{layer}"),
        _ => format!("_l{layer}_reverse"),
    }
}

/// The parameters of a stack.
pub(super) struct StackWeights {
    /// By layer, then direction.
    pub(super) layers: Vec<Vec<DirectionWeights>>,
    /// The same with what the cells of the kernels do not have; empty if there is nothing.
    pub(super) variants: Vec<Vec<VariantWeights>>,
    /// The initial state if it is a parameter: `h` [L*D, H], `c` likewise.
    pub(super) initial: Option<State>,
}

impl StackWeights {
    pub(super) fn read(config: &RecurrentConfig, vb: &VarBuilder) -> Result<Self> {
        let each = |read: &dyn Fn(usize, usize) -> Result<VariantWeights>| {
            let of_layer = |layer| {
                (0..config.directions())
                    .map(|direction| read(layer, direction))
                    .collect()
            };
            (0..config.num_layers)
                .map(of_layer)
                .collect::<Result<Vec<Vec<_>>>>()
        };
        let variants = each(&|layer, direction| direction_weights(config, vb, layer, direction))?;
        let base = |weights: &VariantWeights| weights.base.clone();
        Ok(Self {
            layers: variants
                .iter()
                .map(|layer| layer.iter().map(base).collect())
                .collect(),
            variants: match config.is_variant() {
                true => variants,
                false => Vec::new(),
            },
            initial: match config.learn_initial_state {
                true => Some(initial_state(config, vb)?),
                false => None,
            },
        })
    }
}

fn initial_state(config: &RecurrentConfig, vb: &VarBuilder) -> Result<State> {
    let rows = config.num_layers * config.directions();
    let get = |name, size| vb.get_with_hints((rows, size), name, Init::Const(0.0));
    Ok(State {
        h: get("h_0", config.state_size())?,
        c: match config.cell_type.has_cell() {
            true => Some(get("c_0", config.hidden_size)?),
            false => None,
        },
    })
}

fn direction_weights(
    config: &RecurrentConfig,
    vb: &VarBuilder,
    layer: usize,
    direction: usize,
) -> Result<VariantWeights> {
    let suffix = suffix(layer, direction);
    let init = uniform(config.hidden_size);
    let width = config.cell_type.gates() * config.hidden_size;
    let input_size = match layer {
        0 => config.input_size,
        _ => config.output_size(),
    };
    let matrix = |name: &str, rows: usize, columns: usize| {
        vb.get_with_hints((rows, columns), &format!("{name}{suffix}"), init)
    };
    let bias = |name: &str| vb.get_with_hints(width, &format!("{name}{suffix}"), init);
    let norm = |name: &str, size: usize| -> Result<LayerNorm> {
        let vb = vb.pp(format!("layer_norm_{name}{suffix}"));
        Ok(LayerNorm {
            weight: vb.get_with_hints(size, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(size, "bias", Init::Const(0.0))?,
        })
    };
    Ok(VariantWeights {
        base: DirectionWeights {
            input: matrix("weight_ih", width, input_size)?,
            hidden: matrix("weight_hh", width, config.state_size())?,
            bias: match config.bias {
                true => Some((bias("bias_ih")?, bias("bias_hh")?)),
                false => None,
            },
        },
        projection: match config.proj_size {
            0 => None,
            size => Some(matrix("weight_hr", size, config.hidden_size)?),
        },
        norms: match config.layer_norm {
            true => Some(Norms {
                input: norm("ih", width)?,
                hidden: norm("hh", width)?,
                cell: match config.cell_type.has_cell() {
                    true => Some(norm("c", config.hidden_size)?),
                    false => None,
                },
            }),
            false => None,
        },
    })
}

/// Number of unexpected parameters that are named.
const NAMED: usize = 8;

/// Refuses a builder that has more parameters of recurrent layers than this config uses: they belong to another
/// architecture, whose other weights would mean something else here.
pub(super) fn refuse_unexpected(config: &RecurrentConfig, vb: &VarBuilder) -> Result<()> {
    // Some builders make whatever is asked for.
    if vb.contains_tensor("weight_ih_l0_of_no_layer") {
        return Ok(());
    }
    let unexpected = unexpected(config, vb);
    if unexpected.is_empty() {
        return Ok(());
    }
    let prefix = vb.prefix();
    let dot = if prefix.is_empty() { "" } else { "." };
    let mut names: Vec<String> = unexpected
        .iter()
        .take(NAMED)
        .map(|(name, _)| format!("{prefix}{dot}{name}"))
        .collect();
    if unexpected.len() > NAMED {
        names.push(format!("{} more", unexpected.len() - NAMED));
    }
    let mut remedies: Vec<&str> = unexpected.iter().map(|(_, remedy)| *remedy).collect();
    remedies.sort_unstable();
    remedies.dedup();
    let count = |number: usize, noun: &str| match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    };
    Err(Error::argument(
        "parameters",
        format!(
            "there is also {}, which belongs to another architecture: this stack has {}, {} and {}; change {}",
            names.join(", "),
            count(config.num_layers, "layer"),
            count(config.directions(), "direction"),
            if config.bias { "biases" } else { "no biases" },
            remedies.join(", "),
        ),
    ))
}

/// The parameters of recurrent layers that this config does not use, each with the field that they need otherwise.
fn unexpected(config: &RecurrentConfig, vb: &VarBuilder) -> Vec<(String, &'static str)> {
    let (layers, one_direction) = (config.num_layers, !config.bidirectional);
    let is_lstm = config.cell_type.has_cell();
    // What only an LSTM has.
    let of_lstm = |remedy: &'static str| if is_lstm { remedy } else { "cell_type" };
    let mut found = Vec::new();
    let mut look = |name: String, is_unexpected: bool, remedy: &'static str| {
        if is_unexpected && vb.contains_tensor(&name) {
            found.push((name, remedy));
        }
    };
    // One layer more than it has: where there are still more, that one is there too.
    for layer in 0..=layers {
        for direction in 0..2 {
            let suffix = suffix(layer, direction);
            let (beyond, other_way) = (layer == layers, one_direction && direction == 1);
            let (is_new, remedy) = match (beyond, other_way) {
                (true, _) => (true, "num_layers"),
                (false, is_new) => (is_new, "bidirectional"),
            };
            for name in ["weight_ih", "weight_hh"] {
                look(format!("{name}{suffix}"), is_new, remedy);
            }
            for (name, lacks, own_remedy) in [
                ("bias_ih", !config.bias, "bias"),
                ("bias_hh", !config.bias, "bias"),
                ("weight_hr", config.proj_size == 0, of_lstm("proj_size")),
            ] {
                let remedy = if is_new { remedy } else { own_remedy };
                look(format!("{name}{suffix}"), is_new || lacks, remedy);
            }
            if is_new {
                continue;
            }
            for (name, lacks, remedy) in [
                ("ih", !config.layer_norm, "layer_norm"),
                ("hh", !config.layer_norm, "layer_norm"),
                ("c", !config.layer_norm || !is_lstm, of_lstm("layer_norm")),
            ] {
                let name = format!("layer_norm_{name}{suffix}.weight");
                look(name, lacks, remedy);
            }
        }
    }
    let given = !config.learn_initial_state;
    look("h_0".to_owned(), given, "learn_initial_state");
    let remedy = of_lstm("learn_initial_state");
    look("c_0".to_owned(), given || !is_lstm, remedy);
    found
}

/// The states of all rows of a batch from one parameter for all: [L*D, H] as [L*D, B, H].
pub(super) fn for_all_rows(initial: &State, batch: usize) -> Result<State> {
    initial.map(|tensor: &Tensor| {
        let (rows, size) = tensor.dims2()?;
        Ok(tensor
            .unsqueeze(1)?
            .broadcast_as((rows, batch, size))?
            .contiguous()?)
    })
}
