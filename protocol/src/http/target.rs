//! The request target and what is inside it: its forms, its host, its path and its query.
//!
//! Owns the rules of RFC 9112 3.2 and the percent-decoding of RFC 3986 2.1. It decodes once and only when asked; it never
//! resolves a path to anything.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::error::HttpError;

/// Longest request target in bytes: the 8,000 octets that RFC 9112 3 asks for, rounded up. Beyond: 414.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Longest query parameter without a `=`, and longest segment of a path, that a log may show: longer ones may be tokens. A
/// connection id is no longer.
const BARE_PARAMETER_BYTES_MAX: usize = 16;

/// Decodes the path of a target, once: `/a%20b` is `/a b`, and `/a%2520b` is `/a%20b`.
///
/// `None`, which should be answered with 400, for a path that has
/// - a broken escape, or bytes that are not UTF-8 once decoded;
/// - `%00` or another escaped control character: it would cut a file name or a log line;
/// - `%2F`, or a `\` in any spelling: decoded they would be separators that the router did not see;
/// - a segment `.` or `..` in any spelling: clients resolve those before they send (RFC 3986 5.2.4), attackers do not.
#[must_use]
pub fn decode_path(path: &str) -> Option<String> {
    let decoded = decode(path, Plus::Literal)?;
    let separators = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'/').count();
    let refused = decoded.chars().any(|c| c.is_control() || c == '\\')
        || separators(decoded.as_bytes()) != separators(path.as_bytes())
        || decoded.split('/').any(|segment| segment == "." || segment == "..");
    (!refused).then(|| decoded.into_owned())
}

/// Checks the target's form against the method and returns where its path is. The range is empty when an absolute target
/// has no path.
pub(super) fn path_range(method: &str, target: &str) -> Result<Range<usize>, HttpError> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(HttpError::TargetTooLong);
    }
    // Known to HTTP, but nothing on this server could ever serve them: 501, where 405 would need a resource that knows the
    // method (RFC 9110 9.1). TRACE would also send credentials back (9.3.8).
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(HttpError::MethodNotImplemented);
    }
    // Other characters outside of RFC 3986, such as `|` and `{`, are let through: browsers send them unescaped.
    if target.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
        return Err(HttpError::Target);
    }
    let start = match target {
        "*" if method == "OPTIONS" => 0,
        _ if target.starts_with('/') => 0,
        _ => {
            let authority = authority(target).ok_or(HttpError::Target)?;
            // RFC 9110 4.2.1 and 4.2.4: no empty host, no user before it.
            if authority.is_empty() || !is_host(authority.as_bytes()) {
                return Err(HttpError::HostMalformed);
            }
            scheme_len(target).ok_or(HttpError::Target)? + authority.len()
        }
    };
    let rest = target.get(start..).unwrap_or_default();
    let length = rest.find('?').unwrap_or(rest.len());
    Ok(start..start + length)
}

/// The `host:port` of an absolute target, or of its front; `None` for another form or scheme.
pub(super) fn authority(target: &str) -> Option<&str> {
    let rest = target.get(scheme_len(target)?..)?;
    rest.split(['/', '?']).next()
}

/// Whether a Host header's value is `uri-host [ ":" port ]` (RFC 9110 7.2). The empty value is: a client sends it when its
/// target has no authority (RFC 9112 3.2).
pub(super) fn is_host(value: &[u8]) -> bool {
    let Ok(value) = str::from_utf8(value) else { return false };
    let (host, port) = match value.rfind(':') {
        Some(colon) if !value.ends_with(']') => value.split_at(colon),
        Some(_) | None => (value, ""),
    };
    let host_is_valid = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|l| l.parse::<Ipv6Addr>().is_ok()),
        None => is_registered_name(host),
    };
    let port_is_valid = match port.strip_prefix(':') {
        None => true,
        Some("") => !host.is_empty(),
        Some(digits) => {
            !host.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok()
        }
    };
    host_is_valid && port_is_valid
}

/// The value of the first parameter called `name` in a query of `name=value` pairs.
pub(super) fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(n, _)| decode(n, Plus::Space).is_some_and(|n| n == name))?;
    decode(value, Plus::Space)
}

/// The target with the values of parameters that look like secrets replaced. A long parameter without a name is taken for
/// a bare token, as in `/ws?eyJhbGciOi...`.
pub(super) fn redacted(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        // A name that cannot be decoded could be anything.
        Some((name, _)) if decode(name, Plus::Space).is_none_or(|n| is_secret_name(&n)) => {
            Cow::Owned(format!("{name}=(redacted)"))
        }
        None if pair.len() > BARE_PARAMETER_BYTES_MAX => Cow::Borrowed("(redacted)"),
        Some(_) | None => Cow::Borrowed(pair),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// The path with its long segments replaced, which may be tokens, as in `/ws/eyJhbGciOi...`.
pub(super) fn redacted_path(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.len() > BARE_PARAMETER_BYTES_MAX { "(redacted)" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether a parameter or header of this name is likely to hold a secret. Rather one too many than one too few, but not
/// `Sec-WebSocket-Key`, which is none.
pub(super) fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 10] =
        ["token", "key", "secret", "pass", "auth", "jwt", "sig", "session", "code", "ticket"];
    let name = name.to_ascii_lowercase();
    name != "sec-websocket-key" && PARTS.iter().any(|part| name.contains(part))
}

/// Bytes of the scheme and the slashes of an absolute target; schemes have no case (RFC 9110 4.2.3).
fn scheme_len(target: &str) -> Option<usize> {
    let is_front = |scheme: &&str| {
        target.get(..scheme.len()).is_some_and(|front| front.eq_ignore_ascii_case(scheme))
    };
    // The schemes of WebSocket are those of HTTP under other names (RFC 6455 3): some clients behind a proxy send them.
    ["http://", "https://", "ws://", "wss://"].into_iter().find(is_front).map(str::len)
}

/// RFC 3986 3.2.2, `reg-name`, which IPv4 addresses match too.
fn is_registered_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    host.bytes().all(plain) && has_whole_escapes(host)
}

/// What a `+` stands for: itself in a path, a space in a query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Literal,
    Space,
}

fn decode(text: &str, plus: Plus) -> Option<Cow<'_, str>> {
    let has_plus = plus == Plus::Space && text.contains('+');
    if !text.contains('%') && !has_plus {
        return Some(Cow::Borrowed(text));
    }
    if !has_whole_escapes(text) {
        return None;
    }
    let spaced = if has_plus { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    String::from_utf8(percent_decode_str(&spaced).collect()).ok().map(Cow::Owned)
}

/// Whether two hexadecimal digits follow each `%`: the decoder leaves one as it is that others do not follow.
fn has_whole_escapes(text: &str) -> bool {
    let is_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    text.split('%').skip(1).all(|rest| rest.as_bytes().get(..2).is_some_and(is_digits))
}
