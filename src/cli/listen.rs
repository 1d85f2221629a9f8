//! The address of `--listen`.
//!
//! Owns its three spellings. The host and the port in it are checked as the settings they become.

use crate::config::check_value;

/// The host of `:9501`: every IPv4 address of the machine.
const EVERY_ADDRESS: &str = "0.0.0.0";

/// A host and a port, both as the values of their settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) host: String,
    pub(super) port: String,
}

/// Reads `127.0.0.1:9501`, `:9501`, `localhost:9501` or `[::1]:9501`.
pub(super) fn parse(text: &str) -> Result<Listen, String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("expected HOST:PORT, :PORT or [IPV6]:PORT".to_owned());
    };
    let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
        Some(Some(host)) if host.contains(':') => host,
        None if host.is_empty() => EVERY_ADDRESS,
        None if !host.contains(':') => host,
        Some(_) | None => {
            return Err("expected an IPv6 address in brackets, as in [::1]:9501".to_owned());
        }
    };
    check_value("server.host", host).map_err(|problem| format!("host: {problem}"))?;
    check_value("server.port", port).map_err(|problem| format!("port: {problem}"))?;
    Ok(Listen { host: host.to_owned(), port: port.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_an_address() {
        for (text, host, port) in [
            ("127.0.0.1:9501", "127.0.0.1", "9501"),
            (":9600", "0.0.0.0", "9600"),
            ("localhost:0", "localhost", "0"),
            ("[::1]:9501", "::1", "9501"),
            ("[::]:65535", "::", "65535"),
        ] {
            let listen = Listen { host: host.to_owned(), port: port.to_owned() };
            assert_eq!(parse(text), Ok(listen), "{text}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for (text, problem) in [
            ("9501", "expected HOST:PORT"),
            ("", "expected HOST:PORT"),
            ("::1:9501", "in brackets"),
            ("[::1:9501", "in brackets"),
            ("[localhost]:9501", "in brackets"),
            ("[]:9501", "in brackets"),
            ("a b:9501", "host: expected an IP address or a host name, found \"a b\""),
            ("localhost:", "port: expected an integer from 0 to 65535, found \"\""),
            ("localhost:65536", "port: expected an integer from 0 to 65535, found \"65536\""),
            ("localhost:+80", "port: expected an integer"),
        ] {
            let found = parse(text).expect_err(text);
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
