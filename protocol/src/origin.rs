//! Which origins may open a WebSocket: web pages, and apps that are made of them (RFC 6455, section 10.2; RFC 6454).
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

/// What a browser calls the origin of a page that has none of its own: of a file, of a sandboxed frame.
const NULL: &str = "null";

/// The scheme whose origins have no host.
const FILE: &str = "file";

/// The most entries of a list: it is gone through for every handshake.
pub const ENTRIES_MAX: usize = 256;

/// The longest origin that is read, in bytes: a scheme, the longest host name and a port.
const ORIGIN_BYTES_MAX: usize = 300;

/// The origins that may open a WebSocket.
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
    /// More than one `Origin` is refused. Without a list, only origins of the web are of a host: the host of another scheme
    /// (`capacitor://localhost`, `chrome-extension://ID`) is a name that no DNS has given, so it is never taken for the one in
    /// `Host` or for this machine, and `null`, which every sandboxed frame of any page sends, is nobody's. They can be listed.
    pub fn allows<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        host: Option<&str>,
    ) -> bool {
        let Some(origin) = origins.next() else { return true };
        match self {
            Self::Any => true,
            Self::SameHost | Self::Listed(_) if origins.next().is_some() => false,
            Self::SameHost => str::from_utf8(origin)
                .ok()
                .and_then(parts)
                .is_some_and(|origin| origin.is_of_host(host) || origin.is_of_this_machine()),
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
    /// An entry is no origin.
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

/// An origin as it is compared: `https://example.com`, in small letters, without the port that its scheme has anyway and
/// without a slash behind it. `null` is one, and `file://` is without a host. `None` for what is no origin: without a scheme,
/// with a path or a user, `*`.
pub fn normal_form(origin: &str) -> Option<String> {
    if origin.eq_ignore_ascii_case(NULL) {
        return Some(NULL.to_owned());
    }
    let Parts { scheme, host, port } = parts(origin)?;
    let port = port.filter(|port| Some(*port) != default_port(scheme));
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{scheme}://{host}{port}").to_ascii_lowercase())
}

struct Parts<'a> {
    scheme: &'a str,
    /// An IPv6 address in brackets. Empty for files only.
    host: &'a str,
    port: Option<u16>,
}

impl Parts<'_> {
    /// Whether `host`, a header `Host`, names the same host and port. Either of them may leave out the port that the scheme
    /// has anyway, or tell it: a proxy that ends TLS may pass on `Host: example.com:443` of a page of `https://example.com`.
    fn is_of_host(&self, host: Option<&str>) -> bool {
        let Some(default) = default_port(self.scheme) else { return false };
        let Some((name, port)) = host.and_then(host_and_port) else { return false };
        name.eq_ignore_ascii_case(self.host)
            && port.unwrap_or(default) == self.port.unwrap_or(default)
    }

    fn is_of_this_machine(&self) -> bool {
        if default_port(self.scheme).is_none() {
            return false;
        }
        match self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|it| it.is_loopback()),
            None => {
                self.host.eq_ignore_ascii_case("localhost")
                    || self.host.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
            }
        }
    }
}

/// The port of a scheme of the web. No browser sends `ws` or `wss` as the scheme of a page; clients that are none do (ws4py),
/// so that a page gains nothing by their being understood.
fn default_port(scheme: &str) -> Option<u16> {
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

/// `scheme "://" host [ ":" port ]` (RFC 6454, section 6.2), and one slash at the most behind it: that is no origin, but
/// clients that are no browsers write it (the example of golang.org/x/net), and it cannot change whose origin it is.
fn parts(origin: &str) -> Option<Parts<'_>> {
    let origin = Some(origin).filter(|text| text.len() <= ORIGIN_BYTES_MAX)?;
    let (scheme, authority) = origin.split_once("://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if !is_scheme(scheme) {
        return None;
    }
    if authority.is_empty() {
        return scheme.eq_ignore_ascii_case(FILE).then_some(Parts {
            scheme,
            host: authority,
            port: None,
        });
    }
    let (host, port) = host_and_port(authority)?;
    Some(Parts { scheme, host, port })
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The host, an IPv6 address in brackets, and the port.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = behind.strip_prefix(':');
            if port.is_none() && !behind.is_empty() {
                return None;
            }
            (&authority[..address.len() + 2], port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_host = host.starts_with('[') || !host.is_empty() && host.bytes().all(is_name);
    let port = match port {
        // `parse` alone would take a sign.
        Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        Some(digits) => Some(digits.parse().ok()?),
        None => None,
    };
    is_host.then_some((host, port))
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
            // A port that the scheme has anyway.
            ("https://example.com", "example.com:443", true),
            ("https://example.com:443", "example.com", true),
            ("http://example.com", "example.com:80", true),
            ("http://example.com:80", "EXAMPLE.com", true),
            ("https://[2001:db8::1]", "[2001:db8::1]:443", true),
            ("https://example.com", "example.com:80", false),
            ("http://example.com", "example.com:443", false),
            ("http://example.com:443", "example.com", false),
            ("https://example.com:80", "example.com", false),
            // Clients that are no browsers.
            ("http://example.com/", "example.com", true),
            ("http://localhost/", "example.com", true),
            ("ws://example.com:9501", "example.com:9501", true),
            ("ws://example.com", "example.com:80", true),
            ("wss://example.com", "example.com:443", true),
            ("wss://evil.net", "example.com", false),
            ("http://example.com//", "example.com", false),
            ("http://example.com/x", "example.com", false),
            ("http://evil.net/", "example.com", false),
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
            // The host of an app is a name of its own, and not this machine.
            ("capacitor://localhost", "localhost", false),
            ("tauri://localhost", "localhost", false),
            ("file://", "localhost", false),
            ("app://example.com", "example.com", false),
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
            ("https://app.example.com/", true),
            ("https://app.example.com/x", false),
            ("wss://app.example.com", false),
            ("http://other.net", false),
            ("http://localhost", false),
            ("null", false),
        ];
        for (origin, expected) in table {
            assert_eq!(allows(&listed, origin, "example.com"), expected, "{origin}");
        }
        // What is of no host of the web is let in where it is listed, and nowhere else.
        let apps = ["capacitor://localhost", "file://", "null", "moz-extension://0a1b", "ws://a"];
        for app in apps {
            let only: AllowedOrigins = app.parse().expect("a list of one");
            for origin in apps {
                assert_eq!(allows(&only, origin, "localhost"), origin == app, "{origin} in {app}");
            }
            assert!(!allows(&only, "http://localhost", "localhost"), "{app}");
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
            ("https://example.com:0443", Some("https://example.com")),
            ("https://example.com/", Some("https://example.com")),
            ("ws://Example.com", Some("ws://example.com")),
            ("ws://example.com:80", Some("ws://example.com")),
            ("wss://example.com:8443/", Some("wss://example.com:8443")),
            ("capacitor://localhost", Some("capacitor://localhost")),
            ("ionic://localhost", Some("ionic://localhost")),
            ("tauri://localhost", Some("tauri://localhost")),
            ("chrome-extension://abcdefgh", Some("chrome-extension://abcdefgh")),
            ("moz-extension://0A1B-2C", Some("moz-extension://0a1b-2c")),
            ("file://", Some("file://")),
            ("file:///", Some("file://")),
            ("null", Some("null")),
            ("example.com", None),
            ("https://example.com/x", None),
            ("https://example.com//", None),
            ("https://example.com/?", None),
            ("https://user@example.com", None),
            ("https://", None),
            ("capacitor://", None),
            ("file://host/path", None),
            ("://example.com", None),
            ("1s://example.com", None),
            ("a b://example.com", None),
            ("data:text/html,x", None),
            ("https://*.example.com", None),
            ("https://example.com:99999", None),
            ("https://example.com:", None),
            ("https://example.com:+1", None),
            ("https://[::1", None),
            ("https://[::1]x", None),
            ("*", None),
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
            ("null, FILE://, capacitor://localhost", Some("null, file://, capacitor://localhost")),
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
