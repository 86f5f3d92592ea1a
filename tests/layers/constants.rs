//! Gradients where only some of input, state and parameters are variables.

use crate::recorded::{Recorded, config};
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, State};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

/// Kernels in single precision, and the cells that they do not have.
#[test]
fn what_is_constant_changes_no_other_gradient() {
    let recorded = Recorded::load("stacks.safetensors");
    let lstm = config(CellType::Lstm).num_layers(2).bidirectional(true);
    for config in [lstm.clone(), lstm.proj_size(2)] {
        let part = |name: &str, shape: &[usize]| recorded.part(name, shape, DType::F32);
        let var = |name: &str, shape: &[usize]| Var::from_tensor(&part(name, shape)).unwrap();
        let parameters = recorded.parameters(&config, DType::F32);
        let input = var("input", &[4, 5, 2]);
        let states = [
            var("h_0", &[4, 4, config.state_size()]),
            var("c_0", &[4, 4, 3]),
        ];
        let weights = part("loss/output", &[4, 5, config.output_size()]);
        // With variables for [input, states, parameters], the others as constants.
        let gradients = |is_variable: [bool; 3]| -> Option<GradStore> {
            let of = |var: &Var, is_variable: bool| match is_variable {
                true => var.as_tensor().clone(),
                false => var.as_detached_tensor(),
            };
            let tensors = parameters
                .iter()
                .map(|(name, var)| (name.clone(), of(var, is_variable[2])));
            let builder = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
            let stack = Recurrent::new(&config, builder).unwrap();
            let [h, c] = [&states[0], &states[1]].map(|var| of(var, is_variable[1]));
            let (output, _) = stack
                .forward(
                    &of(&input, is_variable[0]),
                    Some(&[2, 5, 0, 3]),
                    Some(&State { h, c: Some(c) }),
                    Phase::Inference,
                )
                .unwrap();
            let loss = (output * &weights).unwrap().sum_all().unwrap();
            loss.track_op().then(|| loss.backward().unwrap())
        };
        let values = |tensor: &Tensor| -> Vec<f32> {
            let flat = tensor.flatten_all().unwrap();
            flat.to_vec1().unwrap()
        };
        let all = gradients([true; 3]).unwrap();
        let vars: [Vec<&Var>; 3] = [
            vec![&input],
            states.iter().collect(),
            parameters.values().collect(),
        ];
        for choice in 1..8 {
            let is_variable = [0, 1, 2].map(|bit| choice >> bit & 1 == 1);
            let some = gradients(is_variable).unwrap();
            for (vars, is_variable) in vars.iter().zip(is_variable) {
                for var in vars {
                    let expected = is_variable.then(|| values(all.get(var).unwrap()));
                    assert_eq!(some.get(var).map(values), expected);
                }
            }
        }
        assert!(gradients([false; 3]).is_none());
    }
}
