//! The keys of what waits for clients that read slowly: in the kernel, in an outbox, in all of them.

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::settings::SlowClient;
use super::super::spans::{GIB, KIB, MIB};
use super::super::value::Kind;
use super::super::words::words;

pub(super) const OUTBOX_BYTES_MAX: Key = Key {
    section: Section::Limits,
    name: "outbox_bytes_max",
    kind: Kind::Size { min: KIB, max: GIB },
    default: "1MiB",
    automatic: None,
    aliases: &["socket_buffer_size"],
    about: "Bytes that may wait for one client that reads too slowly. At least \
            message_bytes_max and 14 bytes for the head of a frame.",
    access: field!(limits.outbox_bytes_max),
};

pub(super) const SLOW_CLIENT: Key = Key {
    section: Section::Limits,
    name: "slow_client",
    kind: Kind::Choice { words: &words(&SlowClient::WORDS), numbered: &[] },
    default: "close",
    automatic: None,
    aliases: &[],
    about: "What a message for a full outbox does. \"close\" closes the client with code 1013. \
            The others keep it and count what is lost: \"drop_newest\" drops the message, \
            \"drop_oldest\" drops the oldest that wait, as many as are needed, and \
            \"keep_latest\" drops all that wait, which suits those who send states, not steps.",
    access: field!(limits.slow_client),
};

pub(super) const OUTBOXES_BYTES_MAX: Key = Key {
    section: Section::Limits,
    name: "outboxes_bytes_max",
    kind: Kind::Size { min: MIB, max: 64 * GIB },
    default: "256MiB",
    automatic: None,
    aliases: &[],
    about: "Memory that all outboxes of one worker may hold together; a message that waits for \
            many counts once. Beyond it the clients for whom the most waits are closed with \
            code 1013.",
    access: field!(limits.outboxes_bytes_max),
};

pub(super) const UNSENT_BYTES_MAX: Key = Key {
    section: Section::Limits,
    name: "unsent_bytes_max",
    kind: Kind::Size { min: 0, max: GIB },
    default: "128KiB",
    automatic: None,
    aliases: &[],
    about: "What the kernel takes for one client beyond what is on its way to it \
            (TCP_NOTSENT_LOWAT). The rest waits in the client's outbox, where it has a bound, and \
            where a policy can still drop it; the kernel alone would keep up to 4 MiB for each \
            client that does not read. How fast a client can be sent to does not depend on it. \
            0: what net.ipv4.tcp_notsent_lowat says.",
    access: field!(limits.unsent_bytes_max),
};
