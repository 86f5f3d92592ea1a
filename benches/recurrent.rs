//! Forward and backward passes of the recurrent layers on the CPU kernel, over a grid of shapes.
//!
//! A shape is B rows of T steps (or of 100 to 400) with H inputs and H hidden units, two
//! directions, L layers. The whole grid takes many minutes; a filter (a regular expression) selects
//! some:
//!
//! ```sh
//! cargo bench -p birnn-benches --bench recurrent                                          # everything
//! cargo bench -p birnn-benches --bench recurrent -- lstm/training                         # one cell, one pass
//! cargo bench -p birnn-benches --bench recurrent -- 'gru/.*/B64-T500-H128'                # every L of a shape
//! cargo bench -p birnn-benches --bench recurrent -- 'B64-T100..400'                       # the ragged batch
//! ```

use birnn::bench::{Lengths, Shape, Workload};
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, Wanted};
use candle_core::{DType, Device, Tensor};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use std::sync::Arc;
use std::time::Duration;

const BATCHES: [usize; 2] = [16, 64];
const STEPS: [usize; 2] = [100, 500];
const HIDDENS: [usize; 2] = [64, 128];
const LAYERS: [usize; 2] = [1, 2];

/// (B, T, H, L) in addition to the grid: the textbook's, and a single text.
const MORE: [(usize, usize, usize, usize); 2] = [(64, 500, 100, 2), (1, 20, 100, 2)];

/// The ragged batch: B, H, L and the lengths of its rows.
const RAGGED: (usize, usize, usize, Lengths) = (64, 100, 2, Lengths { min: 100, max: 400 });

fn workloads(cell_type: CellType) -> Vec<(String, Workload)> {
    let mut shapes = Vec::from(MORE);
    for batch in BATCHES {
        for steps in STEPS {
            for hidden in HIDDENS {
                shapes.extend(LAYERS.map(|layers| (batch, steps, hidden, layers)));
            }
        }
    }
    let workload = |batch, steps, num_hiddens, num_layers, lengths| {
        let shape = Shape {
            batch,
            steps,
            embedding_size: num_hiddens,
            num_hiddens,
            num_layers,
            vocabulary_size: 1,
        };
        Workload::new(shape, cell_type, lengths).expect("sizes in range")
    };
    let full = shapes.into_iter().map(|(batch, steps, hidden, layers)| {
        let name = format!("B{batch}-T{steps}-H{hidden}-L{layers}");
        (name, workload(batch, steps, hidden, layers, None))
    });
    let (batch, hidden, layers, lengths) = RAGGED;
    let Lengths { min, max } = lengths;
    let name = format!("B{batch}-T{min}..{max}-H{hidden}-L{layers}");
    let ragged = workload(batch, max, hidden, layers, Some(lengths));
    full.chain([(name, ragged)]).collect()
}

fn recurrent(criterion: &mut Criterion) {
    birnn::rnn::kernels::cpu::keep_freed_memory();
    for (name, cell_type) in [
        ("lstm", CellType::Lstm),
        ("gru", CellType::Gru),
        ("rnn", CellType::RnnTanh),
    ] {
        let mut group = criterion.benchmark_group(name);
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        for (name, workload) in workloads(cell_type) {
            group.throughput(Throughput::Elements(workload.tokens() as u64));
            // Created only if the filter selects a benchmark.
            group.bench_function(BenchmarkId::new("inference", &name), |bencher| {
                let stack = Stack::new(&workload);
                bencher.iter(|| stack.forward(&stack.detached, &stack.input));
            });
            group.bench_function(BenchmarkId::new("training", &name), |bencher| {
                let stack = Stack::new(&workload);
                bencher.iter(|| stack.train());
            });
        }
        group.finish();
    }
}

/// A stack, with and without gradients, and packed rows for it.
struct Stack<'a> {
    workload: &'a Workload,
    tracked: Recurrent,
    detached: Recurrent,
    input: Tensor,
}

impl<'a> Stack<'a> {
    fn new(workload: &'a Workload) -> Self {
        let shape = workload.shape();
        let config = RecurrentConfig {
            num_layers: shape.num_layers,
            bidirectional: true,
            ..RecurrentConfig::new(workload.cell(), shape.embedding_size, shape.num_hiddens)
        };
        let build = |vb: candle_nn::VarBuilder| Recurrent::new(&config, vb);
        let (tracked, parameters) =
            Parameters::create(0, &Device::Cpu, build).expect("sizes in range");
        let detached = Recurrent::new(&config, parameters.detached()).expect("the same shapes");
        let input = (workload.tokens(), shape.embedding_size);
        let input = Tensor::ones(input, DType::F32, &Device::Cpu).expect("fits in memory");
        Self {
            workload,
            tracked,
            detached,
            input,
        }
    }

    /// Forward and backward pass, as in training.
    fn train(&self) -> Option<Tensor> {
        let packing = Arc::new(self.workload.packing().expect("not empty"));
        let pass = self
            .tracked
            .forward_train(&self.input, &packing, None, Phase::Inference);
        let pass = pass.expect("the same shapes");
        let d_output = pass.output().ones_like().expect("fits in memory");
        let gradients = pass.backward(d_output, Wanted::parameters(true));
        gradients.expect("the same shapes").0
    }

    fn forward(&self, layers: &Recurrent, input: &Tensor) -> Tensor {
        let packing = Arc::new(self.workload.packing().expect("not empty"));
        let output = layers.forward_packed(input, &packing, None, Phase::Inference);
        output.expect("the same shapes").0
    }
}

criterion_group!(benches, recurrent);
criterion_main!(benches);
