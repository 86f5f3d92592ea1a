//! The result of a search.

use super::super::shell::{program, quoted, quoted_source};
use super::super::table::{percent, table};
use birnn::config::Metric;
use birnn::recipe::grouped;
use birnn::tune::{Best, Ended, Findings, Search, Trial, state};
use serde::Serialize;

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// How the search ended: `completely`, `out_of_time` or `stopped`.
    ended: &'static str,
    metric: Metric,
    validation_texts: usize,
    /// Of the accuracy of the best trial.
    standard_error: f64,
    /// How much better the best of the trials that were trained to their end can look by chance.
    by_chance: f64,
    /// Whether the accuracy of the starting configuration is no more than that below that of the best trial.
    start_is_as_good: bool,
    /// The number of the best trial.
    best: usize,
    /// Best first.
    trials: &'a [&'a Trial],
}

pub(super) fn json(found: &Findings, ended: Ended) -> serde_json::Result<String> {
    let report = Report {
        ended: match ended {
            Ended::Stopped => "stopped",
            Ended::OutOfTime => "out_of_time",
            _ => "completely",
        },
        metric: found.metric,
        validation_texts: found.texts,
        standard_error: found.standard_error,
        by_chance: found.by_chance,
        start_is_as_good: found.start_is_as_good,
        best: found.best().number,
        trials: &found.trials,
    };
    Ok(serde_json::to_string(&report)? + "\n")
}

/// A table of the trials, what is best, and the next command.
pub(super) fn plain(found: &Findings, search: &Search) -> String {
    let mut text = trials(found);
    text.push('\n');
    text.push_str(&verdict(found));
    let best = found.best();
    for (key, value) in &best.overrides {
        text.push_str(&format!("  {key} = {value}\n"));
    }
    text.push_str(&format!(
        "\nnext:\n  {} train --config {} --data {}\n",
        program(),
        quoted(&search.best_config()),
        quoted_source(&search.config().data.source)
    ));
    text
}

fn trials(found: &Findings) -> String {
    let header = [
        "trial",
        "accuracy",
        "macro F1",
        "loss",
        "best epoch",
        "epochs",
        "seconds",
        "state",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for trial in &found.trials {
        let best = trial.best.as_ref();
        let number = match trial.number {
            0 => "0 (start)".to_owned(),
            number => number.to_string(),
        };
        rows.push(vec![
            number,
            percent(best.map(|best| best.accuracy)),
            percent(best.map(|best| best.macro_f1)),
            best.map_or("-".into(), |best| format!("{:.4}", best.loss)),
            best.map_or("-".into(), |best| best.epoch.to_string()),
            format!("{} of {}", trial.epochs, trial.of_epochs),
            format!("{:.0}", trial.seconds),
            state(trial).to_owned(),
        ]);
    }
    table(&rows)
}

/// Whether a trial is better than the starting configuration.
fn verdict(found: &Findings) -> String {
    let best = found.best();
    let texts = grouped(found.texts);
    let (by_chance, complete) = (100.0 * found.by_chance, found.complete);
    let result = best
        .best
        .as_ref()
        .map(|result| value(result, found.metric))
        .unwrap_or_default();
    let head = format!("best: trial {}, validation {result}", best.number);
    let start = found.start().filter(|start| start.number != best.number);
    let Some(start) = start else {
        return format!(
            "{head} ({texts} texts): nothing better than the starting configuration was found\n"
        );
    };
    let of_start = match &start.best {
        Some(result) => value(result, found.metric),
        None => "no result".to_owned(),
    };
    let judgement = match found.start_is_as_good {
        true => format!(
            "the start may be as good: on {texts} texts the best of {complete} equally good trials can look {by_chance:.1} \
             points of accuracy better by chance"
        ),
        false => format!(
            "better than chance explains: on {texts} texts the best of {complete} equally good trials would look up to \
             {by_chance:.1} points of accuracy better"
        ),
    };
    format!(
        "{head}; the starting configuration: {of_start}\n{judgement}\n\nchanged in trial {}:\n",
        best.number
    )
}

/// What trials are compared by, in words.
pub(super) fn value(best: &Best, metric: Metric) -> String {
    match metric {
        Metric::Accuracy => format!("accuracy {:.2} %", 100.0 * best.accuracy),
        Metric::MacroF1 => format!("macro F1 {:.2} %", 100.0 * best.macro_f1),
        Metric::Loss => format!("loss {:.4}", best.loss),
    }
}

/// The changed keys of a trial in short: without the sections.
pub(super) fn changes(trial: &Trial) -> String {
    let changes = trial.overrides.iter().map(|(key, value)| {
        let name = key.split_once('.').map_or(key.as_str(), |(_, name)| name);
        format!("{name} = {value}")
    });
    changes.collect::<Vec<_>>().join(", ")
}
