//! The keys of compression (permessage-deflate).

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::settings::Takeover;
use super::super::value::Kind;
use super::super::words::words;

pub(super) const ENABLED: Key = Key {
    section: Section::Compression,
    name: "enabled",
    kind: Kind::Flag,
    default: "false",
    automatic: None,
    aliases: &["websocket_compression"],
    about: "Agree to permessage-deflate (RFC 7692) when a client offers it.",
    access: field!(compression.enabled),
};

pub(super) const LEVEL: Key = Key {
    section: Section::Compression,
    name: "level",
    kind: Kind::Integer { min: 1, max: 9 },
    default: "1",
    automatic: None,
    aliases: &[],
    about: "From 1, the fastest, to 9, the densest.",
    access: field!(compression.level),
};

pub(super) const MESSAGE_BYTES_MIN: Key = Key {
    section: Section::Compression,
    name: "message_bytes_min",
    kind: Kind::Size { min: 0, max: 1 << 30 },
    default: "256",
    automatic: None,
    aliases: &[],
    about: "Messages to clients that are shorter than this are sent as they are, and so are \
            those that would not become shorter.",
    access: field!(compression.message_bytes_min),
};

pub(super) const CONTEXT_TAKEOVER: Key = Key {
    section: Section::Compression,
    name: "context_takeover",
    kind: Kind::Choice { words: &words(&Takeover::WORDS), numbered: &[] },
    default: "none",
    automatic: None,
    aliases: &[],
    about: "Whose messages may refer to earlier ones of the same connection, which makes them \
            shorter: \"none\", those of the \"client\", of the \"server\", or \"both\". Each direction \
            keeps a window in memory for each connection, and with the server's a message to many is \
            compressed for each of them anew. Where limits.slow_client drops messages that wait, the \
            server's do not refer to earlier ones. Clients that do not offer client_no_context_takeover \
            may refer to earlier messages in any case: with \"none\" and \"server\" 1 KiB is kept of those \
            that offer client_max_window_bits, and a whole window of the others.",
    access: field!(compression.context_takeover),
};

pub(super) const WINDOW_BITS: Key = Key {
    section: Section::Compression,
    name: "window_bits",
    kind: Kind::Integer { min: 9, max: 15 },
    default: "15",
    automatic: None,
    aliases: &[],
    about: "How far back messages may refer: 9 is 512 bytes, each more doubles it, 15 is \
            32 KiB. Clients that ask for less get less; those that do not offer client_max_window_bits \
            cannot be asked to refer less far back than 32 KiB.",
    access: field!(compression.window_bits),
};

pub(super) const CONTEXT_BYTES_MAX: Key = Key {
    section: Section::Compression,
    name: "context_bytes_max",
    kind: Kind::Size { min: 0, max: 64 << 30 },
    default: "16MiB",
    automatic: None,
    aliases: &[],
    about: "Memory that a worker may promise to the windows of its connections. A client for \
            which there is no room is compressed without context takeover, or goes without compression \
            (which compression_declined counts) if it has not offered to do without.",
    access: field!(compression.context_bytes_max),
};
