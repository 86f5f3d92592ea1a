//! Fields of requests which derived code would read otherwise than the description says.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde_json::Number;
use std::fmt;
use std::marker::PhantomData;

/// An object. Derived code would take a list of its fields as well.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(fields)).map(Some)
        }
    }

    deserializer.deserialize_any(Object(PhantomData))
}

/// One of several names. Derived code would take `{"name": null}` as well.
pub(super) fn choice<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let name = Option::<String>::deserialize(deserializer)?;
    name.map(|name| T::deserialize(name.into_deserializer()))
        .transpose()
}

/// A number of things: JSON has one kind of numbers, and some programs write `1.0`. The largest possible one stands for
/// all that are larger.
pub(super) fn count<'de, D>(deserializer: D) -> Result<Option<usize>, D::Error>
where
    D: Deserializer<'de>,
{
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    if let Some(whole) = number.as_u64() {
        return Ok(Some(usize::try_from(whole).unwrap_or(usize::MAX)));
    }
    match number.as_f64() {
        // The conversion stops at the largest number.
        Some(float) if float >= 0.0 && float.fract() == 0.0 => Ok(Some(float as usize)),
        _ => Err(Error::custom(format!(
            "{number} is not a whole number, or less than 0"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IgnoredAny;
    use serde_json::json;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Name {
        One,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Inner {
        #[serde(default, deserialize_with = "count")]
        n: Option<usize>,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Fields {
        #[serde(default, deserialize_with = "object")]
        inner: Option<Inner>,
        #[serde(default, deserialize_with = "object")]
        any: Option<IgnoredAny>,
        #[serde(default, deserialize_with = "choice")]
        name: Option<Name>,
    }

    #[test]
    fn fields_are_what_the_description_says() {
        let read = |value| serde_path_to_error::deserialize::<_, Fields>(value);
        let n = |value| {
            let fields = read(json!({"inner": {"n": value}}));
            fields.map(|fields| fields.inner.and_then(|inner| inner.n))
        };
        for (value, known) in [
            (json!(null), None),
            (json!(3), Some(3)),
            (json!(3.0), Some(3)),
            (json!(1e30), Some(usize::MAX)),
        ] {
            assert_eq!(n(value).ok(), Some(known));
        }
        for value in [
            json!(1.5),
            json!(-1),
            json!(-1.0),
            json!("1"),
            json!([1]),
            json!({}),
        ] {
            assert_eq!(
                n(value)
                    .map_err(|error| error.path().to_string())
                    .err()
                    .as_deref(),
                Some("inner.n")
            );
        }
        let fields = read(json!({"any": {"a": [1]}, "name": "one", "inner": null}));
        assert!(fields.is_ok_and(|fields| {
            fields.any.is_some() && fields.name == Some(Name::One) && fields.inner.is_none()
        }));
        for wrong in [
            json!({"inner": [null]}),
            json!({"any": [1]}),
            json!({"any": 1}),
            json!({"name": {"one": null}}),
            json!({"name": "two"}),
        ] {
            assert!(read(wrong).is_err());
        }
    }
}
