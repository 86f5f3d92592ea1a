//! What the `datasets` library writes into its files about their columns.

use serde_json::Value;

/// The class names of a column, in the order of its integers. `metadata` is the JSON that the library stores under the
/// key `huggingface`.
pub(super) fn declared_classes(metadata: &str, column: &str) -> Option<Vec<String>> {
    let json: Value = serde_json::from_str(metadata).ok()?;
    let feature = &json["info"]["features"][column];
    // Of a list the feature of its items.
    let names = [
        &feature["names"],
        &feature["feature"]["names"],
        &feature[0]["names"],
    ];
    let names = names.into_iter().find_map(Value::as_array)?;
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}
