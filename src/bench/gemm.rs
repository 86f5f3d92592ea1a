//! What the machine's matrix products reach: the limit that the layers are held against.

use super::workload::{Shape, Workload};
use crate::error::Result;
use candle_core::{DType, Device, Tensor};
use serde::Serialize;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// The side of the large square product.
const SQUARE: usize = 1024;

/// The rows of a batched product are taken in blocks of at most this many, which stay in a cache.
const BLOCK: usize = 2048;

/// One measurement of a product lasts about this long: short, so that among many some are left
/// alone by whatever else runs.
const SECONDS: f64 = 0.01;

/// A product is measured at least so often, and until it has taken this long; the best counts.
const MIN_ROUNDS: usize = 3;
const TOTAL_SECONDS: f64 = 0.3;

/// A small product is repeated within one call as long as its results have at most this many
/// elements, at most so often: at every call candle asks the system for the number of cores, which
/// takes as long as the smallest products.
const RESULTS: usize = 1 << 19;
const REPEATS: usize = 64;

/// The rate of matrix products in single precision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gemm {
    /// The best of all products, in 10^9 operations a second over all threads.
    pub gflops: f64,
    /// Each product.
    pub products: Vec<Product>,
}

/// A product of an m x k matrix with a k x n one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Product {
    /// What it computes in a recurrent layer.
    pub name: &'static str,
    /// Rows of the result.
    pub m: usize,
    /// Length of the sums.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
    /// 10^9 operations a second over all threads.
    pub gflops: f64,
}

/// Which factor lies transposed in memory.
#[derive(Debug, Clone, Copy)]
enum Transposed {
    Neither,
    Left,
    Right,
}

/// Measures the products of a workload's layers, and a large square one: each thread computes its
/// own product, all at the same time. They go through candle, which fills results with zeros
/// first: it takes a few per cent of the smallest products.
pub(super) fn gemm(workload: &Workload) -> Result<Gemm> {
    let shapes = shapes_of(workload);
    let _serial = SerialProducts::new();
    let mut products = Vec::with_capacity(shapes.len());
    for (name, [m, k, n], transposed) in shapes {
        let gflops = rate(m, k, n, transposed)?;
        products.push(Product {
            name,
            m,
            k,
            n,
            gflops,
        });
    }
    let rates = products.iter().map(|product| product.gflops);
    Ok(Gemm {
        gflops: rates.fold(0.0, f64::max),
        products,
    })
}

/// A product's name, its m, k and n, and which factor lies transposed in memory.
type ProductShape = (&'static str, [usize; 3], Transposed);

/// The products of a workload's layers, and a large square one.
fn shapes_of(workload: &Workload) -> Vec<ProductShape> {
    use Transposed::{Left, Neither, Right};
    let Shape {
        batch,
        embedding_size: inputs,
        num_hiddens: hidden,
        num_layers,
        ..
    } = workload.shape();
    let gates = workload.cell().gates() * hidden;
    let rows = workload.tokens().min(BLOCK);
    let upper = 2 * hidden;
    let mut shapes = vec![
        ("recurrent, forward", [batch, hidden, gates], Right),
        ("recurrent, backward", [batch, gates, hidden], Neither),
        ("recurrent, weight gradient", [gates, rows, hidden], Left),
        ("input, forward", [rows, inputs, gates], Right),
        ("input, backward", [rows, gates, inputs], Neither),
        ("input, weight gradient", [gates, rows, inputs], Left),
    ];
    if num_layers > 1 {
        shapes.extend([
            ("upper input, forward", [rows, upper, gates], Right),
            ("upper input, backward", [rows, gates, upper], Neither),
            ("upper input, weight gradient", [gates, rows, upper], Left),
        ]);
    }
    shapes.push(("square", [SQUARE; 3], Neither));
    shapes
}

/// 10^9 operations a second over all threads, the best of some rounds.
fn rate(m: usize, k: usize, n: usize, transposed: Transposed) -> Result<f64> {
    let repeats = (RESULTS / (m * n)).clamp(1, REPEATS);
    let seconds = |calls: usize| seconds([repeats, m, k, n], transposed, calls);
    // How many calls fill a measurement: a guess, then what the guess took.
    let more = |calls: usize, seconds: f64| (calls as f64 * SECONDS / seconds).clamp(1.0, 1e6);
    let guess = more(1, seconds(1)?) as usize;
    let calls = more(guess, seconds(guess)?).ceil() as usize;
    let mut best = f64::INFINITY;
    let mut total = 0.0;
    let mut rounds = 0;
    while rounds < MIN_ROUNDS || total < TOTAL_SECONDS {
        let taken = seconds(calls)?;
        best = best.min(taken);
        total += taken;
        rounds += 1;
    }
    let flop = 2.0 * m as f64 * k as f64 * n as f64;
    let products = (calls * repeats * rayon::current_num_threads()) as f64;
    Ok(flop * products / best / 1e9)
}

/// Seconds until every thread has computed its own product `calls` times `repeats` times.
fn seconds([repeats, m, k, n]: [usize; 4], transposed: Transposed, calls: usize) -> Result<f64> {
    let barrier = Barrier::new(rayon::current_num_threads());
    let of_thread = |_: rayon::BroadcastContext| -> candle_core::Result<f64> {
        let factors = factors(m, k, n, transposed).and_then(|(left, right)| {
            // The same factors again and again, without copies.
            Ok((
                left.broadcast_as((repeats, m, k))?,
                right.broadcast_as((repeats, k, n))?,
            ))
        });
        // Whoever waits must not be left alone, so an error comes after the barrier.
        barrier.wait();
        let (left, right) = factors?;
        let started = Instant::now();
        for _ in 0..calls {
            black_box(left.matmul(&right)?);
        }
        Ok(started.elapsed().as_secs_f64())
    };
    let mut slowest: f64 = 0.0;
    for seconds in rayon::broadcast(of_thread) {
        slowest = slowest.max(seconds?);
    }
    Ok(slowest)
}

fn factors(
    m: usize,
    k: usize,
    n: usize,
    transposed: Transposed,
) -> candle_core::Result<(Tensor, Tensor)> {
    let ones = |rows, columns| Tensor::ones((rows, columns), DType::F32, &Device::Cpu);
    let left = match transposed {
        Transposed::Left => ones(k, m)?.t()?,
        _ => ones(m, k)?,
    };
    let right = match transposed {
        Transposed::Right => ones(n, k)?.t()?,
        _ => ones(k, n)?,
    };
    Ok((left, right))
}

/// As long as this lives, no single product is spread over threads.
struct SerialProducts {
    threshold_before: usize,
}

impl SerialProducts {
    fn new() -> Self {
        let threshold_before = gemm::get_threading_threshold();
        gemm::set_threading_threshold(usize::MAX);
        Self { threshold_before }
    }
}

impl Drop for SerialProducts {
    fn drop(&mut self) {
        gemm::set_threading_threshold(self.threshold_before);
    }
}
