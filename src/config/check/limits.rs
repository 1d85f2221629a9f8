//! What must hold between two settings.
//!
//! Owns the rules that no range of one key can express. It runs on the complete configuration, so a
//! value of the environment is held against one of the file.

use wsmaster_ipc::sys::log_output::stream_number;

use wsmaster_settings::{Origin, Settings, describe_size};

use crate::config::model::{
    config::Config,
    error::{ConfigError, Place},
    tls::TlsConfig,
};

/// The longest head of a frame (RFC 6455 section 5.2: 2 bytes, 8 of length, 4 of mask).
const FRAME_HEAD_BYTES_MAX: usize = 14;

/// `smaller + extra` must not exceed `larger`.
struct Fits {
    smaller: &'static str,
    extra: usize,
    larger: &'static str,
    /// The one that is reported when both were set.
    reported: &'static str,
    sizes: fn(&Config) -> (usize, usize),
}

/// What one client may hold beside the body or message that it sends: a head, and what was read with it.
const UNFINISHED_EXTRA_BYTES: usize = 64 * 1024;

const RULES: [Fits; 6] = [
    // A single message of the largest size must be deliverable to a client that waits for it.
    Fits {
        smaller: "limits.message_bytes_max",
        extra: FRAME_HEAD_BYTES_MAX,
        larger: "limits.outbox_bytes_max",
        reported: "limits.outbox_bytes_max",
        sizes: |config| (config.limits.message_bytes_max, config.limits.outbox_bytes_max),
    },
    // A larger frame could never be part of a message that is accepted.
    Fits {
        smaller: "limits.frame_bytes_max",
        extra: 0,
        larger: "limits.message_bytes_max",
        reported: "limits.frame_bytes_max",
        sizes: |config| (config.limits.frame_bytes_max, config.limits.message_bytes_max),
    },
    // A connection that alone has output waiting is never evicted.
    Fits {
        smaller: "limits.body_bytes_max",
        extra: UNFINISHED_EXTRA_BYTES,
        larger: "limits.unfinished_bytes_max",
        reported: "limits.unfinished_bytes_max",
        sizes: |config| (config.limits.body_bytes_max, config.limits.unfinished_bytes_max),
    },
    Fits {
        smaller: "limits.message_bytes_max",
        extra: UNFINISHED_EXTRA_BYTES,
        larger: "limits.unfinished_bytes_max",
        reported: "limits.unfinished_bytes_max",
        sizes: |config| (config.limits.message_bytes_max, config.limits.unfinished_bytes_max),
    },
    // A client is not closed for what all of them hold as long as its own bound allows it.
    Fits {
        smaller: "limits.outbox_bytes_max",
        extra: 0,
        larger: "limits.outboxes_bytes_max",
        reported: "limits.outboxes_bytes_max",
        sizes: |config| (config.limits.outbox_bytes_max, config.limits.outboxes_bytes_max),
    },
    // A message from one process to another must find room at least when nothing else waits.
    Fits {
        smaller: "limits.message_bytes_max",
        extra: 0,
        larger: "limits.backlog_bytes_max",
        reported: "limits.backlog_bytes_max",
        sizes: |config| (config.limits.message_bytes_max, config.limits.backlog_bytes_max),
    },
];

/// The rules that `config` breaks, except those about a key whose own value was refused already.
pub(crate) fn check(config: &Config) -> Vec<ConfigError> {
    let sizes = RULES.iter().filter_map(|rule| rule.broken(config));
    sizes.chain(missing_counterparts(config)).chain(log_settings_without_file(config)).collect()
}

/// A server in the background has left the streams that its log would be written to.
fn log_settings_without_file(config: &Config) -> Option<ConfigError> {
    let file = config.server.log_file.as_ref()?;
    let is_left = matches!(stream_number(file), Some(0..=2));
    if !(config.server.daemonize && is_left) {
        return None;
    }
    let place = config.place("server.log_file")?;
    let problem = format!(
        "expected the path of a file, since server.daemonize is on and nobody reads the streams of a \
         server in the background; found \"{}\"",
        file.display()
    );
    Some(ConfigError::new(place, "server.log_file", problem))
}

/// `given` means nothing without `wanted`.
struct Together {
    assigned: &'static str,
    wanted: &'static str,
    is_broken: fn(&TlsConfig) -> bool,
}

const TOGETHER: [Together; 3] = [
    Together {
        assigned: "tls.cert_file",
        wanted: "tls.key_file (its private key)",
        is_broken: |tls| tls.cert_file.is_some() && tls.key_file.is_none(),
    },
    Together {
        assigned: "tls.key_file",
        wanted: "tls.cert_file (its certificate)",
        is_broken: |tls| tls.key_file.is_some() && tls.cert_file.is_none(),
    },
    Together {
        assigned: "tls.client_ca_file",
        wanted: "tls.cert_file (a certificate of the server)",
        is_broken: |tls| tls.client_ca_file.is_some() && !tls.is_on() && tls.key_file.is_none(),
    },
];

/// One error for each setting that was given and whose other half is not there.
fn missing_counterparts(config: &Config) -> Vec<ConfigError> {
    let keys = TlsConfig::SCHEMA.keys;
    if keys.iter().any(|key| config.sources.tables.is_refused(&TlsConfig::SCHEMA.path(key))) {
        return Vec::new();
    }
    let broken = TOGETHER.iter().filter(|rule| (rule.is_broken)(&config.tls));
    broken
        .filter_map(|rule| {
            let place = config.place(rule.assigned)?;
            let problem = format!("expected {} as well, found none", rule.wanted);
            Some(ConfigError::new(place, rule.assigned, problem))
        })
        .collect()
}

impl Fits {
    fn broken(&self, config: &Config) -> Option<ConfigError> {
        let (smaller_bytes, larger_bytes) = (self.sizes)(config);
        let is_kept = smaller_bytes.saturating_add(self.extra) <= larger_bytes;
        if is_kept
            || [self.smaller, self.larger].iter().any(|key| config.sources.tables.is_refused(key))
        {
            return None;
        }
        let (other, bound, found, other_bytes) = if self.reported == self.larger {
            let bound = format!("at least {}{}", self.smaller, self.plus_extra());
            (self.smaller, bound, larger_bytes, smaller_bytes)
        } else {
            (self.larger, format!("at most {}", self.larger), smaller_bytes, larger_bytes)
        };
        let origin = |path| config.origin(path).unwrap_or(&Origin::Default);
        // One of the two was set: the defaults keep the rules.
        let place = Place::of(origin(self.reported)).or_else(|| Place::of(origin(other)))?;
        let problem = format!(
            "expected {bound}, found {} ({}); {other} is {} ({})",
            shown_size(found),
            origin(self.reported),
            shown_size(other_bytes),
            origin(other),
        );
        Some(ConfigError::new(place, self.reported, problem))
    }

    fn plus_extra(&self) -> String {
        if self.extra == 0 { String::new() } else { format!(" + {} bytes", self.extra) }
    }
}

fn shown_size(bytes: usize) -> String {
    describe_size(u64::try_from(bytes).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use wsmaster_settings::Machine;

    use super::*;
    use crate::config::model::tables::find;

    #[test]
    fn the_rules_name_keys_and_the_defaults_keep_them() {
        for rule in &RULES {
            assert!(find(rule.smaller).is_some() && find(rule.larger).is_some());
            assert!([rule.smaller, rule.larger].contains(&rule.reported));
        }
        let machine = Machine { uid: 0, cpus: 1, runtime_dir: None };
        let defaults = Config::defaults(&machine);
        for rule in &RULES {
            let (smaller, larger) = (rule.sizes)(&defaults);
            assert!(smaller + rule.extra <= larger, "{} {}", rule.smaller, rule.larger);
        }
    }
}
