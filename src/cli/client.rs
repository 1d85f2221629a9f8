//! The arguments of `wsmaster client`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::inspect_args::interval;

/// What to connect to, and how to behave there.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// Where to connect to.
    #[arg(
        help = "Where to connect to: ws://HOST[:PORT][/PATH], or wss:// for TLS",
        value_name = "URL"
    )]
    pub url: String,
    /// Add a header to the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    /// Offer a subprotocol; may be given several times, the preferred one first
    #[arg(long = "subprotocol", value_name = "NAME", value_parser = token)]
    pub subprotocols: Vec<String>,
    /// Send this Origin, as a browser would
    #[arg(long, value_name = "ORIGIN", value_parser = header_value)]
    pub origin: Option<String>,
    /// Trust the authorities in this PEM file too, besides those of the system; may be given several times
    #[arg(long = "ca", value_name = "FILE")]
    pub ca_files: Vec<PathBuf>,
    /// Trust any certificate: whoever stands between can read along and answer
    #[arg(long, conflicts_with = "ca_files")]
    pub insecure: bool,
    /// Show the server this certificate, a PEM file with those it is signed with behind it
    #[arg(long = "cert", value_name = "FILE", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// The private key of --cert, a PEM file without a passphrase
    #[arg(long = "key", value_name = "FILE", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
    /// Send lines as binary messages
    #[arg(long)]
    pub binary: bool,
    /// Send a ping so often, and fail when the one before was not answered
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub ping: Option<Duration>,
    /// Tell how long connecting, the handshakes and a ping took
    #[arg(long)]
    pub timing: bool,
    /// Print JSON, one object for each thing that happens
    #[arg(long)]
    pub json: bool,
    /// Close after so many messages have come; the end of the input no longer closes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub exit_after: Option<u64>,
    /// The same as --exit-after 1
    #[arg(long, conflicts_with = "exit_after")]
    pub once: bool,
    /// Go on printing messages after the end of the input
    #[arg(long)]
    pub no_close_on_eof: bool,
    /// How long connecting and the handshakes may take together [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = interval, default_value = "10", hide_default_value = true)]
    pub connect_timeout: Duration,
}

impl ClientOptions {
    /// The first of the options that say something about TLS, if there is one.
    #[must_use]
    pub fn first_about_tls(&self) -> Option<&'static str> {
        [
            (!self.ca_files.is_empty(), "--ca"),
            (self.insecure, "--insecure"),
            (self.cert_file.is_some(), "--cert"),
        ]
        .into_iter()
        .find_map(|(is_given, name)| is_given.then_some(name))
    }

    /// After how many messages it closes.
    #[must_use]
    pub fn messages_max(&self) -> Option<u64> {
        if self.once { Some(1) } else { self.exit_after }
    }
}

/// Names that the handshake writes itself.
const OWN_HEADERS: [&str; 7] = [
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "content-length",
];

fn header(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("expected 'NAME: VALUE'".to_owned());
    };
    let name = token(name)?;
    if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("{name} is a header of the handshake itself"));
    }
    Ok((name, header_value(value.trim())?))
}

/// A token of RFC 9110, 5.6.2.
fn token(text: &str) -> Result<String, String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_part) {
        return Err("expected letters, digits and - . _ without blanks".to_owned());
    }
    Ok(text.to_owned())
}

/// The value of a header (RFC 9110, 5.5): nothing that could end its line.
fn header_value(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("a control character cannot stand in a header".to_owned());
    }
    Ok(text.to_owned())
}
