//! What proxies tell of the clients behind them, and which of them are believed.
//!
//! - [`preface`]: the PROXY protocol, versions 1 and 2: a header in front of the first byte of a connection;
//! - [`forwarded`]: headers of HTTP requests;
//! - [`trust`]: whose word counts. Anybody can write such a header, so it is read only of a peer that is trusted.

pub mod forwarded;
pub mod preface;
pub mod trust;
