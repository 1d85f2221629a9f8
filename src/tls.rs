//! The files that `[tls]` names: read, checked, and put where the workers find them.
//!
//! Private keys are read by a process that ends at once ([`load_in_process`]): so neither the master nor a side process that is
//! forked from it later ever has one in its memory. What is left is a sealed memory file that the master holds and gives to
//! workers only.

pub(crate) mod files;
mod loader_process;
mod warning;

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    loader_process::load_in_process,
    warning::{Flaw, Warning},
};

/// What `[tls]` comes to.
#[derive(Debug)]
pub(crate) struct LoadedTls {
    /// For the workers: a [`TlsCredentials`](wsmaster_workers::tls::TlsCredentials).
    pub(crate) credentials: OwnedFd,
    pub(crate) summary: TlsSummary,
}

/// What can be told of it to anybody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct TlsSummary {
    /// In the order of the configuration.
    pub(crate) certificates: Vec<Certificate>,
    /// What is not wrong but will be, or should not be.
    pub(crate) warnings: Vec<Warning>,
    /// Two of these are the same when certificates, keys and rules are.
    pub(crate) fingerprint: [u8; 32],
}

/// One certificate, without its key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The file it was read from.
    pub file: String,
    /// The names it is for, the first 16 of them.
    pub names: Vec<String>,
    /// The last moment of its life.
    pub expires_unix_s: i64,
    /// Nobody else vouches for it: clients have to be given it.
    pub self_issued: bool,
}

/// Names of one certificate that are shown.
pub(crate) const NAMES_SHOWN_MAX: usize = 16;

impl Certificate {
    /// Whole days that it is valid from `now_unix_s` on; negative when it is over.
    pub fn days_left(&self, now_unix_s: i64) -> i64 {
        (self.expires_unix_s - now_unix_s).div_euclid(86_400)
    }
}
