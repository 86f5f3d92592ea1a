//! `birnn bench`: benchmarks of this machine.

use super::device;
use super::table::table;
use super::{Ending, Usage, note, threads};
use birnn::bench::{self, Gemm, Growth, Lengths, Part, Rate, Report, Shape, Subnormals, Workload};
use birnn::recipe::grouped;
use birnn::rnn::CellType;
use birnn::rnn::kernels::cpu::InstructionSet;
use serde::Serialize;
use std::io::Write;

/// Measure training and inference on this machine.
///
/// A bidirectional classifier is trained and used on random tokens. GFLOP/s counts the matrix products of its recurrent
/// layers; the floor is the time these products alone would take at the highest rate that products reach here. Training
/// is an optimizer step, recurrent a forward and backward pass of the recurrent layers alone, latency one text of 20
/// tokens, from ids to logits.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn bench\n  \
    birnn bench --shape 64,256,128,128,1,30000 --cell gru\n  \
    birnn bench --lengths 100-400 --only recurrent,gemm\n  \
    birnn bench --threads 1 --json\n  \
    birnn bench --instructions avx2\n  \
    birnn bench --only subnormals\n  \
    birnn bench --scaling")]
pub(super) struct Arguments {
    /// Rows, steps, embedding size, hidden units, layers and vocabulary.
    #[arg(long, value_name = "B,T,E,H,L,V", default_value_t)]
    shape: Shape,
    /// The recurrence.
    #[arg(long, value_name = "lstm|gru|rnn|rnn-relu", default_value = "lstm", value_parser = cell)]
    cell: CellType,
    /// Draw the rows' lengths from this range (T is then MAX) [default: every row has T steps].
    #[arg(long, value_name = "MIN-MAX")]
    lengths: Option<Lengths>,
    /// Number of threads; 0 for as many as training uses.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1024))]
    threads: u16,
    /// The processor's instruction set: avx512, avx2, neon or scalar. The products of gemm are Candle's, which always
    /// uses the best one [default: the best of this machine].
    #[arg(long, value_name = "NAME", value_parser = instructions)]
    instructions: Option<InstructionSet>,
    /// cpu, cuda, cuda:N or metal; tokenizer and gemm are measured on the CPU only.
    #[arg(long, default_value = "cpu", conflicts_with = "scaling")]
    device: String,
    /// How often each part is measured, after a warm-up.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeats: u32,
    /// Measure only these parts: training, recurrent, inference, latency, tokenizer, gemm; or count subnormals, numbers
    /// so small that some processors take a hundred times as long for them: training should produce none.
    #[arg(long, value_name = "PART,...", value_delimiter = ',')]
    only: Vec<Part>,
    /// Instead, measure how an optimizer step grows with T, B, H, L and V: each is varied around the shape, and the
    /// exponent of its growth is fitted.
    #[arg(long, conflicts_with_all = ["only", "lengths"])]
    scaling: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

fn cell(name: &str) -> Result<CellType, String> {
    let found = CellType::ALL
        .into_iter()
        .find(|&cell_type| name_of(cell_type) == name);
    found.ok_or_else(|| "choose from lstm, gru, rnn, rnn-relu".into())
}

fn instructions(name: &str) -> Result<InstructionSet, String> {
    let available = InstructionSet::available();
    let names: Vec<&str> = available.iter().map(|set| set.name()).collect();
    let found = available.iter().find(|set| set.name() == name);
    found
        .copied()
        .ok_or_else(|| format!("this machine has {}", names.join(", ")))
}

/// The name of a cell type in a config.
fn name_of(cell_type: CellType) -> &'static str {
    match cell_type {
        CellType::Lstm => "lstm",
        CellType::Gru => "gru",
        CellType::RnnTanh => "rnn",
        CellType::RnnRelu => "rnn-relu",
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    // Must be chosen before anything is computed.
    arguments.instructions.map(InstructionSet::choose);
    // As in training, so that speed and memory are those of training.
    birnn::rnn::kernels::cpu::keep_freed_memory();
    match arguments.threads {
        0 => threads::start()?,
        number => threads::start_up_to(number.into())?,
    }
    let text = match arguments.scaling {
        true => measure_growth(arguments)?,
        false => measure(arguments)?,
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

fn measure(arguments: &Arguments) -> anyhow::Result<String> {
    let workload = Workload::new(arguments.shape, arguments.cell, arguments.lengths);
    let workload = workload.map_err(usage)?;
    let device = device::open(&arguments.device)?;
    let parts = match &arguments.only[..] {
        [] => Part::times_on(&device),
        only => only,
    };
    let mut on_progress = |part: Part| note(&format!("measuring {part} ..."));
    let repeats = arguments.repeats as usize;
    let report =
        bench::measure(&workload, parts, repeats, &device, &mut on_progress).map_err(usage)?;
    Ok(match arguments.json {
        true => serde_json::to_string(&report)? + "\n",
        false => plain(&report),
    })
}

/// The object that `--scaling --json` prints.
#[derive(Debug, Serialize)]
struct Scaling {
    version: &'static str,
    cpu: Option<String>,
    instructions: &'static str,
    threads: usize,
    cell: CellType,
    /// The shape around which sizes are varied.
    shape: Shape,
    scaling: Vec<Growth>,
}

fn measure_growth(arguments: &Arguments) -> anyhow::Result<String> {
    let (shape, cell) = (arguments.shape, arguments.cell);
    let mut on_progress = |size: &str, values: &[usize]| {
        let values: Vec<String> = values.iter().map(usize::to_string).collect();
        note(&format!(
            "measuring training with {size} {} ...",
            values.join(", ")
        ));
    };
    let scaling = Scaling {
        version: env!("CARGO_PKG_VERSION"),
        cpu: bench::cpu_name(),
        instructions: InstructionSet::current().name(),
        threads: rayon::current_num_threads(),
        cell,
        shape,
        scaling: bench::scaling(shape, cell, arguments.repeats as usize, &mut on_progress)
            .map_err(usage)?,
    };
    Ok(match arguments.json {
        true => serde_json::to_string(&scaling)? + "\n",
        false => plain_growth(&scaling),
    })
}

/// Turns an invalid size into a usage error, as it was given on the command line.
fn usage(error: birnn::Error) -> anyhow::Error {
    match error {
        birnn::Error::Argument { .. } => Usage(error.to_string()).into(),
        error => error.into(),
    }
}

/// The report as text.
fn plain(report: &Report) -> String {
    let mut sections = vec![head(report)];
    let rates = [
        ("training", &report.training),
        ("recurrent", &report.recurrent),
        ("inference", &report.inference),
    ];
    if rates.iter().any(|(_, rate)| rate.is_some()) {
        let head = [
            "",
            "median",
            "minimum",
            "tokens/s",
            "GFLOP/s",
            "floor",
            "times floor",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (name, rate) in rates {
            rows.extend(rate.as_ref().map(|rate| rate_row(name, rate)));
        }
        sections.push(table(&rows));
    }
    if let Some(latency) = &report.latency {
        sections.push(format!(
            "latency of {} tokens: median {:.3} ms, minimum {:.3} ms\n",
            latency.tokens, latency.milliseconds, latency.minimum_milliseconds
        ));
    }
    if let Some(bytes) = report.peak_memory_bytes {
        sections.push(format!(
            "peak memory of training: {:.3} GB\n",
            bytes as f64 / 1e9
        ));
    }
    if let Some(tokenizer) = &report.tokenizer {
        let head = ["tokenizer", "median", "minimum", "texts/s", "tokens/s"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for (name, rate) in [
            ("one thread", &tokenizer.one_thread),
            ("all threads", &tokenizer.all_threads),
        ] {
            rows.push(vec![
                name.into(),
                seconds(rate.timing.median_seconds),
                seconds(rate.timing.minimum_seconds),
                grouped(rate.texts_per_second.round() as usize),
                grouped(rate.tokens_per_second.round() as usize),
            ]);
        }
        sections.push(table(&rows));
    }
    sections.extend(report.gemm.as_ref().map(products));
    sections.extend(report.subnormals.as_deref().map(subnormals));
    sections.join("\n")
}

fn head(report: &Report) -> String {
    let Shape {
        batch,
        steps,
        embedding_size,
        num_hiddens,
        num_layers,
        vocabulary_size,
    } = report.shape;
    let rows = match report.lengths {
        Some(lengths) => format!("rows of {} to {} steps", lengths.min, lengths.max),
        None => format!("rows of {steps} steps"),
    };
    format!(
        "{}{}: {batch} {rows} ({} tokens), E {embedding_size}, H {num_hiddens}, L {num_layers}, V {}\n",
        machine(
            report.version,
            report.cpu.as_deref(),
            report.instructions,
            report.threads,
            report.device
        ),
        name_of(report.cell),
        grouped(report.tokens),
        grouped(vocabulary_size),
    )
}

fn machine(
    version: &str,
    cpu: Option<&str>,
    instructions: &str,
    threads: usize,
    device: &str,
) -> String {
    let cpu = cpu.unwrap_or("an unnamed processor");
    let unit = if threads == 1 { "thread" } else { "threads" };
    let device = match device {
        "cpu" => String::new(),
        device => format!(", device {device}"),
    };
    format!("birnn {version} on {cpu} ({instructions}), {threads} {unit}{device}\n")
}

/// The growth as text: a row for each size and value, with the exponent in the last.
fn plain_growth(scaling: &Scaling) -> String {
    let head = ["", "value", "median", "minimum", "exponent"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for growth in &scaling.scaling {
        for (index, point) in growth.points.iter().enumerate() {
            let (first, last) = (index == 0, index + 1 == growth.points.len());
            rows.push(vec![
                if first {
                    growth.size.into()
                } else {
                    String::new()
                },
                grouped(point.value),
                seconds(point.timing.median_seconds),
                seconds(point.timing.minimum_seconds),
                match last {
                    true => format!("{:.2}", growth.exponent),
                    false => String::new(),
                },
            ]);
        }
    }
    format!(
        "{}{}: an optimizer step around B,T,E,H,L,V = {}, one size varied at a time\n\n{}",
        machine(
            scaling.version,
            scaling.cpu.as_deref(),
            scaling.instructions,
            scaling.threads,
            "cpu"
        ),
        name_of(scaling.cell),
        scaling.shape,
        table(&rows)
    )
}

fn rate_row(name: &str, rate: &Rate) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![
        name.into(),
        seconds(rate.timing.median_seconds),
        seconds(rate.timing.minimum_seconds),
        grouped(rate.tokens_per_second.round() as usize),
        format!("{:.1}", rate.gflops),
        rate.floor_seconds.map_or_else(dash, seconds),
        rate.times_floor
            .map_or_else(dash, |times| format!("{times:.2}")),
    ]
}

fn products(gemm: &Gemm) -> String {
    let head = ["matrix products", "m", "k", "n", "GFLOP/s"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for product in &gemm.products {
        rows.push(vec![
            product.name.into(),
            product.m.to_string(),
            product.k.to_string(),
            product.n.to_string(),
            format!("{:.1}", product.gflops),
        ]);
    }
    let best = vec![
        "the highest, for the floor".into(),
        String::new(),
        String::new(),
        String::new(),
        format!("{:.1}", gemm.gflops),
    ];
    rows.push(best);
    table(&rows)
}

/// The counts as text.
fn subnormals(counts: &[Subnormals]) -> String {
    let head = ["subnormal numbers", "steps", "of", "subnormal"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(counts.iter().map(|count| {
        vec![
            count.numbers.into(),
            count.steps.to_string(),
            grouped(count.count as usize),
            grouped(count.subnormal as usize),
        ]
    }));
    table(&rows)
}

/// A time with at least three significant digits, in a suitable unit.
fn seconds(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 0.1 => format!("{:.0} ms", 1e3 * s),
        s if s >= 0.01 => format!("{:.1} ms", 1e3 * s),
        s if s >= 0.001 => format!("{:.2} ms", 1e3 * s),
        s => format!("{:.3} ms", 1e3 * s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        for (time, text) in [
            (12.34, "12.3 s"),
            (1.2346, "1.235 s"),
            (0.1234, "123 ms"),
            (0.0123, "12.3 ms"),
            (0.0056, "5.60 ms"),
            (0.000_123, "0.123 ms"),
        ] {
            assert_eq!(seconds(time), text);
        }
    }

    #[test]
    fn cells_by_name() {
        for cell_type in CellType::ALL {
            assert_eq!(cell(name_of(cell_type)), Ok(cell_type));
        }
        assert!(cell("LSTM").is_err());
    }
}
