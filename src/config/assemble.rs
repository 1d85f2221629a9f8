//! From the values that were given to a complete configuration.
//!
//! Owns the precedence and the filling of the fields. It checks nothing: what arrives here is valid
//! for its key.

use std::path::PathBuf;
use std::time::Duration;

use wsmaster_protocol::{origin::AllowedOrigins, proxy::trust::Trust, subprotocols::Subprotocols};

use super::array::{self, GivenTable};
use super::certificates::GivenCertificate;
use super::keys::Key;
use super::listener;
use super::process;
use super::route;
use super::secret::Secret;
use super::settings::{
    ApiConfig, App, ChannelsConfig, ClientAuth, CompressionConfig, DrainCloseCode, ForwardedHeader,
    LimitsConfig, LogLevel, RatePolicy, ServerConfig, SlowClient, Takeover, TlsConfig, TlsVersion,
};
use super::source::{Given, Origin, Provenance, Sources};
use super::surroundings::{CpuAffinity, DescriptorLimit};
use super::table::KEYS;
use super::value::{Raw, Value};
use super::{Config, Machine};

/// The defaults alone.
pub(super) fn defaults(machine: &Machine) -> Config {
    assemble(Vec::new(), Tables::default(), None, machine)
}

/// What the arrays of tables give.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tables<'a> {
    pub(super) processes: &'a [GivenTable],
    pub(super) listeners: &'a [GivenTable],
    pub(super) certificates: &'a [GivenCertificate],
    pub(super) routes: &'a [GivenTable],
}

/// The defaults with `given` over them, a later value over an earlier one, and the `tables`.
pub(super) fn assemble(
    given: Vec<Given>,
    tables: Tables<'_>,
    file: Option<&str>,
    machine: &Machine,
) -> Config {
    let mut values: Vec<(Value, Origin)> =
        KEYS.iter().map(|key| (default_value(key), Origin::Default)).collect();
    for Given { key, value, origin } in &given {
        if let Some(place) = values.get_mut(*key) {
            *place = (value.clone(), origin.clone());
        }
    }
    let provenances = values
        .iter()
        .map(|(value, origin)| Provenance {
            origin: origin.clone(),
            is_automatic: *value == Value::Automatic,
        })
        .collect();
    let mut sources = Sources::new(file, &given, provenances);
    sources.processes = tables.processes.iter().map(array::origins).collect();
    sources.listeners = tables.listeners.iter().map(array::origins).collect();
    sources.certificates = tables.certificates.iter().map(GivenCertificate::origins).collect();
    sources.routes = tables.routes.iter().map(array::origins).collect();
    let mut config = blank(sources);
    config.tls.certificates = tables.certificates.iter().map(GivenCertificate::assemble).collect();
    let process = |given| array::assemble(&process::ARRAY, given);
    config.processes = tables.processes.iter().map(process).collect();
    let listener = |given| array::assemble(&listener::ARRAY, given);
    config.listeners = tables.listeners.iter().map(listener).collect();
    let route = |given| array::assemble(&route::ARRAY, given);
    config.routes = tables.routes.iter().map(route).collect();
    for (key, (value, _)) in KEYS.iter().zip(&values) {
        if *value != Value::Automatic {
            write(key, &mut config, value);
        }
    }
    // The server's own values may depend on any of the others, so they come after them.
    for (key, (value, _)) in KEYS.iter().zip(&values) {
        if let (Value::Automatic, Some(automatic)) = (value, &key.automatic) {
            let computed = (automatic.compute)(&config, machine);
            write(key, &mut config, &computed);
        }
    }
    config
}

/// The default of a key as a value.
pub(super) fn default_value(key: &Key) -> Value {
    match key.kind.read(&Raw::Word(key.default), key.automatic_word()) {
        Ok(value) => value,
        Err(problem) => unreachable!("the default of {}: {problem}", key.path()),
    }
}

fn write(key: &Key, config: &mut Config, value: &Value) {
    let written = (key.access.write)(config, value);
    debug_assert!(written.is_ok(), "{} cannot hold {value:?}", key.path());
}

/// A configuration whose fields are all about to be written. Its values are no defaults.
fn blank(sources: Sources) -> Config {
    Config {
        server: ServerConfig {
            host: String::new(),
            port: 0,
            workers: 0,
            app: App::Channels,
            backlog: 0,
            tcp_nodelay: false,
            pid_file: PathBuf::new(),
            log_file: None,
            log_level: LogLevel::Off,
            log_rotate_bytes: None,
            log_rotate_keep: 0,
            daemonize: false,
            user: None,
            group: None,
            umask: None,
            chroot: None,
            rlimit_nofile: DescriptorLimit::Hard,
            nice: None,
            cpu_affinity: CpuAffinity::Unchanged,
            oom_score_adj: None,
            stop_timeout: Duration::ZERO,
            reconnect_spread: Duration::ZERO,
            drain_close_code: DrainCloseCode::Away,
            max_request: 0,
            max_request_spread: 0,
            worker_memory_max: 0,
            restarts_max: 0,
            restarts_window: Duration::ZERO,
            watchdog: None,
            job_threads: 0,
            job_queue_max: 0,
            task_workers: 0,
            task_max_request: 0,
            task_timeout: None,
            proxy_protocol: false,
            trusted_proxies: Trust::default(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            allowed_origins: AllowedOrigins::SameHost,
            subprotocols: Subprotocols::default(),
        },
        tls: TlsConfig {
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            client_auth: ClientAuth::Required,
            version_min: TlsVersion::Tls12,
            certificates: Vec::new(),
        },
        limits: LimitsConfig {
            connections_max: 0,
            connections_per_address_max: 0,
            half_open_max: 0,
            half_open_per_address_max: 0,
            accepts_per_second_max: 0,
            head_bytes_max: 0,
            headers_max: 0,
            body_bytes_max: 0,
            message_bytes_max: 0,
            frame_bytes_max: 0,
            fragments_max: 0,
            unfinished_bytes_max: 0,
            outbox_bytes_max: 0,
            slow_client: SlowClient::Close,
            outboxes_bytes_max: 0,
            unsent_bytes_max: 0,
            messages_per_second_max: 0,
            bytes_per_second_max: 0,
            control_frames_per_second_max: 0,
            rate_policy: RatePolicy::Pause,
            handshake_timeout: Duration::ZERO,
            keep_alive_timeout: Duration::ZERO,
            ping_interval: None,
            pong_timeout: Duration::ZERO,
            idle_timeout: None,
            message_timeout: None,
            close_timeout: Duration::ZERO,
            subscriptions_max: 0,
            channel_bytes_max: 0,
            backlog_bytes_max: 0,
        },
        compression: CompressionConfig {
            enabled: false,
            level: 0,
            message_bytes_min: 0,
            context_takeover: Takeover::None,
            window_bits: 0,
            context_bytes_max: 0,
        },
        api: ApiConfig { enabled: false, key: Secret::default() },
        channels: ChannelsConfig { heartbeat_interval: Duration::ZERO },
        listeners: Vec::new(),
        processes: Vec::new(),
        routes: Vec::new(),
        sources,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Config {
        blank(Sources::new(None, &[], Vec::new()))
    }

    #[test]
    fn every_key_reads_its_default_and_gives_back_what_was_written() {
        for key in KEYS {
            let mut config = empty();
            let value = match default_value(key) {
                Value::Automatic => continue,
                value => value,
            };
            assert_eq!((key.access.write)(&mut config, &value), Ok(()), "{}", key.path());
            assert_eq!((key.access.read)(&config), value, "{}", key.path());
        }
    }

    #[test]
    fn no_two_keys_share_a_field_or_a_name() {
        for (index, key) in KEYS.iter().enumerate() {
            let (before, mut after) = (empty(), empty());
            let value = key.kind.other_value(match key.name {
                "trusted_proxies" => "unix",
                "allowed_origins" => "*",
                // One that all others can hold.
                _ => "077",
            });
            assert_eq!((key.access.write)(&mut after, &value), Ok(()), "{}", key.path());
            for (other_index, other) in KEYS.iter().enumerate() {
                let changed = (other.access.read)(&before) != (other.access.read)(&after);
                assert_eq!(changed, index == other_index, "{} {}", key.path(), other.path());
                assert_eq!(key.path() == other.path(), index == other_index);
                let shared = key.aliases.iter().any(|alias| other.aliases.contains(alias));
                assert!(!shared || index == other_index, "{} {}", key.path(), other.path());
            }
        }
    }
}
