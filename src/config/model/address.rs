//! The address of a listener, as it is written in the file and on the command line.
//!
//! Owns its spellings: `127.0.0.1:9501`, `:9501`, `localhost:9501`, `[::1]:9501` and
//! `unix:/run/wsmaster.sock`. Whether it can be bound is found out when it is bound.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use wsmaster_settings::text;

use super::validators::is_host;

/// How the address of a unix socket begins.
const UNIX: &str = "unix:";

/// The host of `:9501`: every IPv4 address of the machine.
const EVERY_ADDRESS: &str = "0.0.0.0";

/// The longest path of a unix socket: its closing zero is the 108th byte (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// On TCP.
    Tcp {
        /// IP address (IPv6 without brackets) or host name.
        host: String,
        /// Port; 0 lets the kernel choose one.
        port: u16,
    },
    /// On a unix socket with this path.
    Unix(PathBuf),
}

/// Why a text is no address, to be read after "expected".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no port.
    #[error("HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH")]
    Form,
    /// An IPv6 address without its brackets.
    #[error("an IPv6 address in brackets, as in [::1]:9501")]
    Brackets,
    /// A host that is none.
    #[error("an IP address or a host name before the port")]
    Host,
    /// A port that is none.
    #[error("a port from 0 to 65535")]
    Port,
    /// A path that no socket can have.
    #[error("an absolute path of at most {SOCKET_PATH_BYTES_MAX} bytes behind unix:")]
    Path,
}

impl ListenAddress {
    /// Whether only this machine can reach it: a unix socket, a loopback IP address or `localhost`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => match host.parse::<IpAddr>() {
                Ok(address) => address.to_canonical().is_loopback(),
                Err(_) => host.eq_ignore_ascii_case("localhost"),
            },
            Self::Unix(_) => true,
        }
    }

    /// The address of a host that may be `unix:/PATH`, for which the port means nothing.
    pub(crate) fn of_host(host: &str, port: u16) -> Self {
        match host.strip_prefix(UNIX) {
            Some(path) => Self::Unix(PathBuf::from(path)),
            None => Self::Tcp { host: host.to_owned(), port },
        }
    }

    /// The host and the port of `[server]` that mean this address.
    #[must_use]
    pub fn host_and_port(&self) -> (String, u16) {
        match self {
            Self::Tcp { host, port } => (host.clone(), *port),
            Self::Unix(_) => (self.to_string(), 0),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix(UNIX) {
            let is_path = is_socket_path(path);
            return is_path.then(|| Self::Unix(PathBuf::from(path))).ok_or(AddressError::Path);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Form)?;
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(host)) if host.parse::<Ipv6Addr>().is_ok() => host,
            None if host.is_empty() => EVERY_ADDRESS,
            None if !host.contains(':') => host,
            Some(_) | None => return Err(AddressError::Brackets),
        };
        if !is_host(host) {
            return Err(AddressError::Host);
        }
        // The parser of numbers takes a plus sign.
        let is_plain = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_plain).ok_or(AddressError::Port)?;
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// As it is read. In a URL, too: an IPv6 address stands in brackets.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// A host of TCP, or the address of a unix socket.
pub(crate) fn is_host_or_socket(text: &str) -> bool {
    match text.strip_prefix(UNIX) {
        Some(path) => is_socket_path(path),
        None => is_host(text),
    }
}

fn is_socket_path(path: &str) -> bool {
    path.len() <= SOCKET_PATH_BYTES_MAX
        && path.starts_with('/')
        && !path.ends_with('/')
        && !path.contains(char::is_control)
}

text! {
    ListenAddress: Self::to_string, |text| text.parse().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_an_address() {
        for (text, host, port) in [
            ("127.0.0.1:9501", "127.0.0.1", 9501),
            (":9600", "0.0.0.0", 9600),
            ("localhost:0", "localhost", 0),
            ("[::1]:9501", "::1", 9501),
            ("[::]:65535", "::", 65_535),
        ] {
            let address = ListenAddress::Tcp { host: host.to_owned(), port };
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string().parse(), Ok(address), "{text}");
        }
        let socket = ListenAddress::Unix(PathBuf::from("/run/ws: 1.sock"));
        assert_eq!("unix:/run/ws: 1.sock".parse(), Ok(socket.clone()));
        assert_eq!(socket.to_string(), "unix:/run/ws: 1.sock");
        let (host, port) = socket.host_and_port();
        assert_eq!(ListenAddress::of_host(&host, port), socket);
    }

    #[test]
    fn what_is_no_address() {
        let long = format!("unix:/{}", "a".repeat(SOCKET_PATH_BYTES_MAX));
        for (text, error) in [
            ("9501", AddressError::Form),
            ("", AddressError::Form),
            ("::1:9501", AddressError::Brackets),
            ("[::1:9501", AddressError::Brackets),
            ("[localhost]:9501", AddressError::Brackets),
            ("[]:9501", AddressError::Brackets),
            ("a b:9501", AddressError::Host),
            ("localhost:", AddressError::Port),
            ("localhost:65536", AddressError::Port),
            ("localhost:+80", AddressError::Port),
            ("unix:", AddressError::Path),
            ("unix:relative", AddressError::Path),
            ("unix:/directory/", AddressError::Path),
            ("unix:/a\nb", AddressError::Path),
            (&long, AddressError::Path),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(error), "{text}");
        }
    }
}
