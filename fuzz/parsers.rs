//! The parsers: how each is called, and the properties of its results.

use birnn::batch::Batch;
use birnn::checkpoint::{LanguageDirectory, Loading, RunDirectory, RunKind, SavedClassifier};
use birnn::config::Config;
use birnn::data::{
    AddedColumn, AddedValues, Format, Labels, Portion, RowReader, RowWriter, Source, SourceOptions,
    Split, free_names, read_rows,
};
use birnn::dataset::Fingerprints;
use birnn::models::language::{Sampling, generate};
use birnn::ops::dropout::Phase;
use birnn::parameters::Weights;
use birnn::text::{TextConfig, TextEncoder};
use birnn::vectors::read_vectors;
use candle_core::Device;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Reads an input; an error is returned as its message.
pub type Work = Box<dyn FnMut(&[u8]) -> Result<(), String>>;
/// Creates the work, which may write files in a folder.
pub type Parser = fn(&Path) -> Work;

fn message<T>(result: birnn::Result<T>) -> Result<T, String> {
    // With its cause, as the program prints it.
    result.map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

/// The guarantees of a table of texts, however it was read.
fn check_rows(split: Split) {
    assert!(!split.records.is_empty());
    for (index, record) in split.records.iter().enumerate() {
        assert_eq!(record.row, index + 1);
        assert!(
            record
                .labels
                .iter()
                .flatten()
                .all(|label| !label.is_empty())
        );
    }
    // Any labels give classes or an error.
    if let Ok(labels) = Labels::of_split(&split) {
        let _ = labels.encode(&split);
    }
}

fn rows(format: Option<Format>) -> Work {
    let options = SourceOptions {
        format,
        ..SourceOptions::default()
    };
    let unlabelled = SourceOptions {
        unlabelled: true,
        ..options.clone()
    };
    Box::new(move |bytes| {
        if let Ok(split) = read_rows(bytes, "input", &unlabelled) {
            check_rows(split);
        }
        message(read_rows(bytes, "input", &options)).map(check_rows)
    })
}

pub fn csv(_: &Path) -> Work {
    rows(Some(Format::Csv))
}

pub fn tsv(_: &Path) -> Work {
    rows(Some(Format::Tsv))
}

pub fn jsonl(_: &Path) -> Work {
    rows(Some(Format::Jsonl))
}

pub fn fasttext(_: &Path) -> Work {
    rows(Some(Format::FastText))
}

pub fn parquet(_: &Path) -> Work {
    rows(Some(Format::Parquet))
}

/// Lists of objects in a document.
pub fn json(_: &Path) -> Work {
    rows(Some(Format::Json))
}

pub fn arrow(_: &Path) -> Work {
    rows(Some(Format::Arrow))
}

pub fn trees(_: &Path) -> Work {
    rows(Some(Format::Trees))
}

pub fn trec(_: &Path) -> Work {
    rows(Some(Format::Trec))
}

/// A stream of any format, compressed or not, as it comes through a pipe.
pub fn stream(_: &Path) -> Work {
    rows(None)
}

/// Texts in other encodings, and rows that are left out.
pub fn encoded(_: &Path) -> Work {
    let options =
        ["utf-16le", "gb18030", "shift_jis", "windows-1252"].map(|encoding| SourceOptions {
            encoding: Some(encoding.to_owned()),
            skip_bad_rows: true,
            ..SourceOptions::default()
        });
    Box::new(move |bytes| {
        let mut last = Ok(());
        for options in &options {
            last = message(read_rows(bytes, "input", options)).map(|split| {
                let rows: Vec<usize> = split.records.iter().map(|record| record.row).collect();
                assert!(rows.is_sorted_by(|a, b| a < b));
            });
        }
        last
    })
}

/// Archives, whose files are written to a folder of their own and nowhere else.
pub fn archive(folder: &Path) -> Work {
    let path = folder.join("input.zip");
    Box::new(move |bytes| {
        fs::write(&path, bytes).expect("the folder can be written");
        let source = message(Source::open(
            path.to_str().expect("a name"),
            SourceOptions::default(),
        ))?;
        let names: Vec<String> = source.split_names().map(str::to_owned).collect();
        for name in names {
            message(source.split(&name, &mut ()))?;
        }
        Ok(())
    })
}

/// Rows with all their columns: what is written in a format is read back as the same texts, and as many.
fn kept(format: Option<Format>, outputs: &'static [Format]) -> Work {
    let options = SourceOptions {
        format,
        ..SourceOptions::default()
    };
    Box::new(move |bytes| {
        let mut reader = message(RowReader::stream(bytes, "input", &options))?;
        let shape = reader.shape().clone();
        let names = free_names(&shape.columns, &["label".to_owned()]);
        let mut portions = Vec::new();
        while let Some(portion) = message(reader.next(7))? {
            portions.push(portion);
        }
        let texts: Vec<&Option<String>> = portions.iter().flat_map(Portion::texts).collect();
        for &output in outputs {
            let mut written = Vec::new();
            let mut writer = message(RowWriter::new(&mut written, output, &shape, &names))?;
            for portion in &portions {
                let values =
                    AddedValues::Texts(vec![Some("pos".to_owned()); portion.texts().len()]);
                let name = names[0].clone();
                message(writer.write(portion, &[AddedColumn { name, values }]))?;
            }
            message(writer.finish())?;
            // A table full of control characters is refused as no text.
            let is_control = |byte: &u8| *byte < b' ' && !b"\t\n\r".contains(byte);
            let is_binary = !matches!(output, Format::Parquet | Format::Arrow)
                && written.iter().any(is_control);
            if portions.is_empty() || is_binary {
                continue;
            }
            let options = SourceOptions {
                format: Some(output),
                no_header: !shape.has_header(),
                text_column: Some(shape.text_column().to_owned()),
                ..SourceOptions::default()
            };
            let mut again =
                RowReader::stream(&written[..], "output", &options).expect("it was written");
            let mut count = 0;
            while let Some(portion) = again.next(1000).expect("it was written") {
                for text in portion.texts() {
                    let before = texts[count].as_deref().unwrap_or_default();
                    assert_eq!(text.as_deref().unwrap_or_default(), before);
                    count += 1;
                }
            }
            assert_eq!(count, texts.len());
        }
        Ok(())
    })
}

pub fn kept_table(_: &Path) -> Work {
    kept(
        Some(Format::Csv),
        &[Format::Csv, Format::Jsonl, Format::Parquet],
    )
}

pub fn kept_objects(_: &Path) -> Work {
    kept(
        Some(Format::Jsonl),
        &[Format::Jsonl, Format::Json, Format::Arrow],
    )
}

pub fn kept_parquet(_: &Path) -> Work {
    kept(Some(Format::Parquet), &[Format::Parquet, Format::Jsonl])
}

pub fn kept_arrow(_: &Path) -> Work {
    kept(Some(Format::Arrow), &[Format::Arrow, Format::Csv])
}

/// A written config is read back unchanged.
pub fn config(_: &Path) -> Work {
    Box::new(|bytes| {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let config = message(Config::from_toml(Some((Path::new("input"), text)), &[]))?;
        let written = message(config.to_toml()).expect("a config can be written");
        let again = Config::from_toml(Some((Path::new("input"), &written)), &[]);
        assert_eq!(message(again), Ok(config));
        Ok(())
    })
}

/// Ids are below the size of the vocabulary; a written tokenizer is read back unchanged.
pub fn tokenizer(_: &Path) -> Work {
    let texts = [
        "",
        "a good film, isn't it?",
        "naïve 電影 \u{1F600}\0 \u{301}",
        "aaaaaaaaaa",
    ];
    Box::new(move |bytes| {
        let config = TextConfig::default();
        let read =
            |bytes: &[u8]| message(TextEncoder::from_bytes(bytes, Path::new("input"), &config));
        let encoder = read(bytes)?;
        let ids: Vec<_> = texts
            .iter()
            .map(|text| message(encoder.encode(text)))
            .collect();
        let largest = ids.iter().flatten().flatten().max();
        assert!(largest.is_none_or(|&id| (id as usize) < encoder.vocabulary_size()));
        let written = message(encoder.to_json())?;
        let again = read(written.as_bytes()).expect("what was written can be read");
        let same: Vec<_> = texts
            .iter()
            .map(|text| message(again.encode(text)))
            .collect();
        assert_eq!(ids, same);
        Ok(())
    })
}

/// A valid model directory in `folder`.
fn good_model(folder: &Path) -> PathBuf {
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/textbook");
    let model = folder.join("model");
    fs::create_dir(&model).expect("the folder can be written to");
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(good.join(name), model.join(name)).expect("the fixture is there");
    }
    model
}

/// Loads a model with one file replaced, and uses it.
fn model(folder: &Path, name: &'static str) -> Work {
    let model = good_model(folder);
    Box::new(move |bytes| {
        // The file is replaced, not overwritten, as the previous one may be mapped into memory.
        fs::remove_file(model.join(name)).expect("the folder can be written to");
        fs::write(model.join(name), bytes).expect("the folder can be written to");
        let directory = message(SavedClassifier::load(&model, Loading::Mapped, &Device::Cpu))?;
        assert!(directory.temperature.is_finite() && directory.temperature > 0.0);
        let batch = Batch::new(&[&[1, 0, 2], &[1]]).expect("the batch is valid");
        let logits = directory.model.forward(&batch, Phase::Inference);
        let logits = message(logits)?
            .to_vec2::<f32>()
            .expect("logits are a matrix");
        assert_eq!(logits.len(), 2);
        assert!(
            logits
                .iter()
                .all(|row| row.len() == directory.file.labels.len())
        );
        Ok(())
    })
}

pub fn model_config(folder: &Path) -> Work {
    model(folder, "config.json")
}

/// The description of a language model, whose other files are unchanged.
pub fn language_config(folder: &Path) -> Work {
    let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed/good_language");
    let model = folder.join("language");
    fs::create_dir(&model).expect("the folder can be written to");
    for name in ["tokenizer.json", "model.safetensors"] {
        fs::copy(good.join(name), model.join(name)).expect("the file is there");
    }
    Box::new(move |bytes| {
        fs::write(model.join("config.json"), bytes).expect("there is room");
        let language = message(LanguageDirectory::load(&model, &Device::Cpu))?;
        let (beginning, sampling) = ([2], Sampling::default());
        let made = generate(&language.model, &beginning, 3, sampling, &Device::Cpu);
        let made = message(made)?;
        assert!(made.len() == 3 && made.iter().all(|&token| token < 6));
        Ok(())
    })
}

pub fn safetensors(folder: &Path) -> Work {
    model(folder, "model.safetensors")
}

/// Weights in a file of PyTorch; written as safetensors, they are read back.
pub fn pytorch(folder: &Path) -> Work {
    let (path, again) = (folder.join("w.pt"), folder.join("w.safetensors"));
    Box::new(move |bytes| {
        // A file that is overwritten would be flushed, which takes longer than reading it.
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).expect("there is room");
        let weights = message(Weights::load(&path, &Device::Cpu))?;
        let shapes: BTreeMap<String, Vec<usize>> = weights
            .iter()
            .map(|(name, tensor)| (name.to_owned(), tensor.dims().to_vec()))
            .collect();
        assert!(!shapes.is_empty());
        message(weights.save(&again)).expect("weights can be written");
        let weights = message(Weights::load(&again, &Device::Cpu)).expect("and read back");
        message(weights.check(&shapes)).expect("unchanged");
        Ok(())
    })
}

/// Rows have the right dimension and are finite.
pub fn vectors(folder: &Path) -> Work {
    let path = folder.join("vectors");
    let words = ["good", "bad", "the", "a", "film"];
    let vocabulary: Vec<(String, u32)> = words
        .iter()
        .zip(0..)
        .map(|(word, id)| (word.to_string(), id))
        .collect();
    Box::new(move |bytes| {
        fs::write(&path, bytes).expect("there is room");
        let mut proceed = |_, _| ControlFlow::Continue(());
        let table = message(read_vectors(&path, &vocabulary, &mut proceed))?;
        let table = table.expect("it was not stopped");
        let rows: Vec<&[f32]> = (0..vocabulary.len() as u32)
            .filter_map(|id| table.row(id))
            .collect();
        assert!(!rows.is_empty() && rows.len() == table.found);
        for row in rows {
            assert_eq!(row.len(), table.dimension);
            assert!(row.iter().all(|value| value.is_finite()));
        }
        Ok(())
    })
}

/// The same for models of fastText.
pub fn vectors_fasttext(folder: &Path) -> Work {
    vectors(folder)
}

/// The same for the binary format of word2vec.
pub fn vectors_word2vec(folder: &Path) -> Work {
    vectors(folder)
}

/// The state of a run with matching hashes, as if crafted on purpose.
pub fn checkpoint(folder: &Path) -> Work {
    let run = folder.join("run");
    let checkpoint = run.join("checkpoints/00000001");
    fs::create_dir_all(&checkpoint).expect("the folder can be written to");
    let tensors =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/textbook/model.safetensors");
    let tensors = fs::read(tensors).expect("the fixture is there");
    fs::write(checkpoint.join("training.safetensors"), &tensors).expect("there is room");
    let hash = |bytes: &[u8]| -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let of_tensors = hash(&tensors);
    Box::new(move |bytes| {
        fs::write(checkpoint.join("training.json"), bytes).expect("there is room");
        let list = format!(
            "{}  training.json\n{of_tensors}  training.safetensors\n",
            hash(bytes)
        );
        fs::write(checkpoint.join("SHA256SUMS"), list).expect("there is room");
        message(RunDirectory::resume(
            &run,
            RunKind::Classifier,
            Fingerprints::default(),
            &Device::Cpu,
        ))
        .map(|_| ())
    })
}
