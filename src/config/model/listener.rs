//! `[[listener]]`: further addresses that the server listens on.
//!
//! Owns the declaration of its settings and their types.

use wsmaster_settings::{Array, Word, kinds::*, settings, text, words};

use super::{
    address::ListenAddress,
    validators::{is_system_name, is_table_name},
};

/// The most `[[listener]]` tables of a configuration. Each worker has a socket for each.
pub const LISTENERS_MAX: usize = 16;

/// The name of the listener that `[server]` says.
pub const MAIN_LISTENER: &str = "main";

settings! {
    /// A further address to listen on, beside that of [server], with rules of its own. Every worker serves all of them.
    pub struct ListenerConfig = array("listener", Array {
        plural: "listeners",
        most: LISTENERS_MAX,
        bounds: ". They have no variables; `--listen`, given again, adds one.",
        example: EXAMPLE,
    });

    /// What it is called in the log and in the status. No other listener may have the same; that of [server] is called
    /// "main".
    name: String = required("admin"), text("1 to 32 characters out of a-z 0-9 _ -", is_table_name), ["id", "title"];

    /// Where it listens. A file that a unix socket has left behind is removed if nobody listens on it; anything else in
    /// its place is left alone, and is an error.
    address: ListenAddress = required("unix:/run/wsmaster/admin.sock"),
        parsed::<ListenAddress>("HOST:PORT, :PORT, [IPV6]:PORT or unix:/PATH"),
        ["bind", "host", "listen", "path", "port", "socket"];

    /// Who may connect to a unix socket: its permissions, in octal.
    mode: Mode = is("0660"), text("permissions such as \"0660\"", is_mode), ["chmod", "permissions"];

    /// The owner of a unix socket, when root starts the server. Empty: who starts it.
    user: Option<String> = is(""), text("the name of a user, or \"\"", is_system_name), ["owner", "uid"];

    /// The group of a unix socket, when root starts the server. Empty: that of user, and without a user that of who
    /// starts it.
    group: Option<String> = is(""), text("the name of a group, or \"\"", is_system_name), ["gid"];

    /// "websocket" is HTTP, and WebSockets that begin with a request. "http" refuses to become a WebSocket (403), as
    /// Swoole does with open_websocket_protocol = false.
    protocol: ListenerProtocol = is("websocket"),
        choice::<ListenerProtocol>(),
        ["open_http_protocol", "open_websocket_protocol", "type"];

    /// What can be had by HTTP: the page on /, what is below /health, what is below /api/. All else is not there (404).
    /// Empty: everything.
    serves: Vec<HttpEndpoint> = empty(), set(choice::<HttpEndpoint>()), ["callbacks", "only", "routes"];

    /// Every connection begins with a header of the PROXY protocol, version 1 or 2, which tells of the client. Who is
    /// not one of trusted_proxies in [server] is hung up on.
    proxy_protocol: bool = is("false"), flag(), ["accept_proxy", "proxy", "send_proxy"];

    /// Every connection is encrypted, with the certificates of [tls]. Only on TCP. With proxy_protocol the header of
    /// the proxy stands before TLS, in the clear.
    tls: bool = is("false"), flag(), ["ssl", "secure", "encrypt"];

    /// Whether clients of this listener may agree on compression, where [compression] has it on. Near clients, as those
    /// behind a proxy on the same machine, save nothing by it.
    compression: bool = is("true"), flag(), ["compress", "deflate", "permessage_deflate", "websocket_compression"];

    /// Bytes of a message from a client of this listener. 0: as in [limits].
    message_bytes_max: usize = is("0"), size(0, GIB), ["max_message", "package_max_length"];
}

const EXAMPLE: &str = r#"
```toml
[[listener]]
name = "admin"
address = "unix:/run/wsmaster/admin.sock"
mode = "0600"
protocol = "http"
```
"#;

impl ListenerConfig {
    /// Whether requests for this are served.
    #[must_use]
    pub fn serves(&self, endpoint: HttpEndpoint) -> bool {
        self.serves.is_empty() || self.serves.contains(&endpoint)
    }

    /// What it serves, as the bits that a worker is given: see [`HttpEndpoint::is_in`].
    pub(crate) fn tag(&self) -> u32 {
        let endpoints = HttpEndpoint::WORDS.iter().map(|(_, endpoint)| *endpoint);
        endpoints.filter(|endpoint| self.serves(*endpoint)).map(HttpEndpoint::bit).sum()
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
pub enum HttpEndpoint {
    /// The page on `/`.
    Playground,
    /// What is below `/health`.
    Health,
    /// What is below `/api/`.
    Api,
}

impl HttpEndpoint {
    fn bit(self) -> u32 {
        match self {
            Self::Playground => 1,
            Self::Health => 2,
            Self::Api => 4,
        }
    }

    /// Whether the bits of a listener have this endpoint.
    pub(crate) fn is_in(self, tag: u32) -> bool {
        tag & self.bit() != 0
    }
}

words!(ListenerProtocol: "websocket" => WebSocket, "http" => Http);
words!(HttpEndpoint: "playground" => Playground, "health" => Health, "api" => Api);
text! {
    Mode: |mode| format!("{:04o}", mode.0), |text| u32::from_str_radix(text, 8).ok().map(Self);
}

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
}
