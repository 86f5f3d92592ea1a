//! No pass produces subnormal numbers: some processors take a hundred times as long for them. They can be counted on
//! any processor.

mod support;

use birnn::bench::{Workload, subnormals};
use birnn::checkpoint::{LanguageFile, RunDirectory};
use birnn::config::{Config, TrainerConfig};
use birnn::dataset::TextDataset;
use birnn::fs::cache::Cache;
use birnn::rnn::CellType;
use birnn::rnn::kernels::subnormals::{Count, counted};
use birnn::train::Trainer;
use birnn::train::language::LanguageTask;
use candle_core::Device;
use std::path::Path;
use std::sync::Mutex;
use support::birnn;

/// The counts are those of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Counts after 1 and after 50 steps of training.
fn check(shape: &str, cell: CellType) {
    let _alone = ALONE.lock();
    let workload = Workload::new(shape.parse().unwrap(), cell, None).unwrap();
    let counts = subnormals(&workload).unwrap();
    for kind in [
        "saved activations",
        "gradients carried from step to step",
        "gradients of the gates",
        "gradients of the layers",
        "gradients of the whole model",
        "parameters",
        "moments",
        "differences",
    ] {
        for steps in [1, 50] {
            let mut of_kind = counts.iter();
            let found = of_kind.find(|count| count.numbers == kind && count.steps == steps);
            let found = found.unwrap_or_else(|| panic!("no {kind} after {steps}"));
            assert!(found.count > 0, "{cell} {shape}: {found:?}");
            assert_eq!(found.subnormal, 0, "{cell} {shape}: {found:?}");
        }
    }
}

/// The textbook's sizes except for the number of rows, pooled at both ends: gradients vanish in between.
#[test]
fn the_textbook_classifier_makes_none() {
    for cell in CellType::ALL {
        check("4,500,100,100,2,49346", cell);
    }
}

#[test]
fn long_single_rows_make_none() {
    for cell in CellType::ALL {
        check("1,5000,16,16,1,1000", cell);
    }
}

/// The complete state of a run, in the files of its last checkpoint.
fn in_checkpoints(run: &Path) -> Count {
    let mut count = Count::default();
    for checkpoint in std::fs::read_dir(run.join("checkpoints")).unwrap() {
        let path = checkpoint.unwrap().path().join("training.safetensors");
        if !path.is_file() {
            continue;
        }
        for tensor in candle_core::safetensors::load(path, &Device::Cpu)
            .unwrap()
            .into_values()
        {
            if tensor.dtype() == candle_core::DType::F32 {
                let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                count.add(&values);
            }
        }
    }
    count
}

/// Word vectors, n-grams and network, with averaging and clipping, on the bundled sample.
#[test]
fn a_run_of_the_fast_recipe_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/imdb-fast.toml");
    let arguments = [
        "train",
        "--config",
        config.to_str().unwrap(),
        "--data",
        "sample",
        "--out",
        "run",
        "--set",
        r#"data.label_names=["negative","positive"]"#,
        "--set",
        "train.epochs=3",
        "--set",
        "train.batch_size=32",
        "--set",
        "train.checkpoint_every=5",
    ];
    let output = birnn(folder.path(), &arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let count = in_checkpoints(&folder.path().join("run"));
    assert!(count.numbers > 1_000_000, "{count:?}");
    assert_eq!(count.subnormal, 0);
}

/// Over all steps of a run, including sampled softmax and tied embeddings.
#[test]
fn a_language_model_makes_none() {
    let _alone = ALONE.lock();
    let overrides = [
        ("model.embedding_size", "24"),
        ("model.num_hiddens", "24"),
        ("model.num_layers", "1"),
        ("pretrain.batch_tokens", "800"),
        ("pretrain.negatives", "60"),
        ("pretrain.epochs", "2"),
        ("pretrain.validation_texts", "20"),
    ];
    let overrides = overrides.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::from_toml(None, &overrides).unwrap();
    let dataset = TextDataset::load(&config, &Cache::off(), &mut ()).unwrap();
    let dataset = dataset.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let file = LanguageFile::new(config.pretrain.architecture(&config.model));
    let data = dataset.fingerprints.clone();
    let mut run =
        RunDirectory::create(&path, &config, &file, &dataset.encoder, data, false).unwrap();
    let (outcome, counts) = counted(|| {
        let task = LanguageTask::new(&config, &dataset, None, &Device::Cpu)?;
        Trainer::new(task, TrainerConfig::language_model(&config)).run(&mut run, &mut ())
    });
    outcome.unwrap();
    for count in counts {
        assert!(count.numbers > 100_000, "{counts:?}");
        assert_eq!(count.subnormal, 0, "{counts:?}");
    }
    let count = in_checkpoints(&path);
    assert!(count.numbers > 100_000, "{count:?}");
    assert_eq!(count.subnormal, 0);
}
