//! Weights of a stack that its config does not ask for.

use super::RecurrentConfig;
use crate::error::{Error, Result};
use candle_nn::VarBuilder;

/// Refuses a builder with more of this stack's parameters than the config asks for, which would be left out: another
/// layer, the other direction, biases, or projections, which this library does not have.
pub(super) fn refuse(config: &RecurrentConfig, vb: &VarBuilder) -> Result<()> {
    // A builder that makes up every parameter, as that of zeros, has none to leave out.
    if vb.contains_tensor("weight_ih_l0_of_no_file") {
        return Ok(());
    }
    let next_layer = format!("weight_ih_l{}", config.num_layers);
    let not_asked_for = [
        (
            "num_layers",
            config.num_layers.to_string(),
            next_layer.as_str(),
            true,
        ),
        (
            "bidirectional",
            "false".to_owned(),
            "weight_ih_l0_reverse",
            !config.bidirectional,
        ),
        ("bias", "false".to_owned(), "bias_ih_l0", !config.bias),
        (
            "proj_size",
            "not supported".to_owned(),
            "weight_hr_l0",
            true,
        ),
    ];
    for (argument, value, name, is_left_out) in not_asked_for {
        if is_left_out && vb.contains_tensor(name) {
            let name = match vb.prefix().as_str() {
                "" => name.to_owned(),
                prefix => format!("{prefix}.{name}"),
            };
            let problem = format!("{value}, but the weights have {name}, which would be left out");
            return Err(Error::argument(argument, problem));
        }
    }
    Ok(())
}
