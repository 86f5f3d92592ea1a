//! Every shipped config can be loaded, and builds a model.

use birnn::config::Config;
use birnn::train::classifier::initial_model;
use candle_core::Device;
use std::path::Path;

#[test]
fn every_shipped_config_builds_a_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let config = Config::from_toml(Some((&path, &text)), &[])
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, parameters) = initial_model(&config, 100, 2, None, &Device::Cpu).unwrap();
        assert!(parameters.count() > 0);
        count += 1;
    }
    assert_eq!(count, 10);
}

/// The textbook's model: embedding 100, 2 x 100 x 2 LSTM, 400 -> 2.
#[test]
fn d2l_is_the_textbooks_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/d2l.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let config = Config::from_toml(Some((&path, &text)), &[]).unwrap();
    let (_, parameters) = initial_model(&config, 1, 2, None, &Device::Cpu).unwrap();
    let layer = |input: usize| 2 * (400 * input + 400 * 100 + 800);
    assert_eq!(
        parameters.count(),
        100 + layer(100) + layer(200) + 2 * 400 + 2
    );
    assert_eq!(config.text.max_tokens, 500);
}
