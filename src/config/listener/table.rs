//! The table of the keys of `[[listener]]`: the one place where they are declared.
//!
//! The reading of the file, the example in `config default`, `config show` and the reference in the
//! documentation all come from it.

use super::{Door, ListenerConfig, ListenerProtocol};
use crate::config::access::field;
use crate::config::address::is_address;
use crate::config::array::{Shape, TableKey};
use crate::config::rules::{is_system_name, is_table_name};
use crate::config::value::Kind;
use crate::config::words::words;

/// Every setting of a listener, in the order of the file.
pub(super) static KEYS: &[TableKey<ListenerConfig>] = &[
    TableKey {
        name: "name",
        shape: Shape::required(
            Kind::Text {
                expected: "1 to 32 characters out of a-z 0-9 _ -",
                accepts: is_table_name,
            },
            "admin",
        ),
        synonyms: &["id", "title"],
        about: "What it is called in the log and in the status. No other listener may have the \
                same; that of [server] is called \"main\".",
        access: field!(name),
    },
    TableKey {
        name: "address",
        shape: Shape::required(
            Kind::Text {
                expected: "HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH",
                accepts: is_address,
            },
            "unix:/run/wsmaster/admin.sock",
        ),
        synonyms: &["bind", "host", "listen", "path", "port", "socket"],
        about: "Where it listens. A file that a unix socket has left behind is removed if nobody \
                listens on it; anything else in its place is left alone, and is an error.",
        access: field!(address),
    },
    TableKey {
        name: "mode",
        shape: Shape::one(
            Kind::Text { expected: "permissions such as \"0660\"", accepts: is_mode },
            "0660",
        ),
        synonyms: &["chmod", "permissions"],
        about: "Who may connect to a unix socket: its permissions, in octal.",
        access: field!(mode),
    },
    TableKey {
        name: "user",
        shape: Shape::one(
            Kind::Text { expected: "the name of a user, or \"\"", accepts: is_system_name },
            "",
        ),
        synonyms: &["owner", "uid"],
        about: "The owner of a unix socket, when root starts the server. Empty: who starts it.",
        access: field!(user),
    },
    TableKey {
        name: "group",
        shape: Shape::one(
            Kind::Text { expected: "the name of a group, or \"\"", accepts: is_system_name },
            "",
        ),
        synonyms: &["gid"],
        about: "The group of a unix socket, when root starts the server. Empty: that of user, and \
                without a user that of who starts it.",
        access: field!(group),
    },
    TableKey {
        name: "protocol",
        shape: Shape::one(
            Kind::Choice { words: &words(&ListenerProtocol::WORDS), numbered: &[] },
            "websocket",
        ),
        synonyms: &["open_http_protocol", "open_websocket_protocol", "type"],
        about: "\"websocket\" is HTTP, and WebSockets that begin with a request. \"http\" refuses \
                to become a WebSocket (403), as Swoole does with open_websocket_protocol = false.",
        access: field!(protocol),
    },
    TableKey {
        name: "serves",
        shape: Shape::List {
            each: Kind::Choice { words: &words(&Door::WORDS), numbered: &[] },
            is_set: true,
        },
        synonyms: &["callbacks", "only", "routes"],
        about: "What can be had by HTTP: the page on /, what is below /health, what is below /api/. \
                All else is not there (404). Empty: everything.",
        access: field!(serves),
    },
    TableKey {
        name: "proxy_protocol",
        shape: Shape::one(Kind::Flag, "false"),
        synonyms: &["accept_proxy", "proxy", "send_proxy"],
        about: "Every connection begins with a header of the PROXY protocol, version 1 or 2, which \
                tells of the client. Who is not one of trusted_proxies in [server] is hung up on.",
        access: field!(proxy_protocol),
    },
    TableKey {
        name: "tls",
        shape: Shape::one(Kind::Flag, "false"),
        synonyms: &["ssl", "secure", "encrypt"],
        about: "Every connection is encrypted, with the certificates of [tls]. Only on TCP. With \
                proxy_protocol the header of the proxy stands before TLS, in the clear.",
        access: field!(tls),
    },
    TableKey {
        name: "compression",
        shape: Shape::one(Kind::Flag, "true"),
        synonyms: &["compress", "deflate", "permessage_deflate", "websocket_compression"],
        about: "Whether clients of this listener may agree on compression, where [compression] has it \
                on. Near clients, as those behind a proxy on the same machine, save nothing by it.",
        access: field!(compression),
    },
    TableKey {
        name: "message_bytes_max",
        shape: Shape::one(Kind::Size { min: 0, max: 1 << 30 }, "0"),
        synonyms: &["max_message", "package_max_length"],
        about: "Bytes of a message from a client of this listener. 0: as in [limits].",
        access: field!(message_bytes_max),
    },
];

/// Three octal digits, or four of which the first is 0.
fn is_mode(text: &str) -> bool {
    let digits = text.strip_prefix('0').filter(|rest| rest.len() == 3).unwrap_or(text);
    digits.len() == 3 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, is_one) in [
            ("0660", true),
            ("660", true),
            ("0000", true),
            ("777", true),
            ("0888", false),
            ("66", false),
            ("1777", false),
            ("00660", false),
            ("", false),
            ("+66", false),
        ] {
            assert_eq!(is_mode(text), is_one, "{text}");
        }
    }

    #[test]
    fn no_name_and_no_synonym_stands_for_two_keys() {
        let names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.synonyms));
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
