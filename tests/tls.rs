//! TLS on the real server, by clients that end TLS themselves: handshakes good and bad, sessions that are taken up by other
//! workers, certificates that change under load, and bytes that arrive in every unkind way.

mod support;

#[path = "support/authority.rs"]
mod authority;
#[path = "tls/bytes.rs"]
mod bytes;
#[path = "tls/client.rs"]
mod client;
#[path = "tls/files.rs"]
mod files;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "support/kernel.rs"]
mod kernel;
#[path = "tls/place.rs"]
mod place;
#[path = "tls/renewal.rs"]
mod renewal;
#[path = "tls/secrets.rs"]
mod secrets;
#[path = "tls/sessions.rs"]
mod sessions;
