//! What a key is: its place, its names, its kind, and the values only the machine can tell.
//!
//! Owns the types of the table of keys. The keys themselves stand in the table.

use std::path::{Path, PathBuf};

use super::access::Access;
use super::table::KEYS;
use super::value::{Kind, Value};
use super::{Config, Machine};

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Server,
    Tls,
    Limits,
    Compression,
    Api,
    Channels,
}

impl Section {
    /// In the order of the file.
    pub(super) const ALL: [Self; 6] =
        [Self::Server, Self::Tls, Self::Limits, Self::Compression, Self::Api, Self::Channels];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Tls => "tls",
            Self::Limits => "limits",
            Self::Compression => "compression",
            Self::Api => "api",
            Self::Channels => "channels",
        }
    }

    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Server => "Where the server listens, how many processes it is, how it lives.",
            Self::Tls => {
                "Encryption (wss://, https://). It is on as soon as there is a certificate; \
                 docs/tls.md tells how to get one. `wsmaster reload` takes new files up without \
                 closing a connection."
            }
            Self::Limits => "What one client, and all of them together, may cost.",
            Self::Compression => "Compression of messages (permessage-deflate).",
            Self::Api => "The HTTP interface under /api.",
            Self::Channels => "The built-in channel application.",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) section: Section,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As it would be given in the environment.
    pub(super) default: &'static str,
    /// The word that leaves the value to the server, and what the server does then.
    pub(super) automatic: Option<Automatic>,
    /// Names of the Swoole family, understood in `[server]` and at the top of the file.
    pub(super) aliases: &'static [&'static str],
    pub(super) about: &'static str,
    pub(super) access: Access,
}

/// A value the server works out once all the others are known.
#[derive(Debug)]
pub(super) struct Automatic {
    pub(super) word: &'static str,
    pub(super) meaning: &'static str,
    pub(super) compute: fn(&Config, &Machine) -> Value,
}

impl Key {
    /// `server.port`
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section.name(), self.name)
    }

    /// `WSMASTER_SERVER_PORT`
    pub(super) fn variable(&self) -> String {
        format!("WSMASTER_{}_{}", self.section.name(), self.name).to_ascii_uppercase()
    }

    /// The word that leaves the value to the server.
    pub(super) fn automatic_word(&self) -> Option<&'static str> {
        self.automatic.as_ref().map(|automatic| automatic.word)
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret { .. })
    }
}

/// The place of a setting in [`KEYS`], by its path such as `server.port`.
pub(super) fn position(path: &str) -> Option<usize> {
    let (section, name) = path.split_once('.')?;
    KEYS.iter().position(|key| key.section.name() == section && key.name == name)
}

impl Machine {
    /// Workers of `"auto"`: the CPUs, within the range of the key.
    pub(super) fn workers(&self) -> u64 {
        u64::try_from(self.cpus).unwrap_or(u64::MAX).clamp(1, 1_000)
    }

    /// The default place of the PID file.
    pub(super) fn pid_file(&self) -> PathBuf {
        let directory = match (self.uid, &self.runtime_dir) {
            (0, _) => PathBuf::from("/run/wsmaster"),
            (_, Some(runtime_dir)) => runtime_dir.join("wsmaster"),
            (uid, None) => Path::new("/tmp").join(format!("wsmaster-{uid}")),
        };
        directory.join("wsmaster.pid")
    }
}
