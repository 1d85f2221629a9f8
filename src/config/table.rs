//! The table of keys: the one place where a setting is declared.
//!
//! The reading of file, environment and command line, `config default`, `config show` and the
//! reference in the documentation all come from it. It holds no code but the few values the server
//! works out by itself. Keys that belong together may stand in a file of their own below it.

mod admission;
mod compression;
mod life;
mod log_rotation;
mod outboxes;
mod proxies;
mod surroundings;
mod tls;
mod work;

use super::access::{Setting, field};
use super::address::is_host_or_socket;
use super::keys::{Automatic, Key, Section};
use super::rules::{is_bearer_key, is_file_path, is_optional_path, is_system_name, is_table_name};
use super::settings::{App, LogLevel, RatePolicy};
use super::spans::{
    CONTROL_BYTES_MAX, DAY, GIB, HOUR, KIB, MIB, MILLISECOND_100, MINUTE, SECOND, time, time_or_off,
};
use super::value::{Kind, Value};
use super::words::words;

/// What Swoole's levels 0 to 6 (debug, trace, info, notice, warning, error, none) are called here.
/// "Notice" lies between info and warn; the quieter of the two keeps its promise to hide info.
const SWOOLE_LOG_LEVELS: [&str; 7] = ["debug", "trace", "info", "warn", "warn", "error", "off"];

/// An application: `server.app`, and `app` of a route.
pub(super) const APP: Kind =
    Kind::Named { words: &App::WORDS, prefix: App::PLUGIN, accepts: is_table_name };

/// Every setting there is, in the order of the file.
pub(super) static KEYS: &[Key] = &[
    Key {
        section: Section::Server,
        name: "host",
        kind: Kind::Text {
            expected: "an IP address, a host name or unix:/PATH",
            accepts: is_host_or_socket,
        },
        default: "127.0.0.1",
        automatic: None,
        aliases: &["host"],
        about: "The address to listen on. 0.0.0.0 is every IPv4 address of the machine, :: every \
                address of both families. unix:/PATH is a unix socket, for which port means nothing; \
                [[listener]] has more to say about such.",
        access: field!(server.host),
    },
    Key {
        section: Section::Server,
        name: "port",
        kind: Kind::Integer { min: 0, max: 65_535 },
        default: "9501",
        automatic: None,
        aliases: &["port"],
        about: "The TCP port to listen on. 0 lets the kernel choose one, which the start reports.",
        access: field!(server.port),
    },
    Key {
        section: Section::Server,
        name: "workers",
        kind: Kind::Integer { min: 1, max: 1_000 },
        default: "auto",
        automatic: Some(Automatic {
            word: "auto",
            meaning: "one for each CPU",
            compute: |_, machine| Value::Number(machine.workers()),
        }),
        aliases: &["worker_num"],
        about: "Worker processes. Each has its own event loop and shares the port with the others.",
        access: field!(server.workers),
    },
    Key {
        section: Section::Server,
        name: "app",
        kind: APP,
        default: "channels",
        automatic: None,
        aliases: &[],
        about: "What clients are connected to: \"channels\" is the channel server, \"echo\" sends \
                each message back, \"broadcast\" sends it to all of its own clients, and \"plugin:NAME\" is \
                your own program: the [[process]] of that name. A [[route]] can say something else \
                for a path.",
        access: field!(server.app),
    },
    Key {
        section: Section::Server,
        name: "backlog",
        kind: Kind::Integer { min: 1, max: 65_535 },
        default: "4096",
        automatic: None,
        aliases: &["backlog"],
        about: "Connections the kernel holds for each worker until it accepts them. The kernel \
                itself allows net.core.somaxconn at most.",
        access: field!(server.backlog),
    },
    Key {
        section: Section::Server,
        name: "tcp_nodelay",
        kind: Kind::Flag,
        default: "true",
        automatic: None,
        aliases: &["open_tcp_nodelay"],
        about: "Send small messages at once (TCP_NODELAY). Without it the kernel may hold them \
                back to fill a packet.",
        access: field!(server.tcp_nodelay),
    },
    Key {
        section: Section::Server,
        name: "pid_file",
        kind: Kind::Text { expected: "the path of a file", accepts: is_file_path },
        default: "",
        automatic: Some(Automatic {
            word: "",
            meaning: "/run/wsmaster/wsmaster.pid for root, else wsmaster/wsmaster.pid below \
                      $XDG_RUNTIME_DIR, else /tmp/wsmaster-UID/wsmaster.pid",
            compute: |_, machine| Value::Text(machine.pid_file().to_string_lossy().into_owned()),
        }),
        aliases: &["pid_file"],
        about: "The file that holds the process id of the master. stop, reload and status find \
                the server by it.",
        access: field!(server.pid_file),
    },
    Key {
        section: Section::Server,
        name: "log_file",
        kind: Kind::Text { expected: "the path of a file, or \"\"", accepts: is_optional_path },
        default: "",
        automatic: None,
        aliases: &["log_file"],
        about: "The file the log is appended to. Empty: the standard error. /dev/stdout, /dev/stderr \
                and /dev/fd/N are the streams that the server is started with.",
        access: field!(server.log_file),
    },
    Key {
        section: Section::Server,
        name: "log_level",
        kind: Kind::Choice { words: &words(&LogLevel::WORDS), numbered: &SWOOLE_LOG_LEVELS },
        default: "info",
        automatic: None,
        aliases: &["log_level"],
        about: "The least severe messages that are logged. \"debug\" has a line for each request and each \
                answer too, with the path and without the query; segments of the path over 16 bytes are left \
                out, since they may be tokens. Builds for release have no \"trace\". \
                Swoole's numbers mean: 0 debug, 1 trace, 2 info, 3 and 4 warn, 5 error, 6 off.",
        access: field!(server.log_level),
    },
    log_rotation::LOG_ROTATE_BYTES,
    log_rotation::LOG_ROTATE_KEEP,
    Key {
        section: Section::Server,
        name: "daemonize",
        kind: Kind::Flag,
        default: "false",
        automatic: None,
        aliases: &["daemonize"],
        about: "Leave the server in the background once it is ready. Not below systemd or in a \
                container, which want it in the foreground.",
        access: field!(server.daemonize),
    },
    Key {
        section: Section::Server,
        name: "user",
        kind: Kind::Text { expected: "the name of a user, or \"\"", accepts: is_system_name },
        default: "",
        automatic: None,
        aliases: &["user"],
        about: "The user the workers change to when root starts the server. Empty: no change.",
        access: field!(server.user),
    },
    Key {
        section: Section::Server,
        name: "group",
        kind: Kind::Text { expected: "the name of a group, or \"\"", accepts: is_system_name },
        default: "",
        automatic: None,
        aliases: &["group"],
        about: "The group the workers change to. Empty: the main group of the user.",
        access: field!(server.group),
    },
    surroundings::UMASK,
    surroundings::CHROOT,
    surroundings::RLIMIT_NOFILE,
    surroundings::NICE,
    surroundings::CPU_AFFINITY,
    surroundings::OOM_SCORE_ADJ,
    Key {
        section: Section::Server,
        name: "stop_timeout",
        kind: time(MILLISECOND_100, HOUR),
        default: "10s",
        automatic: None,
        aliases: &["max_wait_time"],
        about: "How long processes may take to stop before they are killed.",
        access: field!(server.stop_timeout),
    },
    life::RECONNECT_SPREAD,
    life::DRAIN_CLOSE_CODE,
    life::MAX_REQUEST,
    life::MAX_REQUEST_SPREAD,
    life::WORKER_MEMORY_MAX,
    life::RESTARTS_MAX,
    life::RESTARTS_WINDOW,
    life::WATCHDOG,
    work::JOB_THREADS,
    work::JOB_QUEUE_MAX,
    work::TASK_WORKERS,
    work::TASK_MAX_REQUEST,
    work::TASK_TIMEOUT,
    proxies::PROXY_PROTOCOL,
    proxies::TRUSTED_PROXIES,
    proxies::FORWARDED_HEADER,
    admission::ALLOWED_ORIGINS,
    admission::SUBPROTOCOLS,
    tls::CERT_FILE,
    tls::KEY_FILE,
    tls::CLIENT_CA_FILE,
    tls::CLIENT_AUTH,
    tls::VERSION_MIN,
    admission::CONNECTIONS_MAX,
    admission::CONNECTIONS_PER_ADDRESS_MAX,
    admission::HALF_OPEN_MAX,
    admission::HALF_OPEN_PER_ADDRESS_MAX,
    admission::UNFINISHED_BYTES_MAX,
    admission::ACCEPTS_PER_SECOND_MAX,
    Key {
        section: Section::Limits,
        name: "head_bytes_max",
        kind: Kind::Size { min: KIB, max: MIB },
        default: "16KiB",
        automatic: None,
        aliases: &[],
        about: "Size of the request line and the headers of a request.",
        access: field!(limits.head_bytes_max),
    },
    Key {
        section: Section::Limits,
        name: "headers_max",
        kind: Kind::Integer { min: 16, max: 1_000 },
        default: "100",
        automatic: None,
        aliases: &[],
        about: "Number of headers of a request.",
        access: field!(limits.headers_max),
    },
    Key {
        section: Section::Limits,
        name: "body_bytes_max",
        kind: Kind::Size { min: KIB, max: GIB },
        default: "1MiB",
        automatic: None,
        aliases: &[],
        about: "Size of the body of an HTTP request.",
        access: field!(limits.body_bytes_max),
    },
    Key {
        section: Section::Limits,
        name: "message_bytes_max",
        kind: Kind::Size { min: CONTROL_BYTES_MAX, max: GIB },
        default: "256KiB",
        automatic: None,
        aliases: &["package_max_length"],
        about: "Size of a message from a client, all its frames together. A larger one closes \
                the connection with code 1009 (RFC 6455 section 7.4.1).",
        access: field!(limits.message_bytes_max),
    },
    Key {
        section: Section::Limits,
        name: "frame_bytes_max",
        kind: Kind::Size { min: CONTROL_BYTES_MAX, max: GIB },
        default: "auto",
        automatic: Some(Automatic {
            word: "auto",
            meaning: "the same as message_bytes_max",
            compute: |config, _| config.limits.message_bytes_max.value(),
        }),
        aliases: &[],
        about: "Size of one frame from a client, at most message_bytes_max.",
        access: field!(limits.frame_bytes_max),
    },
    Key {
        section: Section::Limits,
        name: "fragments_max",
        kind: Kind::Integer { min: 1, max: 1_000_000 },
        default: "1024",
        automatic: None,
        aliases: &[],
        about: "Frames a message may come in (RFC 6455 section 5.4).",
        access: field!(limits.fragments_max),
    },
    outboxes::OUTBOX_BYTES_MAX,
    outboxes::SLOW_CLIENT,
    outboxes::OUTBOXES_BYTES_MAX,
    outboxes::UNSENT_BYTES_MAX,
    Key {
        section: Section::Limits,
        name: "messages_per_second_max",
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        default: "0",
        automatic: None,
        aliases: &[],
        about: "Messages a client may send in a second, on average; as many may come at once. 0: \
                any number.",
        access: field!(limits.messages_per_second_max),
    },
    Key {
        section: Section::Limits,
        name: "bytes_per_second_max",
        kind: Kind::Size { min: 0, max: GIB },
        default: "0",
        automatic: None,
        aliases: &[],
        about: "Bytes a client may send in a second over a WebSocket, on average, the heads of frames \
                included; as many may come at once. 0: any number.",
        access: field!(limits.bytes_per_second_max),
    },
    Key {
        section: Section::Limits,
        name: "control_frames_per_second_max",
        kind: Kind::Integer { min: 0, max: 1_000_000 },
        default: "100",
        automatic: None,
        aliases: &[],
        about: "Pings and pongs a client may send in a second, on average; as many may come at once. \
                0: any number.",
        access: field!(limits.control_frames_per_second_max),
    },
    Key {
        section: Section::Limits,
        name: "rate_policy",
        kind: Kind::Choice { words: &words(&RatePolicy::WORDS), numbered: &[] },
        default: "pause",
        automatic: None,
        aliases: &[],
        about: "What happens to a client that sends more in a second than it may: \"pause\" leaves \
                it unread until its rate is right, so that its own system holds it back; \
                \"close\" closes it with code 1008.",
        access: field!(limits.rate_policy),
    },
    Key {
        section: Section::Limits,
        name: "handshake_timeout",
        kind: time(MILLISECOND_100, HOUR),
        default: "10s",
        automatic: None,
        aliases: &[],
        about: "Time a client has for its request: from the accepted connection, or from the first \
                byte of a further request on it, to the end of its head and body.",
        access: field!(limits.handshake_timeout),
    },
    Key {
        section: Section::Limits,
        name: "keep_alive_timeout",
        kind: time(MILLISECOND_100, HOUR),
        default: "75s",
        automatic: None,
        aliases: &[],
        about: "How long a connection that was answered may wait before it asks again. Then it is \
                closed without a word. Longer than a proxy in front keeps its own idle connections, or it \
                may send a request into one that is just being closed.",
        access: field!(limits.keep_alive_timeout),
    },
    Key {
        section: Section::Limits,
        name: "ping_interval",
        kind: time_or_off(SECOND, HOUR),
        default: "25s",
        automatic: None,
        aliases: &[],
        about: "A client that is silent for this time gets a ping (RFC 6455 section 5.5.2). 0: no \
                pings.",
        access: field!(limits.ping_interval),
    },
    Key {
        section: Section::Limits,
        name: "pong_timeout",
        kind: time(SECOND, HOUR),
        default: "20s",
        automatic: None,
        aliases: &[],
        about: "Time a client has to answer a ping before it counts as gone. One that has not yet \
                taken what was sent before the ping has this time again, as long as its system goes on \
                taking it.",
        access: field!(limits.pong_timeout),
    },
    Key {
        section: Section::Limits,
        name: "idle_timeout",
        kind: time_or_off(SECOND, DAY),
        default: "0s",
        automatic: None,
        aliases: &["heartbeat_idle_time", "connectionTimeout"],
        about: "A client of which nothing at all was received for this time, pongs included, is \
                closed. 0: never.",
        access: field!(limits.idle_timeout),
    },
    Key {
        section: Section::Limits,
        name: "message_timeout",
        kind: time_or_off(MILLISECOND_100, HOUR),
        default: "60s",
        automatic: None,
        aliases: &[],
        about: "Time a client has to finish a message it has begun, before it is closed with code \
                1008. 0: no limit.",
        access: field!(limits.message_timeout),
    },
    Key {
        section: Section::Limits,
        name: "close_timeout",
        kind: time(MILLISECOND_100, MINUTE),
        default: "5s",
        automatic: None,
        aliases: &[],
        about: "Time a client has to answer a close frame before its connection is cut.",
        access: field!(limits.close_timeout),
    },
    Key {
        section: Section::Limits,
        name: "subscriptions_max",
        kind: Kind::Integer { min: 1, max: 1_000_000 },
        default: "128",
        automatic: None,
        aliases: &[],
        about: "Channels one connection may be subscribed to.",
        access: field!(limits.subscriptions_max),
    },
    Key {
        section: Section::Limits,
        name: "channel_bytes_max",
        kind: Kind::Size { min: 1, max: KIB },
        default: "128",
        automatic: None,
        aliases: &[],
        about: "Size of the name of a channel.",
        access: field!(limits.channel_bytes_max),
    },
    Key {
        section: Section::Limits,
        name: "backlog_bytes_max",
        kind: Kind::Size { min: 64 * KIB, max: 16 * GIB },
        default: "32MiB",
        automatic: None,
        aliases: &[],
        about: "Bytes a process keeps for other processes whose mailboxes are full; then the \
                sender is told \"full\". At least message_bytes_max.",
        access: field!(limits.backlog_bytes_max),
    },
    compression::ENABLED,
    compression::LEVEL,
    compression::MESSAGE_BYTES_MIN,
    compression::CONTEXT_TAKEOVER,
    compression::WINDOW_BITS,
    compression::CONTEXT_BYTES_MAX,
    Key {
        section: Section::Api,
        name: "enabled",
        kind: Kind::Flag,
        default: "true",
        automatic: None,
        aliases: &[],
        about: "Whether there is an HTTP interface under /api.",
        access: field!(api.enabled),
    },
    Key {
        section: Section::Api,
        name: "key",
        kind: Kind::Secret {
            expected: "\"\" or a bearer key of 16 to 256 characters out of A-Z a-z 0-9 - . _ ~ + / \
                       with = at its end only",
            accepts: is_bearer_key,
        },
        default: "",
        automatic: None,
        aliases: &[],
        about: "The bearer key that guards /api (RFC 6750 section 2.1). Empty: on a loopback \
                address one is made up at the start, on any other address /api stays off and the \
                start says so. WSMASTER_API_KEY keeps it out of the file.",
        access: field!(api.key),
    },
    Key {
        section: Section::Channels,
        name: "heartbeat_interval",
        kind: time(SECOND, HOUR),
        default: "30s",
        automatic: None,
        aliases: &["heartbeatInterval"],
        about: "The interval told to clients in \"welcome\".",
        access: field!(channels.heartbeat_interval),
    },
];
