//! Forward and backward passes of the recurrent layers on the CPU kernel, by shape.
//!
//! `cargo bench --bench recurrent` runs all; a filter picks some: `cargo bench --bench recurrent
//! -- lstm/T500`. Shapes are B rows of T steps with H inputs and H hidden units, two directions,
//! L layers.

use birnn::dropout::Phase;
use birnn::packing::Packing;
use birnn::parameters::Parameters;
use birnn::rnn::{Mode, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use std::time::Duration;

/// (B, T, H, L), the textbook's first.
const SHAPES: [(usize, usize, usize, usize); 4] = [
    (64, 500, 100, 2),
    (64, 256, 128, 1),
    (16, 100, 64, 1),
    (1, 20, 100, 2),
];

fn recurrent(criterion: &mut Criterion) {
    for mode in [Mode::Lstm, Mode::Gru, Mode::RnnTanh] {
        let name = format!("{mode:?}").to_lowercase();
        let mut group = criterion.benchmark_group(name);
        group
            .sample_size(10)
            .measurement_time(Duration::from_secs(5));
        for (batch, steps, hidden, num_layers) in SHAPES {
            let config = RecurrentConfig {
                num_layers,
                bidirectional: true,
                ..RecurrentConfig::new(mode, hidden, hidden)
            };
            let build = |vb: candle_nn::VarBuilder| Recurrent::new(&config, vb);
            let Ok((tracked, parameters)) = Parameters::create(0, &Device::Cpu, build) else {
                panic!("the shape of a benchmark is wrong");
            };
            let detached = Recurrent::new(&config, parameters.detached()).expect("same shapes");
            let packing = Arc::new(Packing::full(batch, steps).expect("not empty"));
            let input = Tensor::ones((batch * steps, hidden), DType::F32, &Device::Cpu);
            let input = Var::from_tensor(&input.expect("fits in memory")).expect("a tensor");
            let shape = format!("T{steps}-B{batch}-H{hidden}-L{num_layers}");
            group.throughput(Throughput::Elements((batch * steps) as u64));
            group.bench_function(BenchmarkId::new("inference", &shape), |bencher| {
                bencher.iter(|| {
                    let input = input.as_detached_tensor();
                    detached.forward_packed(&input, &packing, None, Phase::Inference)
                });
            });
            group.bench_function(BenchmarkId::new("training", &shape), |bencher| {
                bencher.iter(|| {
                    let (output, _) = tracked
                        .forward_packed(&input, &packing, None, Phase::Inference)
                        .expect("same shapes");
                    output.sum_all().and_then(|loss| loss.backward())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, recurrent);
criterion_main!(benches);
