//! The keys of a config.

use birnn::config::Config;
use pyo3::prelude::*;
use serde_json::Value;

/// All keys of a classifier's config, as `train.epochs`.
#[pyfunction]
pub(crate) fn config_keys() -> Vec<String> {
    fn collect(prefix: &str, value: &Value, keys: &mut Vec<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let key = format!("{prefix}{name}");
            match value {
                // An empty one is a key whose value is a map, such as data.label_map.
                Value::Object(section) if !section.is_empty() => {
                    collect(&format!("{key}."), value, keys)
                }
                _ => keys.push(key),
            }
        }
    }
    let mut keys = Vec::new();
    let config = serde_json::to_value(Config::default()).unwrap_or_default();
    collect("", &config, &mut keys);
    keys.retain(|key| !key.starts_with("pretrain."));
    keys
}
