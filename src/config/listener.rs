//! `[[listener]]`: further addresses that the server listens on, as plain data.
//!
//! Owns the shape of a listener, and how `[server]` says the first one. Names, ranges, defaults and
//! explanations are in the table of its keys below this module.

mod relations;
mod table;

use super::Config;
use super::address::ListenAddress;
use super::array::Array;

pub(super) use relations::check as check_together;

/// The most `[[listener]]` tables of a configuration. Each worker has a socket for each.
pub const LISTENERS_MAX: usize = 16;

/// The name of the listener that `[server]` says.
pub const MAIN_LISTENER: &str = "main";

/// The array of tables.
pub(super) static ARRAY: Array<ListenerConfig> = Array {
    section: "listener",
    header: "[[listener]]",
    plural: "listeners",
    most: LISTENERS_MAX,
    bounds: ". They have no variables; `--listen`, given again, adds one.",
    about: "A further address to listen on, beside that of [server], with rules of its own. Every \
            worker serves all of them.",
    example: EXAMPLE,
    keys: table::KEYS,
    blank,
};

const EXAMPLE: &str = r#"
```toml
[[listener]]
name = "admin"
address = "unix:/run/wsmaster/admin.sock"
mode = "0600"
protocol = "http"
```
"#;

/// One `[[listener]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerConfig {
    /// 1 to 32 characters out of `a-z 0-9 _ -`; no other listener has the same.
    pub name: String,
    /// Where it listens; no other listener has the same.
    pub address: ListenAddress,
    /// Of a unix socket: its permissions.
    pub mode: Mode,
    /// Of a unix socket: its owner; `None` is who starts the server.
    pub user: Option<String>,
    /// Of a unix socket: its group; `None` is that of who starts the server.
    pub group: Option<String>,
    /// Whether requests may become WebSockets.
    pub protocol: ListenerProtocol,
    /// What it serves by HTTP; empty is everything.
    pub serves: Vec<Door>,
    /// Whether every connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Whether connections are encrypted with the certificates of `[tls]`.
    pub tls: bool,
    /// Whether messages may be compressed where `[compression]` has it on.
    pub compression: bool,
    /// Bytes of a message from a client; 0 is what `[limits]` says.
    pub message_bytes_max: usize,
}

impl ListenerConfig {
    /// Whether requests for this are served.
    #[must_use]
    pub fn serves(&self, door: Door) -> bool {
        self.serves.is_empty() || self.serves.contains(&door)
    }

    /// What it serves, as the bits that a worker is given: see [`Door::is_in`].
    pub(crate) fn tag(&self) -> u32 {
        let doors = Door::WORDS.iter().map(|(_, door)| *door);
        doors.filter(|door| self.serves(*door)).map(Door::bit).sum()
    }
}

/// The permissions of a unix socket, below 0o1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// HTTP, and WebSockets that begin with a request.
    WebSocket,
    /// HTTP only: a request to become a WebSocket is refused.
    Http,
}

/// What can be had by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The page on `/`.
    Playground,
    /// What is below `/health`.
    Health,
    /// What is below `/api/`.
    Api,
}

impl Door {
    fn bit(self) -> u32 {
        match self {
            Self::Playground => 1,
            Self::Health => 2,
            Self::Api => 4,
        }
    }

    /// Whether this is among what the bits of a listener say.
    pub(crate) fn is_in(self, tag: u32) -> bool {
        tag & self.bit() != 0
    }
}

impl Config {
    /// The listener that `[server]` says.
    #[must_use]
    pub fn main_listener(&self) -> ListenerConfig {
        ListenerConfig {
            name: MAIN_LISTENER.to_owned(),
            address: self.server.address(),
            proxy_protocol: self.server.proxy_protocol,
            tls: self.tls.is_on() && matches!(self.server.address(), ListenAddress::Tcp { .. }),
            ..blank()
        }
    }

    /// All listeners, that of `[server]` first.
    #[must_use]
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        std::iter::once(self.main_listener()).chain(self.listeners.iter().cloned()).collect()
    }
}

/// A listener whose name and address are about to be written; all else is at its default.
fn blank() -> ListenerConfig {
    ListenerConfig {
        name: String::new(),
        address: ListenAddress::Tcp { host: String::new(), port: 0 },
        mode: Mode(0o660),
        user: None,
        group: None,
        protocol: ListenerProtocol::WebSocket,
        serves: Vec::new(),
        proxy_protocol: false,
        tls: false,
        compression: true,
        message_bytes_max: 0,
    }
}
