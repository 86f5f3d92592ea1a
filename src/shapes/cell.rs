//! One step of the first layer's forward cell, gate by gate.

use super::dim::{Dim, Symbol};
use super::symbols::gates;
use super::{Part, Row};
use crate::error::{Error, Result};
use crate::models::classifier::{EMBEDDING, ModelConfig};
use crate::parameters::Parameters;
use crate::rnn::kernels::equations::{GruStep, LstmStep, PreActivations};
use crate::rnn::kernels::{CellType, DirectionWeights, State};
use candle_core::{Device, Tensor};

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
        let pre = PreActivations::new(&x, &h, &self.weights()?)?;
        let why = format!("what the token contributes to {all}, side by side");
        self.show("x W_ih + b_ih", &pre.input, stacked(), why);
        let why = format!("what the state contributes to {all}, side by side");
        self.show("h W_hh + b_hh", &pre.hidden, stacked(), why);
        match (self.model.cell, c) {
            (CellType::RnnRelu, _) => {
                let why = "the sum of both where it is above 0: output and next state";
                Ok(self.unit("h", pre.rnn(true)?, why))
            }
            (CellType::RnnTanh, _) => {
                let why = "tanh of the sum of both: output and next state";
                Ok(self.unit("h", pre.rnn(false)?, why))
            }
            (CellType::Gru, _) => Ok(self.gru(pre.gru(&h)?)),
            (CellType::Lstm, Some(c)) => Ok(self.lstm(pre.lstm(&c)?)),
            (CellType::Lstm, None) => {
                Err(Error::argument("state", "an LSTM needs a cell beside h"))
            }
        }
    }

    fn gru(&mut self, step: GruStep) -> Tensor {
        let why = "reset gate, 0 to 1: how much of the state n may see";
        self.unit("r", step.r, why);
        let why = "update gate, 0 to 1: how much of the state stays";
        self.unit("z", step.z, why);
        let why = "new state, -1 to 1: tanh(x W_in + b_in + r * (h W_hn + b_hn))";
        self.unit("n", step.n, why);
        let why = "(1 - z) * n + z * h before: output and next state";
        self.unit("h", step.h, why)
    }

    fn lstm(&mut self, step: LstmStep) -> Tensor {
        let why = "input gate, 0 to 1: how much of g enters the cell";
        self.unit("i", step.i, why);
        let why = "forget gate, 0 to 1: how much of the cell stays";
        self.unit("f", step.f, why);
        self.unit("g", step.g, "cell input, -1 to 1: what may enter");
        let why = "output gate, 0 to 1: how much of the cell is seen";
        self.unit("o", step.o, why);
        let why = "f * c before + i * g: the memory, which only sums change";
        self.unit("c", step.c, why);
        self.unit("h", step.h, "o * tanh(c): output and next state")
    }

    /// The parameters of the first layer's forward direction.
    fn weights(&self) -> Result<DirectionWeights> {
        let get = |name: &str| self.parameters.needed(&format!("encoder.{name}_l0"));
        Ok(DirectionWeights {
            input: get("weight_ih")?,
            hidden: get("weight_hh")?,
            bias: match self.model.bias {
                true => Some((get("bias_ih")?, get("bias_hh")?)),
                false => None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rng::normal_tensor;
    use crate::rnn::kernels::equations;
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
