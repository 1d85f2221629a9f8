//! The settings: their declarations, the configuration that they make up, and what can be wrong with one.
//!
//! Owns all names, ranges, defaults and explanations. It reads and writes nothing.

pub(crate) mod address;
pub(crate) mod app;
pub(crate) mod config;
pub(crate) mod error;
pub(crate) mod features;
pub(crate) mod listener;
pub(crate) mod os_types;
pub(crate) mod process;
pub(crate) mod route;
pub(crate) mod secret;
pub(crate) mod server;
pub(crate) mod source;
pub(crate) mod tables;
pub(crate) mod tls;
pub(crate) mod validators;
