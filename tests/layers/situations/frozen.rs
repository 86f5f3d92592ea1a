//! Weights and inputs of which some have no gradient.

use super::{build, config, gradient, on_every_kernel, random, run, variable, weighted_sum};
use crate::support::assert_close;
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent};
use candle_core::{DType, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// A frozen layer hands the gradient on to what is before it, as a critic does to a generator; also with prepared
/// weights. (pytorch/pytorch#7722)
#[test]
fn a_frozen_layer_hands_gradients_on() -> Result<()> {
    for cell_type in CellType::ALL {
        let config = config(cell_type).bidirectional(true).num_layers(2);
        let (layer, parameters) = build(&config);
        let frozen = Recurrent::new(&config, parameters.detached())?;
        for (layer, frozen) in on_every_kernel(&layer).iter().zip(on_every_kernel(&frozen)) {
            let x = variable(1, &[2, 5, 4]);
            let loss = |layer: &Recurrent| weighted_sum(&run(layer, &x, None)?.0, 2);
            let expected = gradient(&loss(layer)?, &x)?;
            for frozen in [frozen.clone(), frozen.prepared()?] {
                let store = loss(&frozen)?.backward()?;
                assert_close(store.get(&x).unwrap(), &expected, 1e-6, "input");
                assert!(parameters.iter().all(|(_, var)| store.get(var).is_none()));
            }
        }
    }
    Ok(())
}

/// Only some tensors of a layer are trained (its biases, say): they have the gradients that they would have if all
/// were, and the others have none. (pytorch/pytorch#8582)
#[test]
fn some_tensors_are_frozen() -> Result<()> {
    for cell_type in CellType::ALL {
        let config = config(cell_type).bidirectional(true);
        let (all, parameters) = build(&config);
        let x = random(1, &[3, 4, 4]);
        for trained in ["weight_ih", "weight_hh", "bias_ih", "_reverse"] {
            let tensors: HashMap<String, Tensor> = parameters
                .iter()
                .map(|(name, var)| {
                    let tensor = match name.contains(trained) {
                        true => var.as_tensor().clone(),
                        false => var.as_detached_tensor(),
                    };
                    (name.to_owned(), tensor)
                })
                .collect();
            let vb = VarBuilder::from_tensors(tensors, DType::F32, &super::CPU);
            let some = Recurrent::new(&config, vb)?;
            for (all, some) in on_every_kernel(&all).iter().zip(on_every_kernel(&some)) {
                let loss = |layer: &Recurrent| weighted_sum(&run(layer, &x, None)?.0, 2);
                let (expected, found) = (loss(all)?.backward()?, loss(&some)?.backward()?);
                for (name, var) in parameters.iter() {
                    match (found.get(var), name.contains(trained)) {
                        (Some(found), true) => {
                            assert_close(found, expected.get(var).unwrap(), 1e-6, name);
                        }
                        (None, false) => (),
                        _ => panic!("{name} where {trained} is trained"),
                    }
                }
            }
        }
    }
    Ok(())
}

/// Saliency and adversarial examples: a layer that has dropout is differentiated in inference, where it drops nothing.
/// (pytorch/pytorch#15788, meta-pytorch/captum#564)
#[test]
fn gradients_in_inference() -> Result<()> {
    let plain = config(CellType::Lstm).num_layers(2);
    let (layer, parameters) = build(&plain);
    let dropped = plain.clone().dropout(0.5).weight_drop(0.5);
    let dropped = Recurrent::new(&dropped, parameters.detached())?;
    let x = variable(1, &[2, 5, 4]);
    let of = |layer: &Recurrent| -> Result<Tensor> {
        let (output, _) = layer.forward(&x, None, None, Phase::Inference)?;
        gradient(&weighted_sum(&output, 2)?, &x)
    };
    assert_close(&of(&dropped)?, &of(&layer)?, 1e-6, "input");
    Ok(())
}

/// There is no gradient of a gradient, as nowhere in Candle: a penalty on one has no gradient at all, rather than a
/// wrong one. (pytorch/pytorch#5261, pytorch/pytorch#9229)
#[test]
fn no_gradient_of_a_gradient() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Gru));
    let x = variable(1, &[2, 3, 4]);
    let (output, _) = run(&layer, &x, None)?;
    let penalty = gradient(&output.sum_all()?, &x)?.sqr()?.sum_all()?;
    assert!(!penalty.track_op());
    let store = penalty.backward()?;
    assert!(store.get(&x).is_none());
    assert!(parameters.iter().all(|(_, var)| store.get(var).is_none()));
    Ok(())
}

/// Layers with residual connections: the gradients along both ways add up. (asappresearch/sru#10, BaderLab/saber#58)
#[test]
fn a_residual_connection() -> Result<()> {
    let config = birnn::rnn::RecurrentConfig::new(CellType::Lstm, 6, 6).batch_first(true);
    let ((first, _), (second, _)) = (build(&config), build(&config));
    let x = variable(1, &[2, 3, 6]);
    let of = |loss: Tensor, x: &Var| gradient(&loss, x);
    let through = |layer: &Recurrent, x: &Tensor| run(layer, x, None).map(|(output, _)| output);
    // y = x + f(x); z = y + g(y): dz/dx = (1 + dg/dy) (1 + df/dx).
    let y = (x.as_tensor() + through(&first, &x)?)?;
    let z = (&y + through(&second, &y)?)?;
    let found = of(weighted_sum(&z, 2)?, &x)?;
    let at = Var::from_tensor(&y.detach())?;
    let of_y = (of(weighted_sum(&through(&second, &at)?, 2)?, &at)? + random(2, &[2, 3, 6]))?;
    let of_first = of((through(&first, &x)? * &of_y)?.sum_all()?, &x)?;
    assert_close(&found, &(of_first + of_y)?, 1e-5, "input");
    Ok(())
}
