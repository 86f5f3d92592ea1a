//! Tensors as pickles describe them: a storage, and how its numbers are arranged.

use super::pickle::{Id, Pickle, Value};
use crate::error::one_line;
use candle_core::{DType, Device, Tensor};

/// Whether a value is a tensor or a parameter, of any kind.
pub(super) fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    let Value::Call(function, _) = pickle.get(id) else {
        return false;
    };
    let Value::Name(module, name) = pickle.get(*function) else {
        return false;
    };
    matches!(*module, "torch._utils" | "torch._tensor") && name.starts_with("_rebuild")
}

/// Reads a tensor, where `storage` returns the bytes of a storage.
///
/// # Errors
/// The problem, for a kind or type that Candle does not have, or a description that is damaged.
pub(super) fn tensor<'b>(
    pickle: &Pickle,
    id: Id,
    storage: &dyn Fn(&str) -> Result<&'b [u8], String>,
    device: &Device,
) -> Result<Tensor, String> {
    let damaged = || "its description is damaged".to_owned();
    let arguments = dense(pickle, id)?;
    let list = |id: &Id| match pickle.get(*id) {
        Value::List(items) => Some(items.as_slice()),
        _ => None,
    };
    let number = |id: &Id| match pickle.get(*id) {
        Value::Integer(number) => usize::try_from(*number).ok(),
        _ => None,
    };
    let numbers = |id: &Id| list(id)?.iter().map(number).collect::<Option<Vec<_>>>();
    let [of_storage, offset, shape, strides, ..] = arguments else {
        return Err(damaged());
    };
    let (dtype, key) = described(pickle, *of_storage)?;
    let offset = number(offset).ok_or_else(damaged)?;
    let shape = numbers(shape).ok_or_else(damaged)?;
    let strides = numbers(strides).ok_or_else(damaged)?;
    let bytes = storage(key)?;
    let size = dtype.size_in_bytes();
    let found = bytes.len() / size;
    let count = shape
        .iter()
        .try_fold(1usize, |count, &size| count.checked_mul(size))
        .filter(|_| strides.len() == shape.len())
        .ok_or_else(damaged)?;
    if count > found {
        return Err(match strides.contains(&0) {
            true => format!("it repeats its {found} stored numbers"),
            false => format!("shape {shape:?}, but only {found} stored numbers"),
        });
    }
    let numbers = arranged(bytes, size, offset, &shape, &strides).ok_or_else(damaged)?;
    Tensor::from_raw_buffer(&numbers, dtype, &shape, device).map_err(|error| error.to_string())
}

/// The arguments of the function that rebuilds the dense tensor within parameters and the like.
fn dense<'p>(pickle: &'p Pickle, mut id: Id) -> Result<&'p [Id], String> {
    // A parameter is made from a tensor, which may be of a class of its own.
    for _ in 0..4 {
        let Value::Call(function, arguments) = pickle.get(id) else {
            break;
        };
        let (Value::Name(_, name), Value::List(arguments)) =
            (pickle.get(*function), pickle.get(*arguments))
        else {
            break;
        };
        match (*name, &arguments[..]) {
            ("_rebuild_tensor_v2", arguments) => return Ok(arguments),
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", [tensor, ..]) => id = *tensor,
            ("_rebuild_from_type_v2", [function, _, arguments, ..]) => {
                return match (pickle.get(*function), pickle.get(*arguments)) {
                    (Value::Name(_, "_rebuild_tensor_v2"), Value::List(arguments)) => Ok(arguments),
                    _ => Err("it is of a special kind".to_owned()),
                };
            }
            (name, _) => {
                return Err(format!(
                    "it is of a special kind, made by {}",
                    one_line(name)
                ));
            }
        }
    }
    Err("its description is damaged".to_owned())
}

/// The type of a storage, and the name of its file.
fn described<'p>(pickle: &Pickle<'p>, id: Id) -> Result<(DType, &'p str), String> {
    let damaged = || "its description is damaged".to_owned();
    let Value::Elsewhere(identification) = pickle.get(id) else {
        return Err(damaged());
    };
    let Value::List(parts) = pickle.get(*identification) else {
        return Err(damaged());
    };
    let [_, kind, key, ..] = parts[..] else {
        return Err(damaged());
    };
    let (&Value::Name(_, kind), &Value::Text(key)) = (pickle.get(kind), pickle.get(key)) else {
        return Err(damaged());
    };
    let dtype = match kind {
        "FloatStorage" => DType::F32,
        "DoubleStorage" => DType::F64,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        // True and false become 1 and 0.
        "ByteStorage" | "BoolStorage" => DType::U8,
        "ShortStorage" => DType::I16,
        "IntStorage" => DType::I32,
        "LongStorage" => DType::I64,
        other => {
            let kind = one_line(other.trim_end_matches("Storage"));
            return Err(format!("its type, {kind}, is not supported"));
        }
    };
    Ok((dtype, key))
}

/// The bytes of the numbers in the order of the shape; `None` if one of them is not in the storage.
fn arranged(
    storage: &[u8],
    size: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
) -> Option<Vec<u8>> {
    if shape.contains(&0) {
        return Some(Vec::new());
    }
    // The last number, and with it every other one.
    let last = (shape.iter().zip(strides)).try_fold(offset, |last, (size, stride)| {
        last.checked_add((size - 1).checked_mul(*stride)?)
    })?;
    storage.get(last.checked_mul(size)?..last.checked_add(1)?.checked_mul(size)?)?;
    let (count, mut expected) = (shape.iter().product::<usize>(), 1);
    let is_contiguous = shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected *= size;
        fits
    });
    if is_contiguous {
        return Some(storage[offset * size..(offset + count) * size].to_vec());
    }
    let mut numbers = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let place: usize = index
            .iter()
            .zip(strides)
            .map(|(i, stride)| i * stride)
            .sum();
        let start = (offset + place) * size;
        numbers.extend_from_slice(&storage[start..start + size]);
        for (i, &size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    Some(numbers)
}
