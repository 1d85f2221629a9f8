//! The keys of who may come in: which web pages, with which subprotocol, how many, and how many in a second.

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::rules::{is_origins, is_subprotocols};
use super::super::spans::{GIB, MIB};
use super::super::value::Kind;

pub(super) const ALLOWED_ORIGINS: Key = Key {
    section: Section::Server,
    name: "allowed_origins",
    kind: Kind::Text {
        expected: "origins such as \"https://example.com, https://example.net:8443\", \"*\", or \"\"",
        accepts: is_origins,
    },
    default: "",
    automatic: None,
    aliases: &[],
    about: "Which origins may open a WebSocket, by the header Origin that browsers send (RFC 6455 \
            section 10.2), separated by commas: of web pages, of apps (\"capacitor://localhost\", \
            \"tauri://localhost\", \"file://\"), of extensions (\"chrome-extension://ID\"). Empty: pages of \
            the host that the request names in Host, and pages of the browser's own machine (localhost \
            and loopback addresses). \"*\": any, and so does \"null\" in effect, since any page can make a \
            frame that sends it. Others are answered 403. Clients that send no Origin are no browsers \
            and are let in.",
    access: field!(server.allowed_origins),
};

pub(super) const SUBPROTOCOLS: Key = Key {
    section: Section::Server,
    name: "subprotocols",
    kind: Kind::Text {
        expected: "names of subprotocols such as \"chat.v2, chat.v1\", or \"\"",
        accepts: is_subprotocols,
    },
    default: "",
    automatic: None,
    aliases: &["websocket_subprotocol"],
    about: "The subprotocols it speaks, the best first. A client gets the first of them that it \
            offers (RFC 6455 section 1.9), unless the application chooses for itself; one \
            that offers none of them is let in without one.",
    access: field!(server.subprotocols),
};

pub(super) const CONNECTIONS_MAX: Key = Key {
    section: Section::Limits,
    name: "connections_max",
    kind: Kind::Integer { min: 1, max: 10_000_000 },
    default: "100000",
    automatic: None,
    aliases: &["max_conn", "max_connection", "maxConnections"],
    about: "Connections of the whole server at one time.",
    access: field!(limits.connections_max),
};

pub(super) const CONNECTIONS_PER_ADDRESS_MAX: Key = Key {
    section: Section::Limits,
    name: "connections_per_address_max",
    kind: Kind::Integer { min: 0, max: 10_000_000 },
    default: "0",
    automatic: None,
    aliases: &[],
    about: "Connections of one client address in one worker at one time; with several workers, an \
            address can have as many in each. One more is answered 503. The address is the one that \
            a trusted proxy tells of, if there is one; of IPv6, all addresses of a /64 are one. Unix \
            sockets are not counted. 0: any number, because a company or a mobile network may be \
            behind one address.",
    access: field!(limits.connections_per_address_max),
};

pub(super) const HALF_OPEN_MAX: Key = Key {
    section: Section::Limits,
    name: "half_open_max",
    kind: Kind::Integer { min: 0, max: 10_000_000 },
    default: "10000",
    automatic: None,
    aliases: &[],
    about: "Connections of one worker whose first request has not come yet, or not wholly, and those \
            that have begun a further one and not finished it. One more is answered 503. 0: any number.",
    access: field!(limits.half_open_max),
};

pub(super) const HALF_OPEN_PER_ADDRESS_MAX: Key = Key {
    section: Section::Limits,
    name: "half_open_per_address_max",
    kind: Kind::Integer { min: 0, max: 10_000_000 },
    default: "0",
    automatic: None,
    aliases: &[],
    about: "The same for connections of one client address, counted as connections_per_address_max \
            counts them. 0: any number, because all clients behind one address may come back at once.",
    access: field!(limits.half_open_per_address_max),
};

pub(super) const UNFINISHED_BYTES_MAX: Key = Key {
    section: Section::Limits,
    name: "unfinished_bytes_max",
    kind: Kind::Size { min: MIB, max: 64 * GIB },
    default: "128MiB",
    automatic: None,
    aliases: &[],
    about: "Memory of one worker for requests and messages that are not complete, all together. Beyond \
            it those are given up whose bytes, times the time since they began, are the most: a request is \
            answered 503, a message closes its connection with code 1013. More than body_bytes_max and \
            message_bytes_max, by 64 KiB.",
    access: field!(limits.unfinished_bytes_max),
};

pub(super) const ACCEPTS_PER_SECOND_MAX: Key = Key {
    section: Section::Limits,
    name: "accepts_per_second_max",
    kind: Kind::Integer { min: 0, max: 1_000_000 },
    default: "0",
    automatic: None,
    aliases: &[],
    about: "Connections one worker accepts in a second, on average; as many may come at once. Nobody is \
            refused: the others wait in the kernel, as many as backlog says. 0: any number.",
    access: field!(limits.accepts_per_second_max),
};
