//! The protocols of wsmaster as pure machines.
//!
//! Bytes and the time come in as arguments; events and bytes go out. There is no socket, clock, thread, file or random
//! number in this crate, and its manifest has no package that could bring one.
//!
//! - [`http`]: one HTTP/1.1 request after the other, strictly read and bounded.
//! - [`handshake`]: whether a request may become a WebSocket, and the answer to it.
//! - [`origin`]: which web pages may ask for one.
//! - [`subprotocols`]: which subprotocol it speaks.
//! - [`session`]: an open WebSocket connection (RFC 6455). tungstenite gives the codes and the longer frame headers.
//! - [`deflate`]: permessage-deflate (RFC 7692): the negotiation and both directions.
//! - [`frame`], [`mask`], [`utf8`], [`close`]: its parts.
//! - [`peer`], [`proxy`]: who is at the other end, and what proxies tell of who is behind them.
//! - [`calendar`]: dates, as answers, certificates and people have them.
//! - [`channels`]: the JSON messages of the built-in channel application.
//! - [`plugin`]: the JSON lines of side processes written in any language.
//! - [`api`]: the JSON bodies of the HTTP API.
//! - [`one_line`]: JSON as one line for each value, whatever is in it.
//! - [`word_list`]: words in a sentence.

pub mod api;
pub mod calendar;
pub mod channels;
pub mod close;
pub mod deflate;
mod digits;
mod error;
pub mod frame;
pub mod handshake;
pub mod http;
pub mod mask;
pub mod one_line;
pub mod origin;
pub mod peer;
pub mod plugin;
pub mod proxy;
pub mod session;
pub mod subprotocols;
pub mod utf8;
pub mod word_list;
