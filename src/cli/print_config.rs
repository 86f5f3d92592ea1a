//! `birnn train --print-config`: the config of a run, with the reasons for the values that follow from its texts.

use super::device;
use super::progress::Terminal;
use super::run_setup::RunArguments;
use birnn::config::{Config, Folds, InitFrom};
use birnn::recipe::{ClassifierRecipe, Decision};
use std::io::Write;

/// Prints the config. The texts are read if values follow from them.
pub(super) fn print_config(arguments: &RunArguments, config: &Config) -> anyhow::Result<()> {
    let train = &config.train;
    let follows =
        train.init_from == InitFrom::Auto || train.folds == Folds::Auto || train.steps > 0;
    let text = match follows {
        false => config.to_toml()?,
        true => {
            let device = device::open(&arguments.device)?;
            let mut terminal = Terminal::new(None);
            let cache = arguments.data.cache();
            let decided = ClassifierRecipe::decide(config, &cache, &device, &mut terminal);
            terminal.clear();
            let (config, decisions) = decided?;
            with_reasons(&config.to_toml()?, &decisions)
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// A config as TOML with a comment above each value that was decided, or above the first one of several.
fn with_reasons(toml: &str, decisions: &[Decision]) -> String {
    let mut text = String::new();
    let mut section = String::new();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = format!("{}.", name.trim_end_matches(']'));
        }
        let key = line
            .split_once(" = ")
            .map(|(name, _)| format!("{section}{name}"));
        for decision in decisions {
            if decision.keys.first().copied() == key.as_deref() {
                text.push_str(&format!("# {}.\n", decision.reason));
            }
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_above_their_keys() {
        let decision = |keys: &[&'static str], reason: &str| Decision {
            keys: keys.to_vec(),
            reason: reason.to_owned(),
            is_noted: false,
        };
        let decisions = [
            decision(&["train.epochs"], "few texts"),
            decision(&["model.cell", "model.bias"], "as the other model has it"),
        ];
        let toml = "seed = 1\n\n[model]\ncell = \"lstm\"\nbias = true\n\n[train]\nepochs = 3\n\n[pretrain]\nepochs = 4\n";
        let expected = "seed = 1\n\n[model]\n# as the other model has it.\ncell = \"lstm\"\nbias = true\n\n[train]\n\
                        # few texts.\nepochs = 3\n\n[pretrain]\nepochs = 4\n";
        assert_eq!(with_reasons(toml, &decisions), expected);
    }
}
