//! The results of several runs, best first.

use super::super::progress::Terminal;
use super::super::table::{percent, table};
use anyhow::bail;
use birnn::checkpoint::{RunDirectory, RunKind, RunState};
use birnn::config::Config;
use birnn::data::DownloadProgress;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run with its result.
#[derive(Debug, Serialize)]
struct Run {
    run: String,
    /// On the validation texts, at the best epoch.
    accuracy: Option<f64>,
    macro_f1: Option<f64>,
    loss: Option<f64>,
    best_epoch: u64,
    /// The number of epochs that are done.
    epochs: u64,
    seconds: f64,
    /// The keys of the config in which the runs differ.
    config: BTreeMap<String, Value>,
}

/// The results of runs on their validation texts, as JSON or as a table.
pub(super) fn of_runs(
    folders: &[PathBuf],
    json: bool,
    terminal: &mut Terminal,
) -> anyhow::Result<String> {
    let mut runs = Vec::new();
    for folder in folders {
        match RunDirectory::progress_of(folder, RunKind::Classifier) {
            Ok((_, state)) if state.epoch == 0 => {
                terminal.note(&format!("{}: left out: no epoch is done", folder.display()));
            }
            Ok((config, state)) => runs.push(run(folder, &config, &state)?),
            Err(error) => terminal.note(&format!("left out: {error}")),
        }
    }
    if runs.is_empty() {
        bail!(
            "none of the {} folders is a run of `birnn train` with a result",
            folders.len()
        );
    }
    keep_differences(&mut runs);
    // Undefined results come last.
    let rank = |run: &Run| {
        (
            run.accuracy.unwrap_or(-1.0),
            -run.loss.unwrap_or(f64::INFINITY),
        )
    };
    runs.sort_by(|a, b| {
        let (a, b) = (rank(a), rank(b));
        b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    let sources = runs
        .iter()
        .filter(|run| run.config.keys().any(|key| is_of_texts(key)));
    if sources.count() > 0 {
        terminal.note("the runs were not all validated on the same texts");
    }
    match json {
        true => Ok(serde_json::to_string(&runs)? + "\n"),
        false => Ok(plain(&runs)),
    }
}

/// Whether a key says which texts there are.
fn is_of_texts(key: &str) -> bool {
    key.starts_with("data.") || key == "seed"
}

fn run(folder: &Path, config: &Config, state: &RunState) -> anyhow::Result<Run> {
    let mut keys = BTreeMap::new();
    flatten("", &serde_json::to_value(config)?, &mut keys);
    Ok(Run {
        run: folder.display().to_string(),
        accuracy: state.best_accuracy,
        macro_f1: state.best_macro_f1,
        loss: state.best_loss,
        best_epoch: state.best_epoch,
        epochs: state.epoch,
        seconds: state.seconds,
        config: keys,
    })
}

/// The keys of sections with their values: `train.epochs`.
fn flatten(prefix: &str, value: &Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(section) => {
            for (name, value) in section {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{name}"), value, keys);
            }
        }
        value => {
            keys.insert(prefix.to_owned(), value.clone());
        }
    }
}

/// Removes the keys whose values are the same in all runs.
fn keep_differences(runs: &mut [Run]) {
    let all: Vec<String> = runs
        .iter()
        .flat_map(|run| run.config.keys().cloned())
        .collect();
    let is_same = |key: &str| {
        runs.windows(2)
            .all(|two| two[0].config.get(key) == two[1].config.get(key))
    };
    let same: Vec<String> = all.into_iter().filter(|key| is_same(key)).collect();
    for run in runs {
        run.config.retain(|key, _| !same.contains(key));
    }
}

fn plain(runs: &[Run]) -> String {
    let keys: std::collections::BTreeSet<&String> =
        runs.iter().flat_map(|run| run.config.keys()).collect();
    let head = [
        "run",
        "accuracy %",
        "macro F1 %",
        "loss",
        "best epoch",
        "epochs",
        "seconds",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows[0].extend(keys.iter().map(|key| (*key).clone()));
    for run in runs {
        let mut row = vec![
            run.run.clone(),
            percent(run.accuracy),
            percent(run.macro_f1),
            run.loss.map_or("-".into(), |loss| format!("{loss:.4}")),
            run.best_epoch.to_string(),
            run.epochs.to_string(),
            format!("{:.0}", run.seconds),
        ];
        row.extend(keys.iter().map(|key| match run.config.get(*key) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        }));
        rows.push(row);
    }
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(name: &str, config: Value) -> Run {
        let mut keys = BTreeMap::new();
        flatten("", &config, &mut keys);
        Run {
            run: name.to_owned(),
            accuracy: Some(0.5),
            macro_f1: None,
            loss: Some(1.0),
            best_epoch: 1,
            epochs: 2,
            seconds: 3.4,
            config: keys,
        }
    }

    #[test]
    fn only_differing_keys_have_a_column() {
        let mut runs = [
            run(
                "a",
                json!({"seed": 0, "train": {"epochs": 2, "vectors": null}, "model": {"pooling": ["max"]}}),
            ),
            run(
                "b",
                json!({"seed": 0, "train": {"epochs": 3, "vectors": "v.vec"}, "model": {"pooling": ["max"]}}),
            ),
        ];
        keep_differences(&mut runs);
        let expected = "run  accuracy %  macro F1 %    loss  best epoch  epochs  seconds  train.epochs  train.vectors\n\
                        a         50.00           -  1.0000           1       2        3             2              -\n\
                        b         50.00           -  1.0000           1       2        3             3          v.vec\n";
        assert_eq!(plain(&runs), expected);
    }
}
