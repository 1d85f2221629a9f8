//! The client's own mark on a request. Owns how it is read, never what an answer does with it.

use serde_json::value::RawValue;

use super::error_code::Problem;

/// The client's own mark on a request: a JSON string or number, kept as the text it was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// Reads the field `id`, if there is one. Its text may have `bytes_max` bytes.
    pub(super) fn read(
        field: Option<&'a RawValue>,
        bytes_max: usize,
    ) -> Result<Option<Self>, Problem> {
        let Some(id) = field.map(RawValue::get).filter(|json| *json != "null") else {
            return Ok(None);
        };
        if !id.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit()) {
            return Err(Problem::invalid("The field \"id\" must be a string or a number."));
        }
        if id.len() > bytes_max {
            return Err(Problem::invalid(format!(
                "The field \"id\" is longer than {bytes_max} bytes."
            )));
        }
        Ok(Some(Self(id)))
    }

    /// The JSON text, as the client wrote it.
    pub const fn as_json(self) -> &'a str {
        self.0
    }
}
