//! What a start says when the server serves. Pure.

use std::{fmt::Write, net::SocketAddr};

use crate::{config::App, master::Serving};

/// The banner. `made_key` is shown only when it was made up for this run: nobody else knows it.
pub(super) fn banner(serving: &Serving, made_key: Option<&str>) -> String {
    let server = &serving.config.server;
    let address = reachable(serving.address);
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
    line(&format!("  listening   http://{address}/   ws://{address}/"));
    if serving.address.ip().is_unspecified() {
        line(&format!("              on every address of this machine ({})", serving.address));
    }
    line(&format!("  serving     {}", describe(server.app)));
    line(&format!("  processes   master {}, workers {workers}", serving.master));
    line(&format!("  config      {}", serving.config.sources));
    line(&format!("  pid file    {}", server.pid_file.display()));
    line(&format!("  log         {log}"));
    line("");
    match server.app {
        App::Channels => {
            line(&format!("  Open http://{address}/ in two browser tabs and chat."));
            line("  Then publish to both from a third terminal:");
        }
        App::Echo | App::Broadcast => line("  Send to every client from another terminal:"),
    }
    line("");
    let key = match made_key {
        Some(key) => key,
        None if serving.config.api.enabled => "$KEY",
        None => "",
    };
    let (path, body) = match server.app {
        App::Channels => {
            ("publish", r#"{"channel":"chat.room.1","message":"hello from the terminal"}"#)
        }
        App::Echo | App::Broadcast => ("broadcast", r#"{"text":"hello from the terminal"}"#),
    };
    if key.is_empty() {
        line("    (the HTTP API is off: set api.key in the configuration to use it)");
    } else {
        let mut curl = String::new();
        let quote = if made_key.is_some() { '\'' } else { '"' };
        let _ = write!(
            curl,
            "    curl http://{address}/api/{path} \\\n      \
             -H {quote}Authorization: Bearer {key}{quote} \\\n      -d '{body}'"
        );
        line(&curl);
        if made_key.is_some() {
            line("");
            line("  The key was made up for this run; api.key in the configuration sets your own.");
        }
    }
    line("");
    line("  In another terminal:  wsmaster status | reload | stop");
    line("");
    text
}

fn describe(app: App) -> &'static str {
    match app {
        App::Channels => "channels: clients subscribe and send messages to channels",
        App::Echo => "echo: every message goes back to its sender",
        App::Broadcast => "broadcast: every message goes to every client",
    }
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
