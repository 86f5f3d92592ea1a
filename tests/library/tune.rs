//! A search that is interrupted ends as if it had not been.

use birnn::config::{Config, Metric};
use birnn::data::DownloadProgress;
use birnn::dataset::{DatasetProgress, Stage};
use birnn::fs::cache::Cache;
use birnn::recipe::{Monitor, Step};
use birnn::train::{EpochReport, Observer, StepReport};
use birnn::tune::{Budget, Ended, Search, SearchMonitor, Space, Trial};
use candle_core::Device;
use serde_json::Value;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Stops a search at a step of all its trials together.
#[derive(Default)]
struct Watch {
    stop_at: Option<u64>,
    steps: u64,
    /// The trials that were begun or resumed, and the epochs to which they were to be trained.
    rungs: Vec<(usize, u64)>,
    notes: Vec<String>,
}

impl DownloadProgress for Watch {
    fn download(&mut self, _: &str, _: u64, _: Option<u64>) {}

    fn note(&mut self, line: &str) {
        self.notes.push(line.to_owned());
    }
}

impl DatasetProgress for Watch {
    fn texts(&mut self, _: Stage, _: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Observer for Watch {
    fn step(&mut self, _: &StepReport) {
        self.steps += 1;
    }

    fn evaluating(&mut self, _: usize, _: usize) {}

    fn epoch(&mut self, _: &EpochReport) {}

    fn stop(&mut self) -> bool {
        self.stop_at.is_some_and(|step| self.steps >= step)
    }
}

impl Monitor for Watch {
    fn begins(&mut self, _: Step) {}

    fn vectors(&mut self, _: u64, _: u64) {}
}

impl SearchMonitor for Watch {
    fn rung_begins(&mut self, trial: &Trial, epochs: u64) {
        self.rungs.push((trial.number, epochs));
    }

    fn rung_ends(&mut self, _: &Trial, _: Option<&Trial>, _: Option<Duration>) {}
}

/// A model of the sample that is trained in a moment, with an n-gram head.
fn config() -> Config {
    let mut config = Config::default();
    config.text.vocabulary_size = 200;
    (config.model.embedding_size, config.model.num_hiddens) = (4, 4);
    config.model.num_layers = 1;
    config.model.ngrams.order = 1;
    config.model.ngrams.weighting = serde_json::from_str("\"tf-idf\"").unwrap();
    (config.train.epochs, config.train.batch_size) = (4, 128);
    config.train.metric = Metric::Loss;
    config
}

fn space() -> Space {
    let text =
        "train.learning_rate = { min = 1e-3, max = 1e-1, log = true }\nmodel.ngrams.order = [0, 1]";
    Space::from_toml(Path::new("space.toml"), text, &mut |_| ()).unwrap()
}

fn begin(folder: &Path, trials: usize) -> Search {
    let budget = Budget {
        trials: Some(trials),
        ..Budget::default()
    };
    Search::create(folder, config(), space(), budget).unwrap()
}

fn run(search: &mut Search, watch: &mut Watch) -> Ended {
    search.run(&Cache::off(), &Device::Cpu, watch).unwrap()
}

/// The trials as written, without their times.
fn trials(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("trials.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut trial: Value = serde_json::from_str(line).unwrap();
        trial.as_object_mut().unwrap().remove("seconds").unwrap();
        trial
    });
    lines.collect()
}

/// The files with weights or states, by their names below the folder of trials.
fn tensors(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for trial in fs::read_dir(folder.join("trials")).unwrap() {
        let trial = trial.unwrap();
        let name = trial.file_name().into_string().unwrap();
        for file in ["model.safetensors", "checkpoints"] {
            if trial.path().join(file).exists() {
                found.push(format!("{name}/{file}"));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn an_interrupted_search_ends_with_the_same_trials() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let mut search = begin(&whole, 4);
    let mut watch = Watch::default();
    assert_eq!(run(&mut search, &mut watch), Ended::Completely);
    // The start, then the others to the end of the first rung, then perhaps the best ones further.
    assert_eq!(
        watch.rungs[..6],
        [(0, 1), (0, 2), (0, 4), (1, 1), (2, 1), (3, 1)][..]
    );
    let expected = trials(&whole);
    assert_eq!(expected.len(), 4);
    assert_eq!(expected[0]["overrides"], serde_json::json!({}));
    assert_eq!(expected[0]["epochs"], 4);
    // The texts are read once for each of the two kinds of heads, and each head is fitted once.
    let count = |what: &str| {
        watch
            .notes
            .iter()
            .filter(|note| note.contains(what))
            .count()
    };
    assert!(count("texts to train on") <= 2);
    assert_eq!(count("n-grams of up to 1 words"), 1);
    let steps = watch.steps;
    drop(search);

    let parts = folder.path().join("parts");
    drop(begin(&parts, 4));
    let mut done = 0;
    let mut interruptions = 0;
    loop {
        // Within epochs and at their ends; an epoch has five steps.
        let mut watch = Watch {
            stop_at: Some(3),
            ..Watch::default()
        };
        let mut search = Search::resume(&parts, Budget::default()).unwrap();
        let ended = run(&mut search, &mut watch);
        done += watch.steps;
        match ended {
            Ended::Stopped => interruptions += 1,
            ended => {
                assert_eq!(ended, Ended::Completely);
                break;
            }
        }
    }
    assert!(interruptions >= 10, "{interruptions}");
    assert_eq!(done, steps, "no step is taken twice");
    assert_eq!(trials(&parts), expected);
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).unwrap();
    for name in ["best.toml", "space.toml", "start.toml"] {
        assert_eq!(read(&parts, name), read(&whole, name), "{name}");
    }
    assert_eq!(tensors(&parts), tensors(&whole));
}

#[test]
fn only_trials_that_may_go_on_keep_their_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut search = begin(path, 10);
    assert_eq!(run(&mut search, &mut Watch::default()), Ended::Completely);
    let found = search.findings().unwrap();
    assert_eq!(found.texts, 160);
    let best = found.best().number;
    let mut expected = Vec::new();
    for trial in search.trials() {
        let name = format!("{:03}", trial.number);
        assert!(path.join("trials").join(&name).join("config.toml").exists());
        if !trial.is_over() {
            expected.push(format!("{name}/checkpoints"));
        }
        if !trial.is_over() || trial.number == best {
            expected.push(format!("{name}/model.safetensors"));
        }
    }
    expected.sort();
    assert_eq!(tensors(path), expected);
    let waiting = search.trials().iter().filter(|trial| !trial.is_over());
    assert!(waiting.count() <= 8);
    // With more trials it goes on from here.
    let before = trials(path);
    drop(search);
    let more = Budget {
        trials: Some(12),
        ..Budget::default()
    };
    let mut search = Search::resume(path, more).unwrap();
    assert_eq!(run(&mut search, &mut Watch::default()), Ended::Completely);
    let after = trials(path);
    assert_eq!(after.len(), 12);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["overrides"], after["overrides"]);
        assert_eq!(before["rungs"][0], after["rungs"][0]);
    }
}

#[test]
fn the_time_is_a_limit_and_the_texts_must_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("search");
    let time = Budget {
        minutes: Some(1e-9),
        ..Budget::default()
    };
    let mut search = Search::create(&path, config(), space(), time).unwrap();
    assert_eq!(run(&mut search, &mut Watch::default()), Ended::OutOfTime);
    assert!(search.findings().is_none());
    let error = Search::resume(&path, time).unwrap_err().to_string();
    assert!(error.ends_with(
        "another search is writing in this folder; wait for its end, or choose another --out"
    ));
    drop(search);
    // Killed while it was begun, it leaves nothing that is in the way.
    let killed = folder.path().join("killed");
    fs::create_dir(&killed).unwrap();
    for name in ["lock", "start.toml", "trials.jsonl"] {
        fs::write(killed.join(name), "").unwrap();
    }
    Search::create(&killed, config(), space(), time).unwrap();
    let error = Search::create(&path, config(), space(), time).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("already holds a search; continue it with --resume")
    );
    let error = Search::create(
        &folder.path().join("none"),
        config(),
        space(),
        Budget::default(),
    );
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "budget: a search needs a number of minutes or of trials"
    );

    let trials = Budget {
        trials: Some(1),
        ..Budget::default()
    };
    let mut search = Search::resume(&path, trials).unwrap();
    assert_eq!(run(&mut search, &mut Watch::default()), Ended::Completely);
    drop(search);
    // Another vocabulary is another input.
    let start = path.join("start.toml");
    let text = fs::read_to_string(&start).unwrap();
    let changed = text.replace("vocabulary_size = 200", "vocabulary_size = 100");
    fs::write(&start, changed).unwrap();
    let mut search = Search::resume(&path, trials).unwrap();
    let error = search
        .run(&Cache::off(), &Device::Cpu, &mut ())
        .unwrap_err();
    let error = error.to_string();
    assert!(error.ends_with(
        "these inputs have changed since the search began: tokenizer; restore them, or begin another search in \
         another folder"
    ));
}
