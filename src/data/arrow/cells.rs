//! Texts and labels in Arrow's arrays.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// The text in a row, `None` for null, or what else the column holds.
pub(in crate::data) fn text_at(
    array: &ArrayRef,
    row: usize,
) -> Result<Option<Cow<'_, str>>, String> {
    let array = array.as_ref();
    if array.is_null(row) {
        return Ok(None);
    }
    let text = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        DataType::Utf8View => array.as_string_view().value(row),
        DataType::Dictionary(..) => return of_dictionary(array, row),
        DataType::Null => return Ok(None),
        other => return Err(format!("holds {other} and no strings")),
    };
    Ok(Some(Cow::Borrowed(text)))
}

/// The text to which a dictionary refers in a row.
fn of_dictionary(array: &dyn Array, row: usize) -> Result<Option<Cow<'_, str>>, String> {
    match entry(array, row) {
        Some(key) => text_at(array.as_any_dictionary().values(), key),
        None => Ok(None),
    }
}

/// The entry of a dictionary to which a row refers; `None` for null.
pub(super) fn entry(array: &dyn Array, row: usize) -> Option<usize> {
    let dictionary = array.as_any_dictionary();
    if array.is_null(row) {
        return None;
    }
    number_at(dictionary.keys(), row)?
        .parse()
        .ok()
        .filter(|key| *key < dictionary.values().len())
}

/// The labels in a row as text: of a list all of them, `None` for null; or what else the column holds.
pub(in crate::data) fn labels_at(
    array: &ArrayRef,
    row: usize,
) -> Result<Option<Vec<String>>, String> {
    if array.is_null(row) {
        return Ok(None);
    }
    let list = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().value(row),
        _ => return Ok(word_at(array, row)?.map(|word| vec![word])),
    };
    let words = (0..list.len()).map(|item| word_at(&list, item));
    let words: Result<Vec<Option<String>>, String> = words.collect();
    // An empty text means that there is no label, which is refused in a list.
    let words = words?.into_iter().map(Option::unwrap_or_default);
    Ok(Some(words.collect()))
}

/// A string, a number or a truth value as text.
fn word_at(array: &ArrayRef, row: usize) -> Result<Option<String>, String> {
    if array.is_null(row) {
        return Ok(None);
    }
    if matches!(array.data_type(), DataType::Dictionary(..)) {
        return match entry(array.as_ref(), row) {
            Some(key) => word_at(array.as_any_dictionary().values(), key),
            None => Ok(None),
        };
    }
    if *array.data_type() == DataType::Boolean {
        return Ok(Some(array.as_boolean().value(row).to_string()));
    }
    match number_at(array.as_ref(), row) {
        Some(number) => Ok(Some(number)),
        None => Ok(text_at(array, row)?.map(Cow::into_owned)),
    }
}

/// A number as text; `None` if the array holds none.
fn number_at(array: &dyn Array, row: usize) -> Option<String> {
    macro_rules! of {
        ($($kind:ident $type:ty),*) => {
            match array.data_type() {
                $(DataType::$kind => Some(array.as_primitive::<$type>().value(row).to_string()),)*
                DataType::Decimal128(..) => Some(array.as_primitive::<Decimal128Type>().value_as_string(row)),
                _ => None,
            }
        };
    }
    of!(
        Int8 Int8Type, Int16 Int16Type, Int32 Int32Type, Int64 Int64Type, UInt8 UInt8Type, UInt16 UInt16Type,
        UInt32 UInt32Type, UInt64 UInt64Type, Float16 Float16Type, Float32 Float32Type, Float64 Float64Type
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int32Type;
    use arrow_array::{
        BooleanArray, DictionaryArray, Float64Array, ListArray, StringArray, StringViewArray,
    };
    use std::sync::Arc;

    #[test]
    fn texts_are_read_from_every_kind_of_strings() {
        let arrays: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec![Some("a"), None])),
            Arc::new(StringViewArray::from(vec![Some("a"), None])),
            Arc::new(
                [Some("a"), None]
                    .into_iter()
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
        ];
        for array in arrays {
            assert_eq!(
                text_at(&array, 0).unwrap().as_deref(),
                Some("a"),
                "{:?}",
                array.data_type()
            );
            assert_eq!(text_at(&array, 1).unwrap(), None);
        }
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        assert_eq!(
            text_at(&numbers, 0).unwrap_err(),
            "holds Float64 and no strings"
        );
    }

    #[test]
    fn labels_are_words_or_lists_of_words() {
        let labels = |array: ArrayRef, row| labels_at(&array, row).unwrap();
        let words = |words: &[&str]| {
            Some(
                words
                    .iter()
                    .map(|&word| word.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            labels(Arc::new(Float64Array::from(vec![5.0])), 0),
            words(&["5"])
        );
        assert_eq!(
            labels(Arc::new(BooleanArray::from(vec![true])), 0),
            words(&["true"])
        );
        let list = || {
            let lists = [Some(vec![Some(1), Some(2)]), None, Some(vec![])];
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))
        };
        assert_eq!(labels(list(), 0), words(&["1", "2"]));
        assert_eq!((labels(list(), 1), labels(list(), 2)), (None, words(&[])));
    }
}
