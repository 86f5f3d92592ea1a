//! Columns whose values are in a dictionary. An Arrow file holds one dictionary a column for all rows, while Parquet and
//! Arrow streams have one for each batch; so in Arrow files these columns become plain ones.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};

/// The field with the type of the dictionary's values, if it has a dictionary.
fn plain_field(field: &FieldRef) -> Option<Field> {
    match field.data_type() {
        DataType::Dictionary(_, values) => {
            let plain = Field::new(field.name(), (**values).clone(), field.is_nullable());
            Some(plain.with_metadata(field.metadata().clone()))
        }
        _ => None,
    }
}

/// The column with its values in place of the entries of a dictionary.
pub(super) fn plain_column(column: ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !matches!(column.data_type(), DataType::Dictionary(..)) {
        return Ok(column);
    }
    let dictionary = column.as_any_dictionary();
    arrow_select::take::take(dictionary.values().as_ref(), dictionary.keys(), None)
}

/// The line about columns that were written without their dictionaries.
pub(super) fn note(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let quoted = quoted.join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!(
            "the categories of {quoted} are written as plain values"
        )),
        _ => Some(format!(
            "the categories of the columns {quoted} are written as plain values"
        )),
    }
}

/// Fields of which those with a dictionary are plain, and the names of these.
pub(super) fn plain_fields(fields: Vec<FieldRef>) -> (Vec<FieldRef>, Vec<String>) {
    let mut names = Vec::new();
    let plain = fields.into_iter().map(|field| match plain_field(&field) {
        Some(plain) => {
            names.push(plain.name().clone());
            Arc::new(plain)
        }
        None => field,
    });
    (plain.collect(), names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::DictionaryArray;
    use arrow_array::types::Int8Type;

    #[test]
    fn entries_become_values() {
        let column: DictionaryArray<Int8Type> = vec![Some("b"), None, Some("a"), Some("b")]
            .into_iter()
            .collect();
        let field = Arc::new(Field::new("kind", column.data_type().clone(), true));
        let (fields, names) = plain_fields(vec![field]);
        assert_eq!(fields[0].data_type(), &DataType::Utf8);
        assert_eq!(
            note(&names).unwrap(),
            "the categories of \"kind\" are written as plain values"
        );
        let plain = plain_column(Arc::new(column)).unwrap();
        let values: Vec<Option<&str>> = plain.as_string::<i32>().iter().collect();
        assert_eq!(values, [Some("b"), None, Some("a"), Some("b")]);
    }
}
