//! One step of the first layer's forward cell, gate by gate.

use super::dim::{Dim, Symbol};
use super::symbols::gates;
use super::{Part, Row};
use crate::error::{Error, Result};
use crate::models::classifier::{EMBEDDING, ModelConfig};
use crate::parameters::Parameters;
use crate::rnn::kernels::{CellType, State};
use candle_core::{Device, Tensor};
use candle_nn::ops::sigmoid;

/// A step that shows its tensors as it goes.
struct Step<'a> {
    model: &'a ModelConfig,
    parameters: &'a Parameters,
    rows: Vec<Row>,
}

/// Runs the cell over one token of each text, from a state [B, H]; returns the tensors on the way and the
/// next `h` [B, H].
pub(super) fn step(
    model: &ModelConfig,
    parameters: &Parameters,
    ids: &[u32],
    state: &State,
) -> Result<(Vec<Row>, Tensor)> {
    let mut step = Step {
        model,
        parameters,
        rows: Vec::new(),
    };
    let h = step.run(ids, state)?;
    Ok((step.rows, h))
}

impl Step<'_> {
    fn show(&mut self, name: &str, tensor: &Tensor, width: Dim, why: impl Into<String>) {
        let shape = vec![Symbol::Batch.into(), width];
        self.rows
            .push(Row::new(Part::Cell, name, tensor, shape, why));
    }

    /// A tensor [B, H].
    fn unit(&mut self, name: &str, tensor: Tensor, why: &str) -> Tensor {
        self.show(name, &tensor, Symbol::NumHiddens.into(), why);
        tensor
    }

    fn run(&mut self, ids: &[u32], state: &State) -> Result<Tensor> {
        let names = gates(self.model.cell);
        let stacked = || Dim::new(names.len(), &[Symbol::NumHiddens]);
        let table = self.parameters.needed(EMBEDDING)?;
        let x = table.index_select(&Tensor::new(ids, &Device::Cpu)?, 0)?;
        let why = "the embedded token of this step, one for each text";
        self.show("x", &x, Symbol::EmbeddingSize.into(), why);
        let why = "the hidden state that the step before left, at the first step zeros";
        let h = self.unit("h before", state.h.clone(), why);
        let c = state.c.as_ref().map(|c| {
            let why = "the memory cell that the step before left, at the first step zeros";
            self.unit("c before", c.clone(), why)
        });

        let all = names.join(", ");
        let from_input = self.product(&x, "ih")?;
        let why = format!("what the token says, for {all} side by side");
        self.show("x W_ih + b_ih", &from_input, stacked(), why);
        let from_hidden = self.product(&h, "hh")?;
        let why = format!("what the state says, for {all} side by side");
        self.show("h W_hh + b_hh", &from_hidden, stacked(), why);

        let width = self.model.num_hiddens;
        let part = |tensor: &Tensor, gate: usize| tensor.narrow(1, gate * width, width);
        let sum = |gate: usize| part(&from_input, gate)? + part(&from_hidden, gate)?;
        match (self.model.cell, c) {
            (CellType::RnnRelu, _) => {
                let why = "the sum of both where it is above 0: output and next state";
                Ok(self.unit("h", sum(0)?.relu()?, why))
            }
            (CellType::Gru, _) => {
                let why = "reset gate, 0 to 1: how much of the state n may see";
                let r = self.unit("r", sigmoid(&sum(0)?)?, why);
                let why = "update gate, 0 to 1: how much of the state stays";
                let z = self.unit("z", sigmoid(&sum(1)?)?, why);
                let n = (part(&from_input, 2)? + (r * part(&from_hidden, 2)?)?)?.tanh()?;
                let why = "new state, -1 to 1: tanh(x W_in + b_in + r * (h W_hn + b_hn))";
                let n = self.unit("n", n, why);
                let next = ((&n - (&z * &n)?)? + (z * h)?)?;
                let why = "(1 - z) * n + z * h before: output and next state";
                Ok(self.unit("h", next, why))
            }
            (CellType::Lstm, Some(c)) => {
                let why = "input gate, 0 to 1: how much of g enters the cell";
                let i = self.unit("i", sigmoid(&sum(0)?)?, why);
                let why = "forget gate, 0 to 1: how much of the cell stays";
                let f = self.unit("f", sigmoid(&sum(1)?)?, why);
                let g = self.unit("g", sum(2)?.tanh()?, "cell input, -1 to 1: what may enter");
                let why = "output gate, 0 to 1: how much of the cell is seen";
                let o = self.unit("o", sigmoid(&sum(3)?)?, why);
                let why = "f * c before + i * g: the memory, which only sums change";
                let c = self.unit("c", ((f * c)? + (i * g)?)?, why);
                let why = "o * tanh(c): output and next state";
                Ok(self.unit("h", (o * c.tanh()?)?, why))
            }
            (CellType::Lstm, None) => {
                Err(Error::argument("state", "an LSTM needs a cell beside h"))
            }
            (CellType::RnnTanh, _) => {
                let why = "tanh of the sum of both: output and next state";
                Ok(self.unit("h", sum(0)?.tanh()?, why))
            }
        }
    }

    /// The product of an input [B, ..] with the weights of a kind, `ih` or `hh`, and their bias.
    fn product(&self, input: &Tensor, kind: &str) -> Result<Tensor> {
        let weight = self
            .parameters
            .needed(&format!("encoder.weight_{kind}_l0"))?;
        let product = input.matmul(&weight.t()?)?;
        if !self.model.bias {
            return Ok(product);
        }
        let bias = self.parameters.needed(&format!("encoder.bias_{kind}_l0"))?;
        Ok(product.broadcast_add(&bias)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rng::normal_tensor;
    use crate::rnn::kernels::{DirectionWeights, equations};
    use crate::train::classifier::initial_model;

    #[test]
    fn a_step_gate_by_gate_is_a_step_of_the_equations() {
        for cell in [
            CellType::RnnTanh,
            CellType::RnnRelu,
            CellType::Gru,
            CellType::Lstm,
        ] {
            for bias in [true, false] {
                let mut config = Config::default();
                config.model.cell = cell;
                config.model.bias = bias;
                (config.model.embedding_size, config.model.num_hiddens) = (5, 3);
                let model = initial_model(&config, 10, 2, None, &Device::Cpu);
                let (_, parameters) = model.unwrap();
                let (h, c) = (normal_tensor(1, &[2, 3]), normal_tensor(2, &[2, 3]));
                let state = State {
                    h: h.clone(),
                    c: (cell == CellType::Lstm).then(|| c.clone()),
                };
                let (rows, found) = step(&config.model, &parameters, &[4, 7], &state).unwrap();
                assert_eq!(rows.last().unwrap().name, "h");
                assert_eq!(gates(cell).len(), cell.gates());
                let get = |name: &str| parameters.needed(&format!("encoder.{name}_l0")).unwrap();
                let weights = DirectionWeights {
                    input: get("weight_ih"),
                    hidden: get("weight_hh"),
                    bias: bias.then(|| (get("bias_ih"), get("bias_hh"))),
                };
                let ids = Tensor::new(&[4u32, 7], &Device::Cpu).unwrap();
                let table = parameters.needed(EMBEDDING).unwrap();
                let x = table.index_select(&ids, 0).unwrap();
                let expected = match cell {
                    CellType::Lstm => equations::lstm(&x, &h, &c, &weights).map(|(h, _)| h),
                    CellType::Gru => equations::gru(&x, &h, &weights),
                    cell_type => equations::rnn(&x, &h, &weights, cell_type == CellType::RnnRelu),
                };
                let difference = (found - expected.unwrap()).unwrap().abs().unwrap();
                let largest: f32 = difference.max_all().unwrap().to_scalar().unwrap();
                assert!(largest < 1e-6, "{cell:?}: {largest}");
            }
        }
    }
}
