//! Which web pages may open a WebSocket (RFC 6455, section 10.2; RFC 6454).
//!
//! A browser sends cookies and client certificates with a handshake whatever page asks for it, and tells which page that is
//! in the header `Origin`. Owns the judgement of that header. A client that is no browser sends none, and could send any.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The word for every origin.
const ANY: &str = "*";

/// The most entries of a list: it is gone through for every handshake.
pub const ENTRIES_MAX: usize = 256;

/// The longest origin that is read, in bytes: a scheme, the longest host name and a port.
const ORIGIN_BYTES_MAX: usize = 300;

/// The origins whose pages may open a WebSocket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Those whose host and port are what the request asks for in `Host`, and those of this machine: `localhost` and
    /// loopback addresses, on whatever port.
    #[default]
    SameHost,
    /// These and no others. Each is as [`normal_form`] gives it.
    Listed(Vec<String>),
    /// Any page of the web.
    Any,
}

impl AllowedOrigins {
    /// Judges a handshake by its headers `Origin`, of which there may be none, and its header `Host`.
    ///
    /// More than one `Origin` is refused, and so is `null`, which every sandboxed frame and every file sends.
    pub fn allows<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        host: Option<&str>,
    ) -> bool {
        let Some(origin) = origins.next() else { return true };
        match self {
            Self::Any => true,
            Self::SameHost | Self::Listed(_) if origins.next().is_some() => false,
            Self::SameHost => parts(origin).is_some_and(|origin| {
                is_loopback(origin.host())
                    || host.is_some_and(|host| origin.authority.eq_ignore_ascii_case(host))
            }),
            Self::Listed(listed) => str::from_utf8(origin)
                .ok()
                .and_then(normal_form)
                .is_some_and(|origin| listed.contains(&origin)),
        }
    }
}

/// Why a list of origins is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OriginsError {
    /// An entry is no origin of a web page.
    #[error("{0:?} is no origin such as https://example.com")]
    Entry(String),
    /// There are more entries than may be.
    #[error("there are more than {ENTRIES_MAX} entries")]
    TooMany,
}

/// `https://example.com, http://example.net:8080`, with or without blanks; `*` alone is any, and an empty text is the same
/// host.
impl FromStr for AllowedOrigins {
    type Err = OriginsError;

    fn from_str(text: &str) -> Result<Self, OriginsError> {
        match text.trim() {
            "" => return Ok(Self::SameHost),
            ANY => return Ok(Self::Any),
            _ => {}
        }
        let mut listed = Vec::new();
        for entry in text.split(',').map(str::trim) {
            if listed.len() == ENTRIES_MAX {
                return Err(OriginsError::TooMany);
            }
            listed.push(normal_form(entry).ok_or_else(|| OriginsError::Entry(entry.to_owned()))?);
        }
        Ok(Self::Listed(listed))
    }
}

/// As it is read.
impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameHost => Ok(()),
            Self::Any => f.write_str(ANY),
            Self::Listed(listed) => f.write_str(&listed.join(", ")),
        }
    }
}

/// An origin as it is compared: `https://example.com`, in small letters, without the port that its scheme has anyway.
/// `None` for what is no origin of a web page: another scheme than `http` and `https`, a path, a user, `null`, `*`.
pub fn normal_form(origin: &str) -> Option<String> {
    let parts = parts(origin.as_bytes())?;
    let authority = match (parts.scheme, parts.port) {
        ("http", Some("80")) | ("https", Some("443")) => parts.host(),
        (_, _) => parts.authority,
    };
    Some(format!("{}://{}", parts.scheme, authority.to_ascii_lowercase()))
}

struct Parts<'a> {
    scheme: &'static str,
    /// Host and port.
    authority: &'a str,
    port: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// The host, an IPv6 address in brackets.
    fn host(&self) -> &'a str {
        let port_bytes = self.port.map_or(0, |port| port.len() + 1);
        &self.authority[..self.authority.len() - port_bytes]
    }
}

/// `scheme "://" host [ ":" port ]` (RFC 6454, section 6.2).
fn parts(origin: &[u8]) -> Option<Parts<'_>> {
    let origin = str::from_utf8(origin).ok().filter(|text| text.len() <= ORIGIN_BYTES_MAX)?;
    let (scheme, authority) = origin.split_once("://")?;
    let scheme = ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (
                &authority[..address.len() + 2],
                behind.strip_prefix(':').map(Some).or_else(|| behind.is_empty().then_some(None))?,
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = host.starts_with('[') || !host.is_empty() && host.bytes().all(is_name);
    let is_port = port.is_none_or(|port| {
        port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    (is_host && is_port).then_some(Parts { scheme, authority, port })
}

fn is_loopback(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allowed: &AllowedOrigins, origin: &str, host: &str) -> bool {
        allowed.allows([origin.as_bytes()].into_iter(), Some(host))
    }

    #[test]
    fn without_a_list_the_page_comes_from_the_host_that_it_asks() {
        let table = [
            ("https://example.com", "example.com", true),
            ("http://example.com", "EXAMPLE.com", true),
            ("https://example.com:8443", "example.com:8443", true),
            ("http://[2001:db8::1]:80", "[2001:db8::1]:80", true),
            ("https://example.com", "example.com:8443", false),
            ("https://example.com:8443", "example.com", false),
            ("https://example.com.evil.net", "example.com", false),
            ("https://evil-example.com", "example.com", false),
            ("https://evil.net/example.com", "example.com", false),
            ("https://example.com@evil.net", "example.com", false),
            ("https://user@example.com", "user@example.com", false),
            ("https://evil.net", "example.com", false),
            ("null", "null", false),
            ("", "", false),
            ("example.com", "example.com", false),
            ("file://", "", false),
            ("https://", "", false),
            ("chrome-extension://abc", "abc", false),
            ("https://example.com\u{e9}", "example.com\u{e9}", false),
            // Pages of this machine: somebody who develops here.
            ("http://localhost:5173", "example.com", true),
            ("http://127.0.0.1", "example.com", true),
            ("http://127.9.9.9:1", "example.com", true),
            ("http://[::1]:3000", "example.com", true),
            ("http://localhost.evil.net", "example.com", false),
            ("http://127.0.0.1.evil.net", "example.com", false),
            ("http://128.0.0.1", "example.com", false),
        ];
        for (origin, host, expected) in table {
            assert_eq!(
                allows(&AllowedOrigins::SameHost, origin, host),
                expected,
                "{origin} {host}"
            );
        }
        assert!(AllowedOrigins::SameHost.allows(std::iter::empty(), None), "no browser");
        let two = [b"https://a".as_slice(), b"https://a".as_slice()];
        assert!(!AllowedOrigins::SameHost.allows(two.into_iter(), Some("a")));
        assert!(!AllowedOrigins::SameHost.allows([b"https://a".as_slice()].into_iter(), None));
    }

    #[test]
    fn a_list_holds_exactly() {
        let listed = ["https://app.example.com", "http://other.net:8080"];
        let listed = AllowedOrigins::Listed(listed.map(str::to_owned).to_vec());
        let table = [
            ("https://app.example.com", true),
            ("https://APP.example.com", true),
            ("https://app.example.com:443", true),
            ("http://other.net:8080", true),
            ("http://app.example.com", false),
            ("https://app.example.com:444", false),
            ("https://app.example.com.", false),
            ("https://x.app.example.com", false),
            ("https://app.example.com/", false),
            ("http://other.net", false),
            ("http://localhost", false),
            ("null", false),
        ];
        for (origin, expected) in table {
            assert_eq!(allows(&listed, origin, "example.com"), expected, "{origin}");
        }
        // The page's own host is none of the list.
        assert!(!allows(&listed, "https://example.com", "example.com"));
        assert!(allows(&AllowedOrigins::Any, "null", "example.com"));
    }

    #[test]
    fn the_normal_form_of_what_an_operator_writes() {
        let table = [
            ("HTTPS://Example.COM", Some("https://example.com")),
            ("https://example.com:443", Some("https://example.com")),
            ("http://example.com:80", Some("http://example.com")),
            ("http://example.com:443", Some("http://example.com:443")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("example.com", None),
            ("https://example.com/", None),
            ("https://*.example.com", None),
            ("https://example.com:99999", None),
            ("https://example.com:", None),
            ("https://example.com:+1", None),
            ("ws://example.com", None),
            ("https://[::1", None),
            ("https://[::1]x", None),
            ("*", None),
            ("null", None),
        ];
        for (written, expected) in table {
            assert_eq!(normal_form(written).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn a_list_is_read_as_it_is_written() {
        let table = [
            ("", Some("")),
            (" ", Some("")),
            (" * ", Some("*")),
            ("HTTPS://a.example:443,http://b", Some("https://a.example, http://b")),
            ("https://a, *", None),
            ("https://a,", None),
            (",", None),
            ("https://a https://b", None),
        ];
        for (text, expected) in table {
            let read = text.parse::<AllowedOrigins>().ok();
            assert_eq!(read.map(|origins| origins.to_string()).as_deref(), expected, "{text:?}");
        }
        let many = vec!["https://a"; ENTRIES_MAX + 1].join(",");
        assert_eq!(many.parse::<AllowedOrigins>(), Err(OriginsError::TooMany));
    }
}
