//! The list of peers that are believed: networks in CIDR notation (RFC 4632, 3.1), and unix sockets.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use crate::peer::Peer;

/// The word for peers on unix sockets.
const UNIX: &str = "unix";

/// The most entries of a list: it is gone through for every hop of a request.
pub const ENTRIES_MAX: usize = 256;

/// See the module. The empty list trusts nobody.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    networks: Vec<Network>,
    unix: bool,
}

/// An address and how many of its first bits count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a list is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrustError {
    /// An entry is neither an address nor a network.
    #[error("{0:?} is no IP address and no network such as 10.0.0.0/8")]
    Entry(String),
    /// Bits behind the prefix are set: probably another network is meant.
    #[error("{0:?} has bits set behind its prefix")]
    Host(String),
    /// There are more entries than may be.
    #[error("there are more than {ENTRIES_MAX} entries")]
    TooMany,
}

impl Trust {
    /// Whether a peer is believed.
    pub fn includes(&self, peer: Peer) -> bool {
        match peer {
            Peer::Inet { address, .. } => self.includes_address(address),
            Peer::Unix => self.unix,
        }
    }

    /// Whether an address is believed. One that is mapped into IPv6 is the IPv4 address.
    pub fn includes_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The networks that are believed, each with the number of its first bits that count.
    pub fn networks(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        self.networks.iter().map(|network| (network.address, network.bits))
    }

    /// Whether who comes by a unix socket is believed.
    pub fn includes_unix(&self) -> bool {
        self.unix
    }

    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()) & mask_v4(self.bits) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()) & mask_v6(self.bits) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0)
}

fn mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
}

/// `10.0.0.0/8, 192.0.2.7, 2001:db8::/32, unix`, with or without blanks; an empty text is the empty list.
impl FromStr for Trust {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        if text.trim().is_empty() {
            return Ok(trust);
        }
        for (number, entry) in text.split(',').map(str::trim).enumerate() {
            if number == ENTRIES_MAX {
                return Err(TrustError::TooMany);
            }
            match entry {
                UNIX => trust.unix = true,
                entry => trust.networks.push(network(entry)?),
            }
        }
        Ok(trust)
    }
}

fn network(entry: &str) -> Result<Network, TrustError> {
    let none = || TrustError::Entry(entry.to_owned());
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (entry, None),
    };
    let address: IpAddr = address.parse().map_err(|_| none())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        // The parser of numbers takes a plus sign.
        Some(bits) if !bits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(none()),
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(none)?,
    };
    let is_whole = match address {
        IpAddr::V4(address) => address.to_bits() & !mask_v4(bits) == 0,
        IpAddr::V6(address) => address.to_bits() & !mask_v6(bits) == 0,
    };
    if !is_whole {
        return Err(TrustError::Host(entry.to_owned()));
    }
    // A network of mapped addresses is one of IPv4, as those addresses are.
    match address {
        IpAddr::V6(mapped) if bits >= 96 && mapped.to_ipv4_mapped().is_some() => {
            let address = mapped.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED);
            Ok(Network { address: IpAddr::V4(address), bits: bits - 96 })
        }
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(Network { address, bits }),
    }
}

/// As it is read.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for Network { address, bits } in &self.networks {
            let is_single = *bits == if address.is_ipv4() { 32 } else { 128 };
            write!(f, "{separator}{address}")?;
            if !is_single {
                write!(f, "/{bits}")?;
            }
            separator = ", ";
        }
        if self.unix { write!(f, "{separator}{UNIX}") } else { Ok(()) }
    }
}
