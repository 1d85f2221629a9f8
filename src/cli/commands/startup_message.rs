//! What a start says when the server serves. Pure.

use std::net::SocketAddr;

use super::hint;
use crate::{
    config::{App, HttpEndpoint, ListenerConfig, ListenerProtocol},
    master::{Certificate, Endpoint, Serving},
};

/// The message. `made_key` is shown only when it was generated for this run: nobody else knows it.
pub(super) fn text(serving: &Serving, made_key: Option<&str>) -> String {
    let main = main_of(&serving.listeners, &serving.certificates);
    let first_step = match &serving.config.server.app {
        App::Channels => format!(
            "  Open http{}://{}/ in two browser tabs and chat.\n  \
             Then publish to both from a third terminal:\n",
            main.safe, main.address
        ),
        App::Echo | App::Broadcast | App::Plugin(_) => {
            "  Send to every client from another terminal:\n".to_owned()
        }
    };
    let target = hint::flags_of(&serving.config);
    format!(
        "{}\n{first_step}\n{}\n  \
         In another terminal:  wsmaster status{target}\n                        \
         wsmaster reload{target}\n                        \
         wsmaster stop{target}\n\n",
        what_runs(serving),
        example_call(serving, &main, made_key),
    )
}

/// What listens where, which processes there are, and which files are in use.
fn what_runs(serving: &Serving) -> String {
    let server = &serving.config.server;
    let mut text = format!("wsmaster {}\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |label: &str, what: &str| text.push_str(&format!("  {label:<11} {what}\n"));
    for (number, (listener, endpoint)) in serving.listeners.iter().enumerate() {
        let label = if number == 0 { "listening" } else { "" };
        line(label, &described(listener, endpoint));
        if let Some(everywhere) = everywhere(endpoint) {
            line("", &format!("on every address of this machine ({everywhere})"));
        }
    }
    line("serving", &describe(&server.app));
    for route in &serving.config.routes {
        line("", &format!("{}  {}", route.path, route.app.name()));
    }
    for certificate in &serving.certificates {
        line("certificate", &shown(certificate));
    }
    let workers = serving.workers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    line("processes", &format!("master {}, workers {workers}", serving.master));
    line("config", &serving.config.sources.to_string());
    line("pid file", &server.pid_file.display().to_string());
    line(
        "log",
        &match &server.log_file {
            Some(path) => path.display().to_string(),
            None if server.daemonize => "none (--log-file names one)".to_owned(),
            None => "standard error".to_owned(),
        },
    );
    text
}

/// A call of the HTTP API that reaches every client, to be pasted into a shell.
fn example_call(serving: &Serving, main: &Main, made_key: Option<&str>) -> String {
    let (key, quote) = match made_key {
        Some(key) => (key, '\''),
        None if serving.config.api.enabled => ("$KEY", '"'),
        None => {
            let off = "the HTTP API is off: set api.key in the configuration to use it";
            return format!("    ({off})\n");
        }
    };
    let (path, body) = match &serving.config.server.app {
        App::Channels => {
            ("publish", r#"{"channel":"chat.room.1","message":"hello from the terminal"}"#)
        }
        App::Echo | App::Broadcast | App::Plugin(_) => {
            ("broadcast", r#"{"text":"hello from the terminal"}"#)
        }
    };
    let Main { address, option, safe } = main;
    let mut text = format!(
        "    curl{option} http{safe}://{address}/api/{path} \\\n      \
         -H {quote}Authorization: Bearer {key}{quote} \\\n      -d '{body}'\n"
    );
    if made_key.is_some() {
        text.push_str(
            "\n  The key was made up for this run; api.key in the configuration sets your own.\n",
        );
    }
    text
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
        let endpoints = [
            (HttpEndpoint::Playground, "playground"),
            (HttpEndpoint::Health, "health"),
            (HttpEndpoint::Api, "api"),
        ];
        let served: Vec<&str> = endpoints
            .into_iter()
            .filter(|(endpoint, _)| listener.serves(*endpoint))
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
