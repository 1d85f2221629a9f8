//! The words of the file for settings that are one of a few.
//!
//! Owns a table for each such type, and the way through a table in both directions. Which spellings
//! of a word are taken is decided where values are read.

use super::listener::{Door, ListenerProtocol};
use super::process::Restart;
use super::settings::{
    App, ClientAuth, DrainCloseCode, LogLevel, RatePolicy, SlowClient, Takeover, TlsVersion,
};

impl App {
    /// The names of those that come with the server.
    pub(super) const WORDS: [&'static str; 3] = ["channels", "echo", "broadcast"];

    /// What stands before the name of a process.
    pub(super) const PLUGIN: &'static str = "plugin:";

    /// Its name in the file and on the command line.
    pub fn name(&self) -> String {
        match self {
            Self::Channels => "channels".to_owned(),
            Self::Echo => "echo".to_owned(),
            Self::Broadcast => "broadcast".to_owned(),
            Self::Plugin(name) => format!("{}{name}", Self::PLUGIN),
        }
    }

    pub(super) fn from_name(text: &str) -> Option<Self> {
        match text {
            "channels" => Some(Self::Channels),
            "echo" => Some(Self::Echo),
            "broadcast" => Some(Self::Broadcast),
            other => other.strip_prefix(Self::PLUGIN).map(|name| Self::Plugin(name.to_owned())),
        }
    }

    /// The name of the process that is the application, if one is.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Plugin(name) => Some(name),
            Self::Channels | Self::Echo | Self::Broadcast => None,
        }
    }
}

impl LogLevel {
    pub(super) const WORDS: [(&'static str, Self); 6] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
        ("off", Self::Off),
    ];
}

impl Takeover {
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("none", Self::None),
        ("client", Self::Client),
        ("server", Self::Server),
        ("both", Self::Both),
    ];
}

impl SlowClient {
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("close", Self::Close),
        ("drop_newest", Self::DropNewest),
        ("drop_oldest", Self::DropOldest),
        ("keep_latest", Self::KeepLatest),
    ];
}

impl RatePolicy {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("pause", Self::Pause), ("close", Self::Close)];
}

impl ListenerProtocol {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("websocket", Self::WebSocket), ("http", Self::Http)];
}

impl Door {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("playground", Self::Playground), ("health", Self::Health), ("api", Self::Api)];
}

impl ClientAuth {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("required", Self::Required), ("optional", Self::Optional)];
}

impl DrainCloseCode {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("1001", Self::Away), ("1012", Self::Restart)];
}

impl TlsVersion {
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

impl Restart {
    pub(super) const WORDS: [(&'static str, Self); 3] =
        [("always", Self::Always), ("on-failure", Self::OnFailure), ("never", Self::Never)];
}

/// The words of a table, in its order.
pub(super) const fn words<T: Copy, const N: usize>(
    table: &[(&'static str, T); N],
) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = table[index].0;
        index += 1;
    }
    words
}

/// The word for a value in a table that has it.
pub(super) fn word<T: PartialEq>(value: T, table: &[(&'static str, T)]) -> String {
    table.iter().find(|(_, each)| *each == value).map_or("", |(word, _)| word).to_owned()
}

/// What a word stands for in a table; `None` for a word that is not in it.
pub(super) fn named<T: Copy>(text: &str, table: &[(&'static str, T)]) -> Option<T> {
    table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}
