//! Settings that are a table, or `true` for its defaults, or `false`.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Reads one; `None` when it is off. `expecting` says what may stand there.
///
/// # Errors
/// The deserializer's, with the place of what is wrong.
pub(super) fn switch_or_table<'de, T, D>(
    deserializer: D,
    expecting: &'static str,
) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    struct Either<T>(&'static str, PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Either<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_bool<E>(self, on: bool) -> Result<Option<T>, E> {
            Ok(on.then(T::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(Either(expecting, PhantomData))
}
