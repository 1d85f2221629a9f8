//! What a close frame may say (RFC 6455, sections 5.5.1 and 7.4).
//!
//! Owns the reading of its payload; when one is sent and answered is the session's business.

pub use tungstenite::protocol::frame::coding::CloseCode;

use crate::error::SessionError;

/// 1014, "bad gateway": registered with IANA after RFC 6455 was written, and unknown to tungstenite's list.
const BAD_GATEWAY: u16 = 1014;

/// Whether `code` may stand in a close frame.
///
/// 1000 to 1003, 1007 to 1014 and 3000 to 4999; the others are reserved, unassigned or for local use only.
pub fn is_sendable(code: CloseCode) -> bool {
    code.is_allowed() || u16::from(code) == BAD_GATEWAY
}

/// Reads the payload of a close frame: nothing, or a code and a reason.
///
/// # Errors
/// - [`SessionError::ClosePayload`] (1002) when there is one byte, which is half a code;
/// - [`SessionError::CloseCode`] (1002) when the code may not be sent;
/// - [`SessionError::CloseReason`] (1007) when the reason is not UTF-8.
pub fn parse_close(payload: &[u8]) -> Result<Option<(CloseCode, &str)>, SessionError> {
    let Some((&code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(SessionError::ClosePayload) };
    };
    let code = u16::from_be_bytes(code);
    if !is_sendable(CloseCode::from(code)) {
        return Err(SessionError::CloseCode(code));
    }
    let reason = str::from_utf8(reason).map_err(|_| SessionError::CloseReason)?;
    Ok(Some((CloseCode::from(code), reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_judged_as_the_registry_says() {
        for code in 0..=u16::MAX {
            let expected = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert_eq!(is_sendable(CloseCode::from(code)), expected, "{code}");
        }
    }

    #[test]
    fn payloads_are_nothing_or_a_code_with_a_reason() {
        type Said = Result<Option<(CloseCode, &'static str)>, SessionError>;
        let table: [(&[u8], Said); 7] = [
            (b"", Ok(None)),
            (b"\x03", Err(SessionError::ClosePayload)),
            (b"\x03\xe9", Ok(Some((CloseCode::Away, "")))),
            (b"\x03\xe8so long", Ok(Some((CloseCode::Normal, "so long")))),
            (b"\x03\xe8\xff", Err(SessionError::CloseReason)),
            (b"\x03\xe8\xe2\x82", Err(SessionError::CloseReason)),
            (b"\x03\xed", Err(SessionError::CloseCode(1005))),
        ];
        for (payload, expected) in table {
            assert_eq!(parse_close(payload), expected, "{payload:?}");
        }
    }
}
