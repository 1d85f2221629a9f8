//! What must hold between the listeners of one configuration.
//!
//! Owns the rules that no range of one key can express. It runs on the complete configuration.

use wsmaster_settings::Settings;

use super::own::path;
use crate::config::model::{
    address::ListenAddress,
    config::Config,
    error::ConfigError,
    listener::{ListenerConfig, MAIN_LISTENER},
};

/// The payload of the largest control frame (RFC 6455 section 5.5): no limit may be below it.
const CONTROL_BYTES_MAX: usize = 125;

/// What the listeners of `config` break. What was refused already is not there, or is at its
/// default, and says nothing twice.
pub(crate) fn check(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for (number, listener) in config.listeners.iter().enumerate() {
        let mut refuse = |key: &str, problem: Option<String>| {
            let subject = path(ListenerConfig::SCHEMA, number, key);
            if let (Some(place), Some(problem)) = (config.place(&subject), problem) {
                errors.push(ConfigError::new(place, &subject, problem));
            }
        };
        let before = &config.listeners[..number];
        refuse("name", repeated_name(listener, before));
        refuse("address", repeated_address(config, listener, before));
        let is_tcp = matches!(listener.address, ListenAddress::Tcp { .. });
        let unix_only = [
            ("mode", listener.mode != ListenerConfig::default().mode),
            ("user", listener.user.is_some()),
            ("group", listener.group.is_some()),
        ];
        for (key, is_set) in unix_only {
            let problem = || "expected only of an address that begins with unix:".to_owned();
            refuse(key, (is_tcp && is_set).then(problem));
        }
        refuse("tls", wrong_tls(config, listener));
        refuse("message_bytes_max", wrong_size(config, listener.message_bytes_max));
    }
    errors
}

fn wrong_tls(config: &Config, listener: &ListenerConfig) -> Option<String> {
    let wanted = if !listener.tls {
        return None;
    } else if !config.tls.is_on() {
        "a certificate in [tls] as well, found none"
    } else if !matches!(listener.address, ListenAddress::Tcp { .. }) {
        "false for an address that begins with unix:, found true"
    } else {
        return None;
    };
    Some(format!("expected {wanted}"))
}

fn repeated_name(listener: &ListenerConfig, before: &[ListenerConfig]) -> Option<String> {
    let name = &listener.name;
    if name == MAIN_LISTENER {
        return Some(format!("expected a name of its own, found \"{name}\", which is [server]"));
    }
    let first = before.iter().position(|other| other.name == *name)?;
    Some(format!(
        "expected a name of its own, found \"{name}\", which is {}",
        ListenerConfig::SCHEMA.subject(first)
    ))
}

fn repeated_address(
    config: &Config,
    listener: &ListenerConfig,
    before: &[ListenerConfig],
) -> Option<String> {
    let address = &listener.address;
    // The kernel gives each its own.
    if matches!(address, ListenAddress::Tcp { port: 0, .. }) {
        return None;
    }
    let whose = if config.server.address() == *address {
        "[server]".to_owned()
    } else {
        ListenerConfig::SCHEMA.subject(before.iter().position(|other| other.address == *address)?)
    };
    Some(format!("expected an address of its own, found \"{address}\", which is that of {whose}"))
}

/// A message must be deliverable to a client that waits for it, and find room on its way from one
/// process to another.
fn wrong_size(config: &Config, bytes: usize) -> Option<String> {
    let limits = &config.limits;
    let most = limits.outbox_bytes_max.saturating_sub(14).min(limits.backlog_bytes_max);
    match bytes {
        0 => None,
        1..CONTROL_BYTES_MAX => {
            Some(format!("expected 0 or at least {CONTROL_BYTES_MAX} bytes, found {bytes}"))
        }
        bytes if bytes > most => Some(format!(
            "expected at most {most} bytes, as limits.outbox_bytes_max and limits.backlog_bytes_max allow, found {bytes}"
        )),
        _ => None,
    }
}
