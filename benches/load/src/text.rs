//! Puts small messages together that arrived in parts. Only for what fits a bound; everything else is checked as it
//! passes.

use std::borrow::Cow;

use crate::reader::Part;

/// Longest message that is put together: the largest payload of a run, and a wide margin for what a server wraps
/// around it.
const MESSAGE_BYTES_MAX: u64 = (16 << 20) + 4096;

/// The beginning of a message whose end has not arrived.
#[derive(Debug, Default, Clone)]
pub(crate) struct Partial {
    bytes: Vec<u8>,
}

impl Partial {
    /// The whole message, when `part` ends it.
    ///
    /// # Errors
    /// The message is too long.
    #[inline]
    pub(crate) fn add<'a>(&mut self, part: Part<'a>) -> Result<Option<Cow<'a, [u8]>>, String> {
        if part.offset == 0 && part.ends_message {
            return Ok(Some(Cow::Borrowed(part.bytes)));
        }
        if part.offset + part.bytes.len() as u64 > MESSAGE_BYTES_MAX {
            return Err(format!("a message longer than {MESSAGE_BYTES_MAX} bytes"));
        }
        self.bytes.extend_from_slice(part.bytes);
        Ok(part.ends_message.then(|| Cow::Owned(std::mem::take(&mut self.bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_a_message() {
        let mut partial = Partial::default();
        let part = |offset, bytes, ends_message| Part { offset, bytes, ends_message };
        assert_eq!(partial.add(part(0, b"whole", true)), Ok(Some(Cow::Borrowed(&b"whole"[..]))));
        assert_eq!(partial.add(part(0, b"in ", false)), Ok(None));
        assert_eq!(
            partial.add(part(3, b"parts", true)),
            Ok(Some(Cow::Owned(b"in parts".to_vec())))
        );
        assert_eq!(partial.add(part(0, b"", true)), Ok(Some(Cow::Borrowed(&b""[..]))));
        assert!(partial.add(part(MESSAGE_BYTES_MAX, b"x", false)).is_err());
    }
}
