//! How fast this machine trains and predicts, and how far that is from what its matrix products
//! allow.
//!
//! [`measure`] and [`scaling`] run the library as a program would, on random tokens, and return
//! numbers; they print nothing. What is not on a GPU runs on the threads of the current rayon pool.
//!
//! The *floor* of a part is the time that the matrix products of its recurrent layers
//! ([`Workload::training_flop`]) would take at the highest rate measured ([`Gemm::gflops`]): a
//! part is below it only if its products are faster than these.

mod gemm;
mod machine;
mod model;
mod recurrent;
mod scaling;
mod subnormals;
mod timing;
mod tokenizer;
mod workload;

pub use gemm::{Gemm, Product};
pub use machine::{cpu_name, peak_memory_bytes};
pub use model::LATENCY_TOKENS;
pub use scaling::{Growth, Point, scaling};
pub use subnormals::{Subnormals, subnormals};
pub use timing::Timing;
pub use tokenizer::{Tokenizer, TokenizerRate};
pub use workload::{Lengths, Shape, Workload};

use crate::error::{Error, Result};
use crate::rnn::kernels::CellType;
use crate::rnn::kernels::cpu::InstructionSet;
use candle_core::Device;
use model::Classifier;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// One of the things that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An optimizer step of the classifier.
    Training,
    /// Forward and backward pass of the recurrent layers alone.
    Recurrent,
    /// The classifier's logits of a batch.
    Inference,
    /// The classifier's logits of one short text.
    Latency,
    /// From texts to token ids.
    Tokenizer,
    /// Matrix products.
    Gemm,
    /// Subnormal numbers that training makes.
    Subnormals,
}

impl Part {
    /// Every part, in the order in which they are measured: training first, so that the peak of
    /// memory is its own.
    pub const ALL: [Self; 7] = [
        Self::Training,
        Self::Recurrent,
        Self::Inference,
        Self::Latency,
        Self::Tokenizer,
        Self::Gemm,
        Self::Subnormals,
    ];

    /// Those that can be measured on a device.
    pub fn on(device: &Device) -> &'static [Self] {
        match device.is_cpu() {
            true => &Self::ALL,
            false => &Self::ALL[..4],
        }
    }

    /// Those that are measured on a device where nothing else is asked for: the times.
    pub fn times_on(device: &Device) -> &'static [Self] {
        match device.is_cpu() {
            true => &Self::ALL[..6],
            false => Self::on(device),
        }
    }

    /// Its name: `training`, `recurrent`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Recurrent => "recurrent",
            Self::Inference => "inference",
            Self::Latency => "latency",
            Self::Tokenizer => "tokenizer",
            Self::Gemm => "gemm",
            Self::Subnormals => "subnormals",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|part| part.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::argument("part", format!("{text:?} is unknown; choose from {names}"))
        })
    }
}

/// What was measured; a part that was not asked for is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of this crate.
    pub version: &'static str,
    /// The processor, if the system names it.
    pub cpu: Option<String>,
    /// What the parts ran on: `cpu`, `cuda` or `metal`.
    pub device: &'static str,
    /// The instruction set that this library uses on the CPU.
    pub instructions: &'static str,
    /// Threads of the pool.
    pub threads: usize,
    /// The recurrence.
    pub cell: CellType,
    /// The sizes.
    pub shape: Shape,
    /// What the rows' lengths were drawn from; `None` if every row has all steps.
    pub lengths: Option<Lengths>,
    /// The length of each row, if they were drawn.
    pub rows: Option<Vec<usize>>,
    /// Tokens of the batch.
    pub tokens: usize,
    /// An optimizer step.
    pub training: Option<Rate>,
    /// Forward and backward pass of the recurrent layers.
    pub recurrent: Option<Rate>,
    /// The logits of the batch.
    pub inference: Option<Rate>,
    /// The logits of one text.
    pub latency: Option<Latency>,
    /// From texts to token ids.
    pub tokenizer: Option<Tokenizer>,
    /// Matrix products.
    pub gemm: Option<Gemm>,
    /// Subnormal numbers that training made.
    pub subnormals: Option<Vec<Subnormals>>,
    /// The largest resident set of the process up to the end of training, if that was measured and
    /// the system counts it.
    pub peak_memory_bytes: Option<u64>,
}

impl Report {
    /// Where it is measured and on what, without any measurement.
    fn new(workload: &Workload, device: &Device) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cpu: cpu_name(),
            device: match device {
                Device::Cpu => "cpu",
                Device::Cuda(_) => "cuda",
                Device::Metal(_) => "metal",
            },
            instructions: InstructionSet::current().name(),
            threads: rayon::current_num_threads(),
            cell: workload.cell(),
            shape: workload.shape(),
            lengths: workload.lengths(),
            rows: workload.lengths().map(|_| workload.rows().to_vec()),
            tokens: workload.tokens(),
            training: None,
            recurrent: None,
            inference: None,
            latency: None,
            tokenizer: None,
            gemm: None,
            subnormals: None,
            peak_memory_bytes: None,
        }
    }
}

/// How fast the batch was worked through.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rate {
    /// Times for the batch.
    #[serde(flatten)]
    pub timing: Timing,
    /// Tokens a second, by the median.
    pub tokens_per_second: f64,
    /// 10^9 operations of the layers' matrix products.
    pub gflop: f64,
    /// 10^9 such operations a second, by the median.
    pub gflops: f64,
    /// The time of the products alone, if [`Part::Gemm`] was measured.
    pub floor_seconds: Option<f64>,
    /// The median over the floor.
    pub times_floor: Option<f64>,
}

impl Rate {
    fn new(timing: Timing, tokens: usize, flop: f64) -> Self {
        Self {
            timing,
            tokens_per_second: timing.rate(tokens),
            gflop: flop / 1e9,
            gflops: flop / timing.median_seconds / 1e9,
            floor_seconds: None,
            times_floor: None,
        }
    }

    fn hold_against(&mut self, gemm: &Gemm) {
        let floor = self.gflop / gemm.gflops;
        self.floor_seconds = Some(floor);
        self.times_floor = Some(self.timing.median_seconds / floor);
    }
}

/// How soon the logits of one text are there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// Tokens of the text.
    pub tokens: usize,
    /// The median.
    pub milliseconds: f64,
    /// The shortest.
    pub minimum_milliseconds: f64,
    /// How often it was measured.
    pub repeats: usize,
}

impl Latency {
    fn new(timing: Timing) -> Self {
        Self {
            tokens: LATENCY_TOKENS,
            milliseconds: 1e3 * timing.median_seconds,
            minimum_milliseconds: 1e3 * timing.minimum_seconds,
            repeats: timing.repeats,
        }
    }
}

/// Measures `parts` on a device, each `repeats` times after a warm-up (a single text more often);
/// `progress` is called with each part before it begins.
///
/// The peak of memory is that of training if the process has done nothing larger before.
///
/// # Errors
/// A part that the device has not (see [`Part::on`]), or a failing tensor operation.
pub fn measure(
    workload: &Workload,
    parts: &[Part],
    repeats: usize,
    device: &Device,
    progress: &mut dyn FnMut(Part),
) -> Result<Report> {
    if let Some(part) = parts.iter().find(|part| !Part::on(device).contains(part)) {
        let problem = format!("{part} is measured on the CPU only");
        return Err(Error::argument("part", problem));
    }
    let mut wants = |part: Part| {
        let wanted = parts.contains(&part);
        if wanted {
            progress(part);
        }
        wanted
    };
    let tokens = workload.tokens();
    let mut report = Report::new(workload, device);
    let of_classifier = [Part::Training, Part::Inference, Part::Latency];
    let mut classifier = match parts.iter().any(|part| of_classifier.contains(part)) {
        true => Some(Classifier::new(workload, device)?),
        false => None,
    };
    if let Some(classifier) = &mut classifier
        && wants(Part::Training)
    {
        let timing = classifier.training(repeats)?;
        report.training = Some(Rate::new(timing, tokens, workload.training_flop()));
        report.peak_memory_bytes = peak_memory_bytes();
    }
    if wants(Part::Recurrent) {
        let timing = recurrent::recurrent(workload, repeats, device)?;
        report.recurrent = Some(Rate::new(timing, tokens, workload.training_flop()));
    }
    if let Some(classifier) = &classifier {
        if wants(Part::Inference) {
            let timing = classifier.inference(repeats)?;
            report.inference = Some(Rate::new(timing, tokens, workload.forward_flop()));
        }
        if wants(Part::Latency) {
            report.latency = Some(Latency::new(classifier.latency(repeats)?));
        }
    }
    if wants(Part::Tokenizer) {
        report.tokenizer = Some(tokenizer::tokenizer(repeats)?);
    }
    if wants(Part::Gemm) {
        let gemm = gemm::gemm(workload)?;
        let rates = [
            &mut report.training,
            &mut report.recurrent,
            &mut report.inference,
        ];
        for rate in rates.into_iter().flatten() {
            rate.hold_against(&gemm);
        }
        report.gemm = Some(gemm);
    }
    if wants(Part::Subnormals) {
        report.subnormals = Some(subnormals(workload)?);
    }
    Ok(report)
}
