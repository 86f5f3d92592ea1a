//! One layer in many threads.

use super::{build, config, random, run};
use crate::support::values;
use birnn::Result;
use birnn::ops::dropout::{Dropout, Phase};
use birnn::rnn::{CellType, GruCell, LstmCell, Recurrent, RnnCell, State};
use candle_core::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Layers, cells and states can be handed to other threads and be used by several at the same time.
/// (LaurentMazare/tch-rs#460, tracel-ai/burn#3912)
#[test]
fn everything_can_be_shared() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Recurrent>();
    shared::<State>();
    shared::<RnnCell>();
    shared::<GruCell>();
    shared::<LstmCell>();
    shared::<Dropout>();
}

/// The answer to a request, whose size depends on its number.
fn answer(layer: &Recurrent, number: u64) -> Vec<f32> {
    let (rows, steps) = (1 + number as usize % 3, 1 + number as usize % 7);
    let (output, _) = run(layer, &random(number, &[rows, steps, 4]), None).unwrap();
    values(&output)
}

/// A server with one layer: every request's result is, to the bit, what it would be alone. (Tencent/ncnn#805,
/// deeplearning4j/deeplearning4j#8246)
#[test]
fn requests_at_the_same_time() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).num_layers(2).bidirectional(true));
    let layer = Arc::new(layer.prepared()?);
    let alone: Vec<Vec<f32>> = (0..24).map(|number| answer(&layer, number)).collect();
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let (layer, alone) = (layer.clone(), alone.clone());
            std::thread::spawn(move || {
                for number in (0..24)
                    .chain(0..24)
                    .map(|number| (number * 5 + thread) % 24)
                {
                    assert_eq!(answer(&layer, number), alone[number as usize]);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    Ok(())
}

/// Passes inside a pool of a single thread, each inside a task of it: nothing waits for a thread that is not there, and
/// the results are the same. (rayon-rs/rayon#799)
#[test]
fn a_pool_of_one_thread() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Gru).bidirectional(true));
    let x = random(1, &[40, 30, 4]);
    let pass = || -> Result<Vec<f32>> {
        let (output, state) = run(&layer, &x, None)?;
        let loss = (output.sqr()?.sum_all()? + state.h.sum_all()?)?;
        let store = loss.backward()?;
        let gradients = parameters
            .iter()
            .map(|(_, var)| values(store.get(var).unwrap()));
        Ok(gradients.flatten().collect())
    };
    let expected = pass()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let found: Vec<Vec<f32>> = pool.install(|| {
        let passes = (0..3).into_par_iter().map(|_| pass());
        passes.collect::<Result<_>>()
    })?;
    assert!(found.iter().all(|found| *found == expected));
    Ok(())
}

/// Data-parallel training: shards of a batch in threads. `Replay` with a seed for each shard draws the same masks
/// whichever thread comes first, and other masks for each shard. (PaddlePaddle/Paddle#21298)
#[test]
fn masks_of_shards() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).num_layers(2).dropout(0.5));
    let x = random(1, &[2, 5, 4]);
    let shard = |seed: u64| -> Vec<f32> {
        let phase = Phase::Replay { seed, step: 3 };
        values(&layer.forward(&x, None, None, phase).unwrap().0)
    };
    let one_by_one: Vec<Vec<f32>> = (0..8).map(shard).collect();
    let at_once: Vec<Vec<f32>> = (0..8).into_par_iter().map(shard).collect();
    assert_eq!(at_once, one_by_one);
    let mut distinct: Vec<String> = at_once.iter().map(|output| format!("{output:?}")).collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 8);
    Ok(())
}

/// A layer that is built in one thread, used in another and dropped in a third, with its graph.
#[test]
fn a_layer_on_its_way_through_threads() -> Result<()> {
    let built = std::thread::spawn(|| build(&config(CellType::Gru).num_layers(2).dropout(0.5)));
    let (layer, parameters) = built.join().unwrap();
    let used = std::thread::spawn(move || -> Result<(Recurrent, Tensor)> {
        let phase = Phase::Training { seed: 1, step: 1 };
        let (output, _) = layer.forward(&random(1, &[2, 5, 4]), None, None, phase)?;
        Ok((layer, output))
    });
    let (layer, output) = used.join().unwrap()?;
    let store = output.sqr()?.sum_all()?.backward()?;
    assert!(parameters.iter().all(|(_, var)| store.get(var).is_some()));
    std::thread::spawn(move || drop((layer, output)))
        .join()
        .unwrap();
    Ok(())
}
