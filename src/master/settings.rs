//! From the configuration to what the parts of the server are told. Pure.

use std::time::Duration;

use wsmaster_ipc::{LeaveReason, link::ToChild};
use wsmaster_protocol::deflate::{self, WindowBits};
use wsmaster_workers::{CompressionLimits, HandshakeRules, Limits, ListenerRules, Proxies};

use super::watchdog;
use crate::{
    config::{Config, DrainCloseCode, ListenerConfig, ListenerProtocol, Takeover},
    supervisor::Policy,
};

/// The most workers that are recycled within the time in which the clients of one come back, if there are more than that.
const TOGETHER_MAX: f64 = 8.0;
/// What a worker has after the clients' close handshakes are over, and before it is taken to be stuck.
const GRACE: Duration = Duration::from_secs(2);

/// The bounds of a worker.
pub(super) fn limits(config: &Config) -> Limits {
    Limits {
        request_timeout: request_timeout(config),
        requests_max: config.server.max_request,
        requests_spread: config.server.max_request_spread,
        compression: compression(config),
        tcp_nodelay: config.server.tcp_nodelay,
        job_threads: config.server.job_threads,
        job_queue_max: config.server.job_queue_max,
        turn_interval_max: config.server.watchdog.unwrap_or_default() / watchdog::LOOKS,
        ..config.limits.clone()
    }
}

/// What holds on a listener.
pub(super) fn rules(number: u16, listener: &ListenerConfig) -> ListenerRules {
    ListenerRules {
        number,
        name: listener.name.as_str().into(),
        websocket: match listener.protocol {
            ListenerProtocol::WebSocket => true,
            ListenerProtocol::Http => false,
        },
        proxy_protocol: listener.proxy_protocol,
        tls: listener.tls,
        compression: listener.compression,
        message_bytes_max: Some(listener.message_bytes_max).filter(|most| *most > 0),
        tag: listener.tag(),
    }
}

/// Whom to believe about clients behind proxies.
pub(super) fn proxies(config: &Config) -> Proxies {
    let server = &config.server;
    Proxies { trust: server.trusted_proxies.clone(), header: server.forwarded_header }
}

/// What handshakes are judged by.
pub(super) fn handshakes(config: &Config) -> HandshakeRules {
    let server = &config.server;
    HandshakeRules {
        allowed_origins: server.allowed_origins.clone(),
        subprotocols: server.subprotocols.clone(),
    }
}

/// What compression may cost; `None` when it is off.
fn compression(config: &Config) -> Option<CompressionLimits> {
    let config = &config.compression;
    let (server_takeover, client_takeover) = match config.context_takeover {
        Takeover::None => (false, false),
        Takeover::Client => (false, true),
        Takeover::Server => (true, false),
        Takeover::Both => (true, true),
    };
    let bits = u8::try_from(config.window_bits).ok().and_then(WindowBits::new);
    config.enabled.then(|| CompressionLimits {
        level: u8::try_from(config.level).unwrap_or(u8::MAX),
        message_bytes_min: config.message_bytes_min,
        policy: deflate::Policy {
            server_takeover,
            client_takeover,
            window: bits.unwrap_or(WindowBits::MAX),
        },
        context_bytes_max: config.context_bytes_max,
    })
}

/// How long an answer may take: longer than the program that gives it, which has its own word for being late.
fn request_timeout(config: &Config) -> Duration {
    let own = config.processes.iter().map(|process| process.answer_timeout + GRACE);
    own.fold(config.limits.request_timeout, Duration::max)
}

/// The patience of the supervisor. `sides_stop_timeout_max` is the longest that a side process may take to end.
pub(super) fn policy(config: &Config, sides_stop_timeout_max: Option<Duration>) -> Policy {
    Policy {
        stop_timeout: config.server.stop_timeout,
        leave_timeout: drain_deadline(config) + GRACE,
        // A worker answers at once; a side process that is started again ends first.
        drain_timeout: sides_stop_timeout_max
            .map(|time| time + GRACE)
            .into_iter()
            .fold(Policy::default().drain_timeout, Duration::max),
        // A little more than the host of a program gives it.
        ready_timeout: Duration::from_secs(12),
        recycle_gap: recycle_gap(config),
        restarts_max: config.server.restarts_max,
        restarts_window: config.server.restarts_window,
        ..Policy::default()
    }
}

/// Between two workers that are recycled. The clients of the first have come back before the next one goes; with many
/// workers, where a few are a small part, eight go within that time.
fn recycle_gap(config: &Config) -> Duration {
    let spread = config.server.reconnect_spread.max(Policy::default().recycle_gap);
    spread.mul_f64(TOGETHER_MAX / (config.server.workers as f64).max(TOGETHER_MAX))
}

/// What a worker is told that is to be replaced.
pub(super) fn drain(config: &Config, reason: LeaveReason) -> ToChild {
    ToChild::Drain {
        reason,
        reconnect_spread_ms: millis(config.server.reconnect_spread),
        close_code: match config.server.drain_close_code {
            DrainCloseCode::Away => 1001,
            DrainCloseCode::Restart => 1012,
        },
        deadline_ms: millis(drain_deadline(config)),
    }
}

/// How long a worker that is replaced may take: for what programs and others were asked before, as long as they have to stop;
/// and for its clients, until the last of them was told and has had its time to answer.
fn drain_deadline(config: &Config) -> Duration {
    let clients = config.server.reconnect_spread + config.limits.close_timeout;
    clients.max(config.server.stop_timeout)
}

/// What a worker is told when the server stops: it is done a little before it would be killed. For `wait` at the most it leaves
/// its clients connected.
pub(super) fn stop(config: &Config, wait: Duration) -> ToChild {
    let most = config.server.stop_timeout.mul_f64(0.8);
    let spread = config.server.reconnect_spread;
    let deadline = (wait + spread + config.limits.close_timeout).min(most);
    ToChild::Stop {
        wait_ms: millis(wait),
        spread_ms: millis(spread),
        deadline_ms: millis(deadline),
    }
}

/// What a side process is told that has `own` to end: it is done a little before it would be killed.
pub(super) fn stop_side(config: &Config, own: Duration) -> ToChild {
    let deadline = own.min(config.server.stop_timeout.mul_f64(0.8));
    ToChild::Stop { wait_ms: 0, spread_ms: 0, deadline_ms: millis(deadline) }
}

/// Takes a newly read configuration over, but for what only a start can change. One line for each setting that stays.
/// `programs_stay`: why the programs cannot be those of the new one.
pub(super) fn adopt(config: &mut Config, new: Config, programs_stay: Option<&str>) -> Vec<String> {
    let mut stays = Vec::new();
    let mut new = new;
    macro_rules! keep {
        ($($field:ident),*) => {$(
            if new.server.$field != config.server.$field {
                stays.push(format!(
                    "server.{} has changed, which takes effect at the next start: `wsmaster restart`",
                    stringify!($field)
                ));
                new.server.$field = config.server.$field.clone();
            }
        )*};
    }
    if let Some(reason) = programs_stay {
        stays.push(format!("{reason}; processes and routes stay as they are"));
        new.processes.clone_from(&config.processes);
        new.routes.clone_from(&config.routes);
        new.server.app.clone_from(&config.server.app);
    }
    // The first listener keeps its sockets, and what is said in front of its connections.
    keep!(host, port, proxy_protocol, workers, task_workers, backlog, pid_file, log_file);
    keep!(daemonize, user, group);
    keep!(umask, chroot, rlimit_nofile, nice, cpu_affinity, oom_score_adj);
    *config = new;
    stays
}

/// Whether two configurations ask for the same of workers and master, whatever they encrypt with.
pub(super) fn is_same_but_for_tls(one: &Config, other: &Config) -> bool {
    let Config {
        server,
        tls,
        limits,
        compression,
        api,
        channels,
        processes,
        listeners,
        routes,
        sources: _,
    } = one;
    (server, limits, compression, api, channels, processes, listeners, routes, tls.is_on())
        == (
            &other.server,
            &other.limits,
            &other.compression,
            &other.api,
            &other.channels,
            &other.processes,
            &other.listeners,
            &other.routes,
            other.tls.is_on(),
        )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    #[test]
    fn a_reload_changes_limits_and_tells_what_it_cannot_change() {
        let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
        let mut config = Config::defaults(&machine);
        let mut new = config.clone();
        new.server.port = 1234;
        new.server.max_request = 77;
        new.limits.message_bytes_max = 99;
        let lines = adopt(&mut config, new, None);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("server.port has changed"), "{lines:?}");
        assert_eq!(config.server.port, 9501);
        assert_eq!((config.server.max_request, config.limits.message_bytes_max), (77, 99));
    }

    #[test]
    fn workers_are_recycled_a_few_at_a_time() {
        let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
        let mut config = Config::defaults(&machine);
        for (spread_s, workers, gap_ms) in
            [(2, 1, 2_000), (2, 8, 2_000), (2, 64, 250), (0, 4, 1_000), (30, 16, 15_000)]
        {
            config.server.reconnect_spread = Duration::from_secs(spread_s);
            config.server.workers = workers;
            let gap = policy(&config, None).recycle_gap;
            assert_eq!(gap, Duration::from_millis(gap_ms), "{workers} workers");
        }
    }

    #[test]
    fn a_reload_changes_programs_and_routes_together_or_neither() {
        let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
        let toml = |routes: &str| {
            let process = "[[process]]\nname = \"a\"\ncommand = \"a\"\n";
            Config::from_toml(&format!("{process}{routes}"), "f", &machine).expect("valid")
        };
        let mut config = toml("[[route]]\npath = \"/a\"\napp = \"plugin:a\"\n");
        let moved = toml("[[route]]\npath = \"/b/*\"\napp = \"plugin:a\"\n");
        assert_eq!(adopt(&mut config, moved.clone(), None), Vec::<String>::new());
        assert_eq!(config.routes, moved.routes);
        let mut gone = toml("[[route]]\npath = \"/b/*\"\napp = \"echo\"\n");
        gone.processes.clear();
        let lines = adopt(&mut config, gone.clone(), Some("there is no room"));
        assert_eq!(lines, ["there is no room; processes and routes stay as they are"]);
        assert_eq!((&config.routes, &config.processes), (&moved.routes, &moved.processes));
        assert_eq!(adopt(&mut config, gone.clone(), None), Vec::<String>::new());
        assert_eq!((&config.routes, &config.processes), (&gone.routes, &gone.processes));
    }

    #[test]
    fn a_worker_that_stops_is_done_before_it_is_killed() {
        let machine = Machine { uid: 1000, cpus: 2, runtime_dir: None };
        let mut config = Config::defaults(&machine);
        config.limits.close_timeout = Duration::from_secs(60);
        config.server.stop_timeout = Duration::from_secs(10);
        let wait = Duration::from_secs(1);
        let word = ToChild::Stop { wait_ms: 1000, spread_ms: 5000, deadline_ms: 8000 };
        assert_eq!(stop(&config, wait), word);
    }
}
