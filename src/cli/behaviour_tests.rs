//! Behaviour tests, for the commands that run them.

use super::progress::Terminal;
use anyhow::Context;
use birnn::data::{DownloadProgress, Split};
use birnn::inference::{BehaviourReport, BehaviourSuite, Ensemble, Predictor, check_behaviour};
use birnn::recipe::grouped;
use std::path::Path;

/// The tests of a file, or those of this program; their classes are those of the models.
pub(super) fn suite(tests: Option<&Path>, models: &[Ensemble]) -> anyhow::Result<BehaviourSuite> {
    let suite = match tests {
        Some(path) => BehaviourSuite::read(path)?,
        None => BehaviourSuite::shipped()?,
    };
    for model in models {
        suite
            .check_classes(model.labels())
            .context("give tests with the classes of the model")?;
    }
    Ok(suite)
}

/// What the model makes of the tests; what is left out is said.
pub(super) fn found(
    model: &Ensemble,
    suite: &BehaviourSuite,
    data: &[&str],
    terminal: &mut Terminal,
) -> anyhow::Result<BehaviourReport> {
    let report = check_behaviour(model, suite, data, terminal)?;
    let report = report.context("the tests were stopped")?;
    if report.skipped > 0 {
        terminal.note(&format!(
            "{} tests are left out: they change texts of --data",
            report.skipped
        ));
    }
    let left_out: u64 = report.tests.iter().map(|test| test.left_out).sum();
    if left_out > 0 {
        terminal.note(&format!(
            "{} texts of templates are left out: of each row at most 2,000 are made",
            grouped(left_out as usize)
        ));
    }
    Ok(report)
}

/// Some texts of a split, evenly chosen.
pub(super) fn some_texts<'a>(
    split: &'a Split,
    most: usize,
    terminal: &mut Terminal,
) -> Vec<&'a str> {
    let records = &split.records;
    let number = most.min(records.len());
    if number < records.len() {
        terminal.note(&format!(
            "{} of {} texts are changed, evenly chosen ones",
            grouped(number),
            grouped(records.len())
        ));
    }
    (0..number)
        .map(|index| records[index * records.len() / number].text.as_str())
        .collect()
}
