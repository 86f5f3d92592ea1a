//! Arrow's values as JSON, for formats that are text.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use serde_json::{Map, Number, Value};

use super::cells::entry;
use super::text_at;

/// A value as JSON: dates and times as ISO 8601 writes them, numbers that are not finite as null.
///
/// # Errors
/// The name of a type that has no such form.
pub(in crate::data) fn json_at(array: &ArrayRef, row: usize) -> Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    macro_rules! number {
        ($type:ty) => {
            Value::from(array.as_primitive::<$type>().value(row))
        };
    }
    macro_rules! time {
        ($type:ty) => {
            match array.as_primitive::<$type>().value_as_datetime(row) {
                Some(time) => Value::from(time.format("%Y-%m-%dT%H:%M:%S%.f").to_string()),
                None => Value::Null,
            }
        };
    }
    macro_rules! date {
        ($type:ty) => {
            match array.as_primitive::<$type>().value_as_date(row) {
                Some(date) => Value::from(date.to_string()),
                None => Value::Null,
            }
        };
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => Value::from(array.as_primitive::<Float16Type>().value(row).to_f64()),
        DataType::Float32 => shortest(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => number!(Float64Type),
        DataType::Decimal128(..) => {
            Value::from(array.as_primitive::<Decimal128Type>().value_as_string(row))
        }
        DataType::Decimal256(..) => {
            Value::from(array.as_primitive::<Decimal256Type>().value_as_string(row))
        }
        DataType::Date32 => date!(Date32Type),
        DataType::Date64 => date!(Date64Type),
        DataType::Timestamp(unit, zone) => {
            let time = match unit {
                TimeUnit::Second => time!(TimestampSecondType),
                TimeUnit::Millisecond => time!(TimestampMillisecondType),
                TimeUnit::Microsecond => time!(TimestampMicrosecondType),
                TimeUnit::Nanosecond => time!(TimestampNanosecondType),
            };
            // With a zone the number is one of coordinated universal time.
            match (time, zone) {
                (Value::String(time), Some(_)) => Value::from(time + "Z"),
                (time, _) => time,
            }
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row))?,
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let values = fields.iter().zip(columns.columns());
            let values: Result<Map<String, Value>, String> = values
                .map(|(field, column)| Ok((field.name().clone(), json_at(column, row)?)))
                .collect();
            Value::Object(values?)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            text_at(array, row)?.map_or(Value::Null, |text| Value::from(text.into_owned()))
        }
        DataType::Dictionary(..) => match entry(array.as_ref(), row) {
            Some(key) => json_at(array.as_any_dictionary().values(), key)?,
            None => Value::Null,
        },
        other => return Err(other.to_string()),
    })
}

/// A number in its shortest form, not with the digits that its double has.
fn shortest(value: f32) -> Value {
    let number: Option<Number> = serde_json::from_str(&value.to_string()).ok();
    number.map_or(Value::Null, Value::Number)
}

fn list(items: &ArrayRef) -> Result<Value, String> {
    (0..items.len()).map(|item| json_at(items, item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        Date32Array, Float32Array, ListArray, StructArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    #[test]
    fn values_are_written_as_json_has_them() {
        let json = |array: ArrayRef| json_at(&array, 0).unwrap().to_string();
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
        assert_eq!(json(Arc::new(list)), "[1,null]");
        assert_eq!(json(Arc::new(Float32Array::from(vec![0.1]))), "0.1");
        assert_eq!(json(Arc::new(Float32Array::from(vec![f32::NAN]))), "null");
        assert_eq!(
            json(Arc::new(Date32Array::from(vec![19_000]))),
            "\"2022-01-08\""
        );
        let time = TimestampMicrosecondArray::from(vec![1_500_000]);
        assert_eq!(json(Arc::new(time.clone())), "\"1970-01-01T00:00:01.500\"");
        assert_eq!(
            json(Arc::new(time.with_timezone("+00:00"))),
            "\"1970-01-01T00:00:01.500Z\""
        );
        let numbers: ArrayRef = Arc::new(Float32Array::from(vec![2.5]));
        let field = arrow_schema::Field::new("a", DataType::Float32, false);
        assert_eq!(
            json(Arc::new(StructArray::from(vec![(
                Arc::new(field),
                numbers
            )]))),
            "{\"a\":2.5}"
        );
    }
}
