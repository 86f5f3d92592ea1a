//! When a pass in training has new masks, and when the same.

use crate::recorded::{Recorded, config};
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

fn stack(recorded: &Recorded, config: &RecurrentConfig) -> Recurrent {
    let parameters = recorded.parameters(config, DType::F32);
    let tensors = parameters
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
    let builder = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    Recurrent::new(config, builder).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Each kind alone, in two layers: used twice in a step it draws twice, another step begins anew, and a replay has the
/// masks of the first pass.
#[test]
fn each_pass_draws_and_a_replay_repeats_the_first() {
    let recorded = Recorded::load("stacks.safetensors");
    let input = recorded.part("input", &[4, 5, 2], DType::F32);
    let lstm = config(CellType::Lstm).num_layers(2);
    for config in [
        lstm.clone().dropout(0.5).locked_dropout(true),
        lstm.clone().recurrent_dropout(0.5),
        lstm.clone().weight_drop(0.5),
        lstm.clone().weight_drop(0.5).proj_size(2),
        lstm.clone().zoneout(0.5),
        lstm.zoneout_cell(0.5),
    ] {
        let stack = stack(&recorded, &config);
        let run = |phase| values(&stack.forward(&input, None, None, phase).unwrap().0);
        let training = |step| run(Phase::Training { seed: 1, step });
        let (first, second, other_step) = (training(1), training(1), training(2));
        let whole = run(Phase::Inference);
        let different = [&first, &second, &other_step, &whole];
        for (index, one) in different.iter().enumerate() {
            for other in &different[index + 1..] {
                assert_ne!(one, other, "{config:?}");
            }
        }
        assert_eq!(training(1), first);
        assert_eq!(run(Phase::Replay { seed: 1, step: 1 }), first);
        assert_eq!(run(Phase::Inference), whole);
    }
}

/// A state that is given goes before the learned one, also one of zeros.
#[test]
fn a_learned_state_is_for_where_none_is_given() {
    let recorded = Recorded::load("stacks.safetensors");
    let input = recorded.part("input", &[4, 5, 2], DType::F32);
    for cell_type in CellType::ALL {
        let learned = config(cell_type)
            .bidirectional(true)
            .learn_initial_state(true);
        let plain = learned.clone().learn_initial_state(false);
        let [learned, plain] = [&learned, &plain].map(|config| stack(&recorded, config));
        let given = State {
            h: recorded.part("h_0", &[2, 4, 3], DType::F32),
            c: cell_type
                .has_cell()
                .then(|| recorded.part("c_0", &[2, 4, 3], DType::F32)),
        };
        let run = |stack: &Recurrent, initial: Option<&State>| {
            let (output, _) = stack
                .forward(&input, None, initial, Phase::Inference)
                .unwrap();
            values(&output)
        };
        assert_eq!(run(&learned, Some(&given)), run(&plain, Some(&given)));
        assert_ne!(run(&learned, None), run(&plain, None));
        let zeros = learned.zero_state(4).unwrap();
        assert_eq!(run(&learned, Some(&zeros)), run(&plain, None));
    }
}
