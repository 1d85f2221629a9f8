//! The shape of a request: which fields stand in the JSON, each as it was written. Owns one pass over the text, never a
//! rule about what the fields may contain.
//!
//! A field of the wrong type does not end the pass: what stands after it (the `id` above all) belongs in the answer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::error::ProtocolError;
use super::error_code::ErrorCode;
use crate::digits::Listed;

/// A field that should have a certain type.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Field<T> {
    /// Not there, or `null`.
    #[default]
    Absent,
    /// There, of the wrong type.
    IllTyped,
    /// There.
    Given(T),
}

impl<T> Field<T> {
    /// The value, if it is there and of the right type.
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::IllTyped => None,
        }
    }
}

/// Fields that `data` may have at the most.
const DATA_FIELDS_MAX: usize = 8;

/// All known fields of a request, both levels.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) action: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    /// Whether `data` is there and an object.
    pub(super) data: Field<()>,
    /// The fields of `data`, in the order of their names.
    of_data: [Option<&'a RawValue>; DATA_FIELDS_MAX],
    data_fields: &'static [&'static str],
    /// One bit for each known field that was there, `null` or not.
    seen: u16,
    /// The first known field that was there twice.
    pub(super) twice: Option<String>,
}

impl<'a> Envelope<'a> {
    /// The field of `data` at that place among the names.
    pub(super) fn data(&self, place: usize) -> Option<&'a RawValue> {
        self.of_data.get(place).copied().flatten()
    }
}

/// Reads the fields of `text`, and of its `data` those with the names `data_fields`.
///
/// # Errors
///
/// [`ErrorCode::InvalidJson`] and, for JSON that is no object, [`ErrorCode::InvalidRequest`].
pub(super) fn read<'a, const N: usize>(
    text: &'a str,
    data_fields: &'static [&'static str; N],
) -> Result<Envelope<'a>, ProtocolError<'static>> {
    const { assert!(N <= DATA_FIELDS_MAX) };
    let mut envelope = Envelope {
        action: None,
        id: None,
        data: Field::Absent,
        of_data: [None; DATA_FIELDS_MAX],
        data_fields,
        seen: 0,
        twice: None,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let outcome =
        ObjectSeed { level: Level::Request, envelope: &mut envelope }.deserialize(&mut json);
    match outcome.and_then(|shape| json.end().map(|()| shape)) {
        Ok(Field::Given(())) => Ok(envelope),
        Ok(Field::Absent | Field::IllTyped) => Err(ProtocolError {
            sentence: Cow::Borrowed("The message must be a JSON object."),
            ..ProtocolError::new(ErrorCode::InvalidRequest)
        }),
        Err(error) => Err(ProtocolError {
            sentence: match error.classify() {
                Category::Eof => Cow::Borrowed("Not valid JSON: it ends too early."),
                Category::Syntax | Category::Data | Category::Io => Cow::Owned(format!(
                    "Not valid JSON at line {}, column {}.",
                    error.line(),
                    error.column()
                )),
            },
            ..ProtocolError::new(ErrorCode::InvalidJson)
        }),
    }
}

/// The ids in the JSON text of `recipients`, sorted, each once; `IllTyped` if it is not an array of whole numbers
/// from 0 to 2^64 - 1, or of their digits as texts.
///
/// # Errors
///
/// [`ErrorCode::TooManyRecipients`] if there are more than `recipients_max`, of which no more than that are ever held.
pub(super) fn read_recipients(
    json: &RawValue,
    recipients_max: usize,
) -> Result<Field<Vec<u64>>, ErrorCode> {
    if json.get() == "null" {
        return Ok(Field::Absent);
    }
    let mut too_many = false;
    let visitor = IdsVisitor { recipients_max, too_many: &mut too_many };
    match serde_json::Deserializer::from_str(json.get()).deserialize_seq(visitor) {
        Ok(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            Ok(Field::Given(ids))
        }
        Err(_) if too_many => Err(ErrorCode::TooManyRecipients),
        Err(_) => Ok(Field::IllTyped),
    }
}

/// A field that should be a string. A string with half of a surrogate pair is no text, so ill-typed.
pub(super) fn text_of(field: Option<&RawValue>) -> Field<Cow<'_, str>> {
    let Some(json) = field.map(RawValue::get).filter(|json| *json != "null") else {
        return Field::Absent;
    };
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => Field::IllTyped,
        Some(plain) if !plain.contains('\\') => Field::Given(Cow::Borrowed(plain)),
        Some(_) => match serde_json::from_str(json) {
            Ok(text) => Field::Given(Cow::Owned(text)),
            Err(_) => Field::IllTyped,
        },
    }
}

/// The two objects of a request.
#[derive(Clone, Copy)]
enum Level {
    Request,
    Data,
}

/// Reads one of the two objects into the envelope; any other value is passed over and reported by its [`Field`].
struct ObjectSeed<'e, 'a> {
    level: Level,
    envelope: &'e mut Envelope<'a>,
}

impl<'a> ObjectSeed<'_, 'a> {
    /// Reads the value of the field `name` and whether it was there before.
    fn field<M: MapAccess<'a>>(&mut self, name: Name, map: &mut M) -> Result<(), M::Error> {
        let envelope = &mut *self.envelope;
        let (bit, path) = match name {
            Name::Action => {
                envelope.action = Some(map.next_value()?);
                (0, "action")
            }
            Name::Id => {
                envelope.id = Some(map.next_value()?);
                (1, "id")
            }
            Name::Data => {
                let data = ObjectSeed { level: Level::Data, envelope };
                self.envelope.data = map.next_value_seed(data)?;
                (2, "data")
            }
            Name::OfData(place) => {
                let value = map.next_value()?;
                if let Some(field) = envelope.of_data.get_mut(place) {
                    *field = Some(value);
                }
                (3 + place, envelope.data_fields.get(place).copied().unwrap_or_default())
            }
            Name::Other => {
                map.next_value::<IgnoredAny>()?;
                return Ok(());
            }
        };
        let envelope = &mut *self.envelope;
        if envelope.seen & (1 << bit) != 0 && envelope.twice.is_none() {
            envelope.twice = Some(match self.level {
                Level::Request => path.to_owned(),
                Level::Data => format!("data.{path}"),
            });
        }
        envelope.seen |= 1 << bit;
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for ObjectSeed<'_, 'a> {
    type Value = Field<()>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ObjectSeed<'_, 'a> {
    type Value = Field<()>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<M: MapAccess<'a>>(mut self, mut map: M) -> Result<Self::Value, M::Error> {
        while let Some(name) = map.next_key_seed(NameSeed(self.level, self.envelope.data_fields))? {
            self.field(name, &mut map)?;
        }
        Ok(Field::Given(()))
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::IllTyped)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::IllTyped)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Field::IllTyped)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Field::IllTyped)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::IllTyped)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Field::IllTyped)
    }
}

/// The names of the fields.
#[derive(Clone, Copy)]
enum Name {
    Action,
    Id,
    Data,
    /// The field of `data` at this place among the names.
    OfData(usize),
    Other,
}

/// Reads the name of a field at a level; the names of the other level mean nothing there.
struct NameSeed(Level, &'static [&'static str]);

impl<'a> DeserializeSeed<'a> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match (self.0, name) {
            (Level::Request, "action") => Name::Action,
            (Level::Request, "id") => Name::Id,
            (Level::Request, "data") => Name::Data,
            (Level::Request, _) => Name::Other,
            (Level::Data, name) => {
                self.1.iter().position(|field| *field == name).map_or(Name::Other, Name::OfData)
            }
        })
    }
}

/// Reads an array of ids and stops at the first one too many.
struct IdsVisitor<'t> {
    recipients_max: usize,
    too_many: &'t mut bool,
}

impl<'a> Visitor<'a> for IdsVisitor<'_> {
    type Value = Vec<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of connection ids")
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<Vec<u64>, S::Error> {
        let mut ids = Vec::new();
        while let Some(Listed(id)) = seq.next_element()? {
            if ids.len() == self.recipients_max {
                *self.too_many = true;
                return Err(serde::de::Error::custom("too many"));
            }
            ids.push(id);
        }
        Ok(ids)
    }
}
