//! `[compression]`, `[api]` and `[channels]`: what can be had beside messages.
//!
//! Owns the declaration of their settings and their types.

use std::time::Duration;

use wsmaster_settings::{kinds::*, settings, words};

use super::{secret::Secret, validators::is_bearer_key};

settings! {
    /// Compression of messages (permessage-deflate).
    pub struct CompressionConfig = section("compression");

    /// Agree to permessage-deflate (RFC 7692) when a client offers it.
    enabled: bool = is("false"), flag(), ["websocket_compression"];

    /// From 1, the fastest, to 9, the densest.
    level: u16 = is("1"), integer(1, 9), [];

    /// Messages to clients that are shorter than this are sent as they are, and so are those that would not become
    /// shorter.
    message_bytes_min: usize = is("256"), size(0, GIB), [];

    /// Whose messages may refer to earlier ones of the same connection, which makes them shorter: "none", those of the
    /// "client", of the "server", or "both". Each direction keeps a window in memory for each connection, and with the
    /// server's a message to many is compressed for each of them anew. Where limits.slow_client drops messages that
    /// wait, the server's do not refer to earlier ones. Clients that do not offer client_no_context_takeover may refer
    /// to earlier messages in any case: with "none" and "server" 1 KiB is kept of those that offer
    /// client_max_window_bits, and a whole window of the others.
    context_takeover: Takeover = is("none"), choice::<Takeover>(), [];

    /// How far back messages may refer: 9 is 512 bytes, each more doubles it, 15 is 32 KiB. Clients that ask for less
    /// get less; those that do not offer client_max_window_bits cannot be asked to refer less far back than 32 KiB.
    window_bits: u16 = is("15"), integer(9, 15), [];

    /// Memory that a worker may promise to the windows of its connections. A client for which there is no room is
    /// compressed without context takeover, or goes without compression (which compression_declined counts) if it has
    /// not offered to do without.
    context_bytes_max: usize = is("16MiB"), size(0, 64 * GIB), [];
}

settings! {
    /// The HTTP interface under /api.
    pub struct ApiConfig = section("api");

    /// Whether there is an HTTP interface under /api.
    enabled: bool = is("true"), flag(), [];

    /// The bearer key that guards /api (RFC 6750 section 2.1). Empty: on a loopback address one is made up at the
    /// start, on any other address /api stays off and the start says so. WSMASTER_API_KEY keeps it out of the file.
    key: Secret = is(""),
        secret(
            "\"\" or a bearer key of 16 to 256 characters out of A-Z a-z 0-9 - . _ ~ + / with = at its end only",
            is_bearer_key,
        ),
        [];
}

settings! {
    /// The built-in channel application.
    pub struct ChannelsConfig = section("channels");

    /// The interval told to clients in "welcome".
    heartbeat_interval: Duration = is("30s"), time(SECOND, HOUR), ["heartbeatInterval"];
}

/// In which direction compressed messages may refer to earlier ones of the same connection (`context_takeover`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// No messages: an idle connection keeps no window.
    None,
    /// The client's.
    Client,
    /// The server's.
    Server,
    /// Those of both.
    Both,
}

words!(Takeover: "none" => None, "client" => Client, "server" => Server, "both" => Both);
