//! The keys of the rotation of the log.
//!
//! Owns their declaration only.

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::spans::{GIB, KIB};
use super::super::value::Kind;

pub(super) const LOG_ROTATE_BYTES: Key = Key {
    section: Section::Server,
    name: "log_rotate_bytes",
    kind: Kind::SizeOrOff { min: 4 * KIB, max: 1024 * GIB },
    default: "0",
    automatic: None,
    aliases: &[],
    about: "Size of log_file at which it is moved aside and a new one begun; it may grow a little \
            beyond. 0: never, for when something else moves it (\"wsmaster logs reopen\").",
    access: field!(server.log_rotate_bytes),
};

pub(super) const LOG_ROTATE_KEEP: Key = Key {
    section: Section::Server,
    name: "log_rotate_keep",
    kind: Kind::Integer { min: 1, max: 1_000 },
    default: "5",
    automatic: None,
    aliases: &[],
    about: "Older log files that stay when log_rotate_bytes is set: log_file.1 is the latest of \
            them.",
    access: field!(server.log_rotate_keep),
};
