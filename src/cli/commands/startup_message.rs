//! What a start says when the server serves. Pure.

use std::{fmt::Write, net::SocketAddr, path::Path};

use crate::{
    config::{App, Config, Door, ListenerConfig, ListenerProtocol, Origin},
    master::{Certificate, Endpoint, Serving},
};

/// The message. `made_key` is shown only when it was made up for this run: nobody else knows it.
pub(super) fn text(serving: &Serving, made_key: Option<&str>) -> String {
    let server = &serving.config.server;
    let Main { address, option, safe } = main_of(&serving.listeners, &serving.certificates);
    let workers = serving.workers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let log = match &server.log_file {
        Some(path) => path.display().to_string(),
        None if server.daemonize => "none (--log-file names one)".to_owned(),
        None => "standard error".to_owned(),
    };
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!("wsmaster {}", env!("CARGO_PKG_VERSION")));
    line("");
    for (number, (listener, endpoint)) in serving.listeners.iter().enumerate() {
        let label = if number == 0 { "listening" } else { "" };
        line(&format!("  {label:<11} {}", described(listener, endpoint)));
        if let Some(everywhere) = everywhere(endpoint) {
            line(&format!("              on every address of this machine ({everywhere})"));
        }
    }
    line(&format!("  serving     {}", describe(&server.app)));
    for route in &serving.config.routes {
        line(&format!("              {}  {}", route.path, route.app.name()));
    }
    for certificate in &serving.certificates {
        line(&format!("  certificate {}", shown(certificate)));
    }
    line(&format!("  processes   master {}, workers {workers}", serving.master));
    line(&format!("  config      {}", serving.config.sources));
    line(&format!("  pid file    {}", server.pid_file.display()));
    line(&format!("  log         {log}"));
    line("");
    match &server.app {
        App::Channels => {
            line(&format!("  Open http{safe}://{address}/ in two browser tabs and chat."));
            line("  Then publish to both from a third terminal:");
        }
        App::Echo | App::Broadcast | App::Plugin(_) => {
            line("  Send to every client from another terminal:");
        }
    }
    line("");
    let key = match made_key {
        Some(key) => key,
        None if serving.config.api.enabled => "$KEY",
        None => "",
    };
    let (path, body) = match &server.app {
        App::Channels => {
            ("publish", r#"{"channel":"chat.room.1","message":"hello from the terminal"}"#)
        }
        App::Echo | App::Broadcast | App::Plugin(_) => {
            ("broadcast", r#"{"text":"hello from the terminal"}"#)
        }
    };
    if key.is_empty() {
        line("    (the HTTP API is off: set api.key in the configuration to use it)");
    } else {
        let mut curl = String::new();
        let quote = if made_key.is_some() { '\'' } else { '"' };
        let _ = write!(
            curl,
            "    curl{option} http{safe}://{address}/api/{path} \\\n      \
             -H {quote}Authorization: Bearer {key}{quote} \\\n      -d '{body}'"
        );
        line(&curl);
        if made_key.is_some() {
            line("");
            line("  The key was made up for this run; api.key in the configuration sets your own.");
        }
    }
    line("");
    let target = target(&serving.config).map_or_else(String::new, |target| format!(" {target}"));
    line(&format!("  In another terminal:  wsmaster status{target}"));
    line(&format!("                        wsmaster reload{target}"));
    line(&format!("                        wsmaster stop{target}"));
    line("");
    text
}

/// What the commands need to find this server, from whichever directory; `None` when they find it by themselves.
fn target(config: &Config) -> Option<String> {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        quoted(&path.display().to_string())
    };
    let file = |name: &str| format!("-c {}", absolute(Path::new(name)));
    match config.origin("server.pid_file") {
        None | Some(Origin::Default) => None,
        Some(Origin::File { name, .. }) => Some(file(name)),
        // The other terminal may have another environment. `stop` waits as long as the file says.
        Some(Origin::Environment { .. } | Origin::Flag { .. }) => {
            let pid_file = format!("--pid-file {}", absolute(&config.server.pid_file));
            let file = config.sources.file.as_deref().map(file);
            Some(file.into_iter().chain([pid_file]).collect::<Vec<_>>().join(" "))
        }
    }
}

/// As a word that a shell leaves as it is.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+=:,@".contains(char);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn describe(app: &App) -> String {
    let name = app.name();
    match app {
        App::Channels => format!("{name}: clients subscribe and send messages to channels"),
        App::Echo => format!("{name}: every message goes back to its sender"),
        App::Broadcast => format!("{name}: every message goes to every client"),
        App::Plugin(_) => format!("{name}: clients speak with the [[process]] of this name"),
    }
}

/// The first listener, as the examples name it.
struct Main {
    address: String,
    /// What curl needs to find it and to trust it.
    option: String,
    /// "s" where it is encrypted.
    safe: &'static str,
}

fn main_of(listeners: &[(ListenerConfig, Endpoint)], certificates: &[Certificate]) -> Main {
    match listeners.first() {
        Some((listener, Endpoint::Inet(address))) => Main {
            address: reachable(*address).to_string(),
            // The first certificate is the one that is shown to clients that ask for no name, as curl does of an address.
            option: certificates
                .first()
                .filter(|certificate| listener.tls && certificate.self_issued)
                .map_or_else(String::new, |own| format!(" --cacert {}", own.file)),
            safe: if listener.tls { "s" } else { "" },
        },
        Some((_, Endpoint::Unix(path))) => Main {
            address: "localhost".to_owned(),
            option: format!(" --unix-socket {}", path.display()),
            safe: "",
        },
        None => Main { address: String::new(), option: String::new(), safe: "" },
    }
}

/// What can be had where.
fn described(listener: &ListenerConfig, endpoint: &Endpoint) -> String {
    let safe = if listener.tls { "s" } else { "" };
    let mut text = match (endpoint, listener.protocol) {
        (Endpoint::Inet(address), ListenerProtocol::WebSocket) => {
            let address = reachable(*address);
            format!("http{safe}://{address}/   ws{safe}://{address}/")
        }
        (Endpoint::Inet(address), ListenerProtocol::Http) => {
            format!("http{safe}://{}/", reachable(*address))
        }
        (Endpoint::Unix(_), ListenerProtocol::WebSocket) => {
            format!("{endpoint}   (HTTP, WebSocket)")
        }
        (Endpoint::Unix(_), ListenerProtocol::Http) => format!("{endpoint}   (HTTP)"),
    };
    if !listener.serves.is_empty() {
        let doors =
            [(Door::Playground, "playground"), (Door::Health, "health"), (Door::Api, "api")];
        let served: Vec<&str> = doors
            .into_iter()
            .filter(|(door, _)| listener.serves(*door))
            .map(|(_, name)| name)
            .collect();
        text.push_str(&format!("   ({} only)", served.join(", ")));
    }
    text
}

/// The address, if it is every one of the machine.
fn everywhere(endpoint: &Endpoint) -> Option<SocketAddr> {
    match endpoint {
        Endpoint::Inet(address) => address.ip().is_unspecified().then_some(*address),
        Endpoint::Unix(_) => None,
    }
}

fn shown(certificate: &Certificate) -> String {
    if certificate.names.is_empty() {
        return format!("{}, for no name", certificate.file);
    }
    format!("{}, for {}", certificate.file, certificate.names.join(" "))
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
