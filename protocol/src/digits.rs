//! Whole numbers of JSON that callers may also write as texts of digits: a shell's arguments and what is read from Redis are
//! texts, and a number that is an id to its writer is not calculated with.
//!
//! Owns what is such a number, and the words for what is none. It says nothing about what a number means.

use std::{fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Of what is no number, how many characters a sentence repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// A whole number or `null`, of the field with this name.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    json: D,
    field: &'static str,
) -> Result<Option<T>, D::Error> {
    json.deserialize_any(Digits { field, may_be_null: true, of: PhantomData })
}

/// A whole number, of the field with this name.
pub(crate) fn required<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    json: D,
    field: &'static str,
) -> Result<T, D::Error> {
    let number = json.deserialize_any(Digits { field, may_be_null: false, of: PhantomData })?;
    number.ok_or_else(|| D::Error::custom(format_args!("the field \"{field}\" is missing")))
}

/// A number in a list.
#[derive(Debug)]
pub(crate) struct Listed(pub(crate) u64);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        required(json, "").map(Self)
    }
}

/// Reads one.
struct Digits<T> {
    field: &'static str,
    may_be_null: bool,
    of: PhantomData<T>,
}

impl<T: TryFrom<u64>> Digits<T> {
    fn read<E: Error>(
        &self,
        number: Option<u64>,
        found: impl fmt::Display,
    ) -> Result<Option<T>, E> {
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.refuse(found)),
        }
    }

    fn refuse<E: Error>(&self, found: impl fmt::Display) -> E {
        let Self { field, .. } = self;
        let bits = 8 * size_of::<T>();
        let largest = u64::MAX >> (64 - bits.clamp(1, 64));
        E::custom(format_args!(
            "the field \"{field}\" is no whole number from 0 to {largest}, or its digits as a text: {found}"
        ))
    }
}

impl<'de, T: TryFrom<u64>> Visitor<'de> for Digits<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number, or its digits as a text, in the field \"{}\"", self.field)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.read(Some(number), number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.read(number.try_into().ok(), number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Err(self.refuse(number))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Err(self.refuse(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        if self.may_be_null { Ok(None) } else { Err(self.refuse("null")) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        // Not all that `parse` takes: a sign is no digit.
        let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_digits);
        let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        self.read(number, format_args!("{shown:?}"))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.refuse("an object"))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.refuse("an array"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(json: &str) -> Result<Option<u64>, String> {
        optional(&mut serde_json::Deserializer::from_str(json), "a")
            .map_err(|error| error.to_string())
    }

    fn narrow(json: &str) -> Result<u16, String> {
        required(&mut serde_json::Deserializer::from_str(json), "a")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_is_a_number_or_its_digits() {
        for (json, expected) in [
            ("0", Some(0)),
            ("\"0\"", Some(0)),
            ("1827364518273645", Some(1_827_364_518_273_645)),
            ("\"1827364518273645\"", Some(1_827_364_518_273_645)),
            ("\"\\u0037\"", Some(7)),
            ("\"007\"", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("\"18446744073709551615\"", Some(u64::MAX)),
            ("null", None),
        ] {
            assert_eq!(wide(json), Ok(expected), "{json}");
        }
        for json in ["65535", "\"65535\""] {
            assert_eq!(narrow(json), Ok(u16::MAX), "{json}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_plain_words() {
        let largest = u64::MAX.to_string();
        for (json, found) in [
            ("-1", "-1"),
            ("1.5", "1.5"),
            ("true", "true"),
            ("{}", "an object"),
            ("[7]", "an array"),
            ("\"\"", "\"\""),
            ("\" 7\"", "\" 7\""),
            ("\"+7\"", "\"+7\""),
            ("\"-7\"", "\"-7\""),
            ("\"7.0\"", "\"7.0\""),
            ("\"0x7\"", "\"0x7\""),
            ("\"٧\"", "\"٧\""),
            ("\"seven\\n\"", "\"seven\\n\""),
            ("\"18446744073709551616\"", "\"18446744073709551616\""),
        ] {
            let refused = wide(json).unwrap_err();
            let words = format!(
                "the field \"a\" is no whole number from 0 to {largest}, or its digits as a text: {found}"
            );
            assert!(refused.starts_with(&words), "{json}: {refused}");
        }
        for json in ["65536", "\"65536\"", "null"] {
            let refused = narrow(json).unwrap_err();
            assert!(refused.contains("from 0 to 65535"), "{json}: {refused}");
        }
        assert!(wide(&format!("\"{}\"", "é".repeat(10_000))).unwrap_err().len() < 300);
    }
}
