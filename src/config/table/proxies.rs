//! The keys of clients behind proxies: who is believed about them, and how it is told.

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::rules::is_trust;
use super::super::settings::ForwardedHeader;
use super::super::value::Kind;
use super::super::words::words;

pub(super) const PROXY_PROTOCOL: Key = Key {
    section: Section::Server,
    name: "proxy_protocol",
    kind: Kind::Flag,
    default: "false",
    automatic: None,
    aliases: &[],
    about: "Every connection to this address begins with a header of the PROXY protocol, version 1 \
            or 2, which tells of the client. Who is not one of trusted_proxies is hung up on.",
    access: field!(server.proxy_protocol),
};

pub(super) const TRUSTED_PROXIES: Key = Key {
    section: Section::Server,
    name: "trusted_proxies",
    kind: Kind::Text {
        expected: "addresses and networks such as \"127.0.0.1, 10.0.0.0/8, unix\", or \"\"",
        accepts: is_trust,
    },
    default: "",
    automatic: None,
    aliases: &[],
    about: "Who is believed when it tells of the clients behind it, by the PROXY protocol or in \
            headers: IP addresses and networks, separated by commas; \"unix\" is whoever comes by \
            a unix socket. Everybody else's headers are ignored.",
    access: field!(server.trusted_proxies),
};

pub(super) const FORWARDED_HEADER: Key = Key {
    section: Section::Server,
    name: "forwarded_header",
    kind: Kind::Choice { words: &words(&ForwardedHeader::ALL), numbered: &[] },
    default: "x-forwarded-for",
    automatic: None,
    aliases: &[],
    about: "The header in which trusted proxies tell of a client; \"forwarded\" is that of RFC \
            7239. The others are ignored: a client can send them, and a proxy that does not know \
            them passes them on. Of several addresses, the rightmost that is no trusted proxy's is \
            the client's. With the first two, X-Forwarded-Proto says whether it came over TLS.",
    access: field!(server.forwarded_header),
};
