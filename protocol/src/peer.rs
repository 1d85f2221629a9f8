//! Who is at the other end of a connection, as far as it is known. Owns the type and its words in JSON.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use serde::{Deserialize, Serialize};

/// A client's address. In JSON, what is not known of it is `null`: the port of one that a proxy has told of without a port,
/// and both for one on a unix socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// It has an IP address. An IPv4 address that is mapped into IPv6 (RFC 4291, 2.5.5.2) is the IPv4 address.
    Inet {
        /// The address.
        address: IpAddr,
        /// The port.
        port: Option<u16>,
    },
    /// It is a process of this machine, on a unix socket, and nothing has said for whom it speaks.
    Unix,
}

impl Peer {
    /// A peer with this address. Port 0 is no port: no TCP connection has it, and proxies send it for one that they do not
    /// know.
    pub fn inet(address: IpAddr, port: Option<u16>) -> Self {
        Self::Inet { address: address.to_canonical(), port: port.filter(|port| *port != 0) }
    }

    /// Its IP address, if it has one.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Self::Inet { address, .. } => Some(address),
            Self::Unix => None,
        }
    }

    /// Its port, if that is known.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Inet { port, .. } => port,
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::inet(address.ip(), Some(address.port()))
    }
}

/// For the log: `192.0.2.1:4711`, `[2001:db8::1]:4711`, without a port the address alone, or `unix`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Inet { address, port: Some(port) } => SocketAddr::new(address, port).fmt(f),
            Self::Inet { address, port: None } => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_one_form_however_it_came() {
        let peer = |text: &str| Peer::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(peer("[::ffff:192.0.2.1]:80"), peer("192.0.2.1:80"));
        assert_eq!(peer("[2001:db8::1]:4711").to_string(), "[2001:db8::1]:4711");
        assert_eq!(Peer::inet("2001:db8::1".parse().unwrap(), None).to_string(), "2001:db8::1");
        assert_eq!(peer("192.0.2.1:0").port(), None);
        assert_eq!(peer("192.0.2.1:0").to_string(), "192.0.2.1");
        assert_eq!(Peer::Unix.to_string(), "unix");
        assert_eq!((Peer::Unix.address(), Peer::Unix.port()), (None, None));
    }
}
