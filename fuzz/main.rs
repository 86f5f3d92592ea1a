//! Every parser of untrusted files, fed with mutated ones: each must return a value or an error, never panic, and use
//! bounded memory.
//!
//! By default a few inputs for each parser; as many as counted in docs/reliability.md with
//!
//! ```sh
//! BIRNN_FUZZ=2000000 cargo test --release --test fuzz -- --nocapture
//! ```
//!
//! It needs no nightly compiler. The files in `seeds/NAME` are mutated for the parser NAME ([`mutate`]); an input with
//! a new kind of outcome becomes a seed itself. The inputs are the same in every run. The input of a failing parser is
//! kept in the folder of temporary files, under the name given in the message.

mod mutate;
mod parsers;

use mutate::Mutator;
use parsers::Parser;
use peak_alloc::PeakAlloc;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The maximum memory of a parser together with its seeds.
const MAX_MEMORY: usize = 256 << 20;
/// The default number of inputs for each parser.
const FEW: usize = 2000;
/// The maximum number of seeds, including those found during the run.
const MAX_SEEDS: usize = 1000;
/// The maximum number of distinguished kinds of outcomes.
const MAX_KINDS: usize = 10_000;
/// The maximum length of an input that becomes a seed, in bytes.
const LONGEST_SEED: usize = 8 << 10;

thread_local! {
    /// Whether this thread is within a parser, and the message of the last panic there.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Records the message of a panic within a parser, and prints it elsewhere: a parser may catch the panic of a library.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_noted = PANIC.with_borrow_mut(|last| {
                let is_within = last.is_some();
                if is_within {
                    *last = Some(panic.to_string());
                }
                is_within
            });
            if !is_noted {
                print(panic);
            }
        }));
    });
}

/// The kind of an outcome: a message without the parts that are specific to one input.
fn kind(outcome: &Result<(), String>) -> String {
    let Err(message) = outcome else {
        return "value".to_owned();
    };
    // The problem, without the remedy; of a longer one the last line, which is the most specific.
    let problem = message.split(';').next().unwrap_or_default();
    let problem = problem.trim_end().lines().next_back().unwrap_or_default();
    let mut quoted = false;
    let letters = problem.chars().filter(|letter| {
        quoted ^= matches!(*letter, '"' | '`');
        !quoted && letter.is_ascii_alphabetic()
    });
    letters.take(80).collect()
}

fn fuzz(name: &str, parser: Parser) {
    let count = std::env::var("BIRNN_FUZZ").map_or(FEW, |count| {
        count.parse().expect("BIRNN_FUZZ is a number of inputs")
    });
    note_panics();
    let mut seeds = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the parser has seeds")
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    for file in files {
        seeds.push(fs::read(file).expect("a seed can be read"));
    }
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let kept = std::env::temp_dir().join(format!("birnn-fuzz-{name}-{}", std::process::id()));
    let mut work = parser(folder.path());

    let mut mutator = Mutator::new(&seeds);
    let mut kinds = HashSet::new();
    let (mut values, mut slowest) = (0, Duration::ZERO);
    let (given, begin) = (seeds.len(), Instant::now());
    for number in 0..count {
        let bytes = match number < given {
            true => seeds[number].clone(),
            false => mutator.mutate(&seeds),
        };
        let started = Instant::now();
        PANIC.set(Some(String::new()));
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&bytes)));
        let panic = PANIC.take().unwrap_or_default();
        slowest = slowest.max(started.elapsed());
        let Ok(outcome) = outcome else {
            fs::write(&kept, &bytes).expect("there is room for temporary files");
            panic!("{name}: {panic}; the input is {}", kept.display());
        };
        values += usize::from(outcome.is_ok());
        // Of the inputs that are read, only a few become seeds: nearly valid inputs are near them.
        let is_new = kinds.len() < MAX_KINDS && kinds.insert(kind(&outcome))
            || outcome.is_ok() && values.is_multiple_of(64);
        let is_wanted = bytes.len() <= LONGEST_SEED && seeds.len() < MAX_SEEDS;
        if number >= given && is_new && is_wanted {
            seeds.push(bytes);
        }
        let peak = MEMORY.peak_usage();
        assert!(peak < MAX_MEMORY, "{name}: {peak} bytes of memory");
    }
    println!(
        "{name}: {count} inputs, {values} of them read, {} kinds of outcome; slowest {} ms, all {} s, at most \
         {} MiB",
        kinds.len(),
        slowest.as_millis(),
        begin.elapsed().as_secs(),
        MEMORY.peak_usage() >> 20
    );
}

macro_rules! parsers {
    ($($name:ident),*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name), parsers::$name);
            }
        )*
    };
}

parsers!(
    csv,
    tsv,
    jsonl,
    json,
    fasttext,
    trees,
    trec,
    parquet,
    arrow,
    stream,
    encoded,
    archive,
    kept_table,
    kept_objects,
    kept_parquet,
    kept_arrow,
    config,
    tokenizer,
    model_config,
    language_config,
    safetensors,
    pytorch,
    vectors,
    vectors_fasttext,
    vectors_word2vec,
    checkpoint
);
