//! Where a URL leads to (RFC 6455, 3). Pure.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tungstenite::http::Uri;

/// A server and a resource on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: Scheme,
    /// A name or an IP address, an IPv6 one without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as the request names them.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `ws`: in the clear.
    Ws,
    /// `wss`: in TLS.
    Wss,
}

const EXPECTED: &str = "expected ws://HOST[:PORT][/PATH] or wss://HOST[:PORT][/PATH]";

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let encoded = encoded(url);
        let url = encoded.as_str();
        let uri: Uri = url.parse().map_err(|_| format!("not a URL; {EXPECTED}"))?;
        let (scheme, default_port) = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref()
        {
            Some("ws") => (Scheme::Ws, 80),
            Some("wss") => (Scheme::Wss, 443),
            Some("http") => return Err("write ws:// instead of http://".to_owned()),
            Some("https") => return Err("write wss:// instead of https://".to_owned()),
            Some(_) | None => return Err(EXPECTED.to_owned()),
        };
        if url.contains('#') {
            return Err("a WebSocket URL has no fragment (RFC 6455, 3)".to_owned());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        if authority.contains('@') {
            return Err("no name and password here; -H 'Authorization: ...' sends them".to_owned());
        }
        let port = match uri.port() {
            Some(port) => port.as_u16(),
            // A colon with nothing that is a port behind it is read as if there were none.
            None if authority.ends_with(host) => default_port,
            None => return Err("the port is not a number from 1 to 65535".to_owned()),
        };
        let target = match uri.path_and_query().map(|target| target.as_str()) {
            None | Some("") => "/".to_owned(),
            Some(query) if query.starts_with('?') => format!("/{query}"),
            Some(target) => target.to_owned(),
        };
        Ok(Self {
            scheme,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: authority.to_owned(),
            target,
        })
    }
}

/// What stands in path and query and may not stand there in a request (RFC 3986, 2.1), as browsers have it. What is encoded
/// already stays, and so does a `%` that encodes nothing.
const ENCODED: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn encoded(url: &str) -> String {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let path = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let (before, rest) = url.split_at(path);
    format!("{before}{}", utf8_percent_encode(rest, &ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url() {
        use Scheme::{Ws, Wss};
        for (url, scheme, host, port, authority, target) in [
            ("ws://localhost", Ws, "localhost", 80, "localhost", "/"),
            ("ws://localhost:9501", Ws, "localhost", 9501, "localhost:9501", "/"),
            ("ws://127.0.0.1:9501/a/b?c=d", Ws, "127.0.0.1", 9501, "127.0.0.1:9501", "/a/b?c=d"),
            ("ws://h?c=d", Ws, "h", 80, "h", "/?c=d"),
            ("ws://[::1]:9501/", Ws, "::1", 9501, "[::1]:9501", "/"),
            ("WS://h/", Ws, "h", 80, "h", "/"),
            ("wss://h", Wss, "h", 443, "h", "/"),
            ("WSS://h:9501/a", Wss, "h", 9501, "h:9501", "/a"),
            ("wss://[::1]:8443/", Wss, "::1", 8443, "[::1]:8443", "/"),
            ("wss://[::1]", Wss, "::1", 443, "[::1]", "/"),
            ("ws://h/a b?q=\"x\"", Ws, "h", 80, "h", "/a%20b?q=%22x%22"),
            ("ws://h/Gr\u{fc}\u{df}e/\u{1f600}", Ws, "h", 80, "h", "/Gr%C3%BC%C3%9Fe/%F0%9F%98%80"),
            ("ws://h?n=a\tb{c}", Ws, "h", 80, "h", "/?n=a%09b%7Bc%7D"),
            ("ws://h/a%20b/100%?x=%C3%BC&y=a+b", Ws, "h", 80, "h", "/a%20b/100%?x=%C3%BC&y=a+b"),
        ] {
            let address = Address {
                scheme,
                host: host.to_owned(),
                port,
                authority: authority.to_owned(),
                target: target.to_owned(),
            };
            assert_eq!(Address::parse(url), Ok(address), "{url}");
        }
    }

    #[test]
    fn what_leads_nowhere() {
        for (url, problem) in [
            ("", "expected ws://"),
            ("localhost:9501", "expected ws://"),
            ("/path", "expected ws://"),
            ("ws://", "expected ws://"),
            ("ftp://h", "expected ws://"),
            ("http://h", "write ws://"),
            ("https://h", "write wss://"),
            ("wss://", "expected ws://"),
            ("wss://h:0x1/", "port"),
            ("ws://h/#x", "fragment"),
            ("ws://a:b@h/", "Authorization"),
            ("ws://h:99999/", "port"),
            ("ws://h h/", "not a URL"),
        ] {
            let found = Address::parse(url).expect_err(url);
            assert!(found.contains(problem), "{url}: {found}");
        }
    }
}
