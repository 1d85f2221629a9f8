//! The settings as plain data: one struct per section of the file, fully resolved.
//!
//! Owns the shape only. Names, ranges, defaults and explanations are in the table of keys, which is
//! also the only code that fills these structs.

use std::path::PathBuf;
use std::time::Duration;

use wsmaster_protocol::{
    origin::AllowedOrigins,
    proxy::{forwarded, trust::Trust},
    subprotocols::Subprotocols,
};

use super::address::ListenAddress;
use super::certificates::CertificateConfig;
use super::secret::Secret;
use super::surroundings::{CpuAffinity, DescriptorLimit, FileMask};

/// `[server]`: where the server listens, how many processes it is, and how it lives.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// IP address (IPv6 without brackets) or host name to listen on, or `unix:/PATH`.
    pub host: String,
    /// TCP port; 0 lets the kernel choose one.
    pub port: u16,
    /// Worker processes, 1 to 1000; `"auto"` is resolved to the number of CPUs already.
    pub workers: usize,
    /// The application the workers run.
    pub app: App,
    /// Length of the queue of connections the kernel holds for each worker, 1 to 65535.
    pub backlog: u32,
    /// Whether small writes leave at once (`TCP_NODELAY`).
    pub tcp_nodelay: bool,
    /// The file that holds the process id of the master; the default place is resolved already.
    pub pid_file: PathBuf,
    /// The file the log goes to; `None` is the standard error.
    pub log_file: Option<PathBuf>,
    /// The least severe messages that are logged.
    pub log_level: LogLevel,
    /// Bytes of the log file at which it is moved aside; `None` is never.
    pub log_rotate_bytes: Option<u64>,
    /// Older log files that stay, 1 to 1000.
    pub log_rotate_keep: u32,
    /// Whether `start` returns and leaves the server in the background.
    pub daemonize: bool,
    /// The user the workers change to; `None` keeps the one who starts the server.
    pub user: Option<String>,
    /// The group the workers change to; `None` is the main group of `user`.
    pub group: Option<String>,
    /// The mask of files that the server and its side processes make; `None` leaves it.
    pub umask: Option<FileMask>,
    /// The directory that the workers see as the root; `None` is the real one.
    pub chroot: Option<PathBuf>,
    /// Descriptors that each process may open.
    pub rlimit_nofile: DescriptorLimit,
    /// The nice value of workers and side processes, -20 to 19; `None` leaves it.
    pub nice: Option<i32>,
    /// The CPUs of the workers.
    pub cpu_affinity: CpuAffinity,
    /// What the OOM killer adds to the score of workers and side processes, -1000 to 1000; `None` leaves it.
    pub oom_score_adj: Option<i32>,
    /// How long processes may take to stop before they are killed.
    pub stop_timeout: Duration,
    /// Clients are told one by one, within this time, that their worker leaves.
    pub reconnect_spread: Duration,
    /// What a close frame says at a reload.
    pub drain_close_code: DrainCloseCode,
    /// Messages after which a worker is replaced gracefully; 0 is never.
    pub max_request: u64,
    /// Messages that a worker may add to that, by chance; `"auto"` is resolved already.
    pub max_request_spread: u64,
    /// Bytes of memory of its own above which a worker is replaced gracefully; 0 is never.
    pub worker_memory_max: u64,
    /// Deaths of one process within `restarts_window` that it may have before its starts become rare.
    pub restarts_max: u32,
    /// The time within which `restarts_max` counts.
    pub restarts_window: Duration,
    /// A worker that makes no turn for so long is killed; `None` is never.
    pub watchdog: Option<Duration>,
    /// Threads of each worker for jobs, 0 to 1024; 0 refuses jobs.
    pub job_threads: usize,
    /// Jobs that wait or run in one worker, 1 to 1,000,000.
    pub job_queue_max: usize,
    /// Task processes, 0 to 256.
    pub task_workers: usize,
    /// Tasks after which a task process is replaced; 0 is never.
    pub task_max_request: u64,
    /// A task process that is at one task for so long is killed; `None` is never.
    pub task_timeout: Option<Duration>,
    /// Whether every connection to this address begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Who is believed when it tells of the clients behind it.
    pub trusted_proxies: Trust,
    /// The header in which they tell of them.
    pub forwarded_header: ForwardedHeader,
    /// Which web pages may open a WebSocket.
    pub allowed_origins: AllowedOrigins,
    /// The subprotocols it speaks, the best first.
    pub subprotocols: Subprotocols,
}

/// Who a request comes from, as trusted proxies say it.
pub use forwarded::Header as ForwardedHeader;

impl ServerConfig {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> ListenAddress {
        ListenAddress::of_host(&self.host, self.port)
    }

    /// `host:port` as it is written in a URL: an IPv6 address stands in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        self.address().to_string()
    }

    /// Whether only this machine can reach the address: a loopback IP address, `localhost` or a unix
    /// socket.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address().is_local()
    }
}

/// `[tls]`: what connections are encrypted with.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsConfig {
    /// The first certificate chain, in PEM form; `None` when there is none.
    pub cert_file: Option<PathBuf>,
    /// Its private key, in PEM form.
    pub key_file: Option<PathBuf>,
    /// Certificates of authorities whose clients are let in; `None` asks clients for nothing.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients must show a certificate, where they are asked.
    pub client_auth: ClientAuth,
    /// The lowest version of TLS that is spoken.
    pub version_min: TlsVersion,
    /// Further certificates, for other names.
    pub certificates: Vec<CertificateConfig>,
}

impl TlsConfig {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.cert_file.is_some() || !self.certificates.is_empty()
    }
}

/// `[limits]`: what one client, and all of them together, may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// Connections of the whole server at one time.
    pub connections_max: usize,
    /// Connections of one address in one worker; 0 is any number.
    pub connections_per_address_max: usize,
    /// Connections of one worker whose request is not complete; 0 is any number.
    pub half_open_max: usize,
    /// Connections of one address in one worker whose request is not complete; 0 is any number.
    pub half_open_per_address_max: usize,
    /// Connections that one worker accepts in a second; 0 is any number.
    pub accepts_per_second_max: u32,
    /// Bytes of a request line and its headers.
    pub head_bytes_max: usize,
    /// Number of headers of a request.
    pub headers_max: usize,
    /// Bytes of the body of an HTTP request.
    pub body_bytes_max: usize,
    /// Bytes of a message from a client, all its fragments together, after unmasking.
    pub message_bytes_max: usize,
    /// Bytes of the payload of one frame from a client; at most `message_bytes_max`.
    pub frame_bytes_max: usize,
    /// Frames a message may come in.
    pub fragments_max: usize,
    /// Bytes of memory that requests and messages that are not complete may hold in one worker; at least `body_bytes_max` and
    /// `message_bytes_max`.
    pub unfinished_bytes_max: usize,
    /// Bytes that may wait for one slow client; at least `message_bytes_max` and a frame head.
    pub outbox_bytes_max: usize,
    /// What happens to a client whose outbox is full.
    pub slow_client: SlowClient,
    /// Bytes of memory that the outboxes of one worker may hold together; at least `outbox_bytes_max`.
    pub outboxes_bytes_max: usize,
    /// Bytes for one client that wait in the kernel behind those on their way; 0 is what the kernel likes.
    pub unsent_bytes_max: u32,
    /// Messages a client may send in a second; 0 is any number.
    pub messages_per_second_max: u32,
    /// Bytes a client may send in a second; 0 is any number.
    pub bytes_per_second_max: u32,
    /// Pings and pongs a client may send in a second; 0 is any number.
    pub control_frames_per_second_max: u32,
    /// What happens to a client that sends more.
    pub rate_policy: RatePolicy,
    /// Time from accept, or from the first byte of a further request, to the end of a request's head and body.
    pub handshake_timeout: Duration,
    /// Time from an answer to the first byte of a further request.
    pub keep_alive_timeout: Duration,
    /// Silence after which a client is pinged; `None` is never.
    pub ping_interval: Option<Duration>,
    /// Time a client has to answer a ping.
    pub pong_timeout: Duration,
    /// Time without a byte from a client after which it is closed; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// Time a client has to finish a message it has begun; `None` is for ever.
    pub message_timeout: Option<Duration>,
    /// Time a client has to answer a close frame.
    pub close_timeout: Duration,
    /// Channels one connection may be subscribed to.
    pub subscriptions_max: usize,
    /// Bytes of the name of a channel.
    pub channel_bytes_max: usize,
    /// Bytes a process keeps for mailboxes that are full, before it answers "full".
    pub backlog_bytes_max: usize,
}

/// `[compression]`: permessage-deflate (RFC 7692).
#[derive(Clone, Debug, PartialEq)]
pub struct CompressionConfig {
    /// Whether it is agreed to when a client offers it.
    pub enabled: bool,
    /// From 1, the fastest, to 9, the densest.
    pub level: u16,
    /// Bytes below which a message is sent as it is.
    pub message_bytes_min: usize,
    /// Whose messages may refer to earlier ones.
    pub context_takeover: Takeover,
    /// The exponent of the largest window: 9 to 15.
    pub window_bits: u16,
    /// Bytes that a worker may promise to the windows of its connections.
    pub context_bytes_max: usize,
}

/// `[api]`: the HTTP interface under `/api`.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiConfig {
    /// Whether the interface exists at all.
    pub enabled: bool,
    /// The bearer key that guards it (RFC 6750 section 2.1). Empty: the server makes one up when it
    /// listens on loopback, and leaves the interface off otherwise.
    pub key: Secret,
}

/// `[channels]`: the built-in channel application.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelsConfig {
    /// The interval told to clients in `welcome`.
    pub heartbeat_interval: Duration,
}

/// What connections are connected to: an application that comes with the server, or a program of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum App {
    /// Channels with subscribe, publish and presence.
    Channels,
    /// Every message goes back to its sender.
    Echo,
    /// Every message goes to everybody.
    Broadcast,
    /// The `[[process]]` of this name has the connections: it hears and answers them.
    Plugin(String),
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Who shows none is refused.
    Required,
    /// Who shows none is let in; who shows a wrong one is refused.
    Optional,
}

/// The close code of a worker that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainCloseCode {
    /// 1001, which every client knows.
    Away,
    /// 1012, "service restart", which some libraries take for an error.
    Restart,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The least severe messages that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And the life of the server.
    Info,
    /// And the life of each connection.
    Debug,
    /// And everything else; builds for release leave it out.
    Trace,
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::Off,
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}

/// What happens when a message does not fit the outbox of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowClient {
    /// The client is closed.
    Close,
    /// The message is dropped and counted; the client stays.
    DropNewest,
    /// The oldest messages that wait are dropped and counted; the client stays.
    DropOldest,
    /// All messages that wait are dropped and counted; the client stays.
    KeepLatest,
}

/// What happens to a client that sends more in a second than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatePolicy {
    /// It is left unread for a while.
    Pause,
    /// The client is closed.
    Close,
}

/// Whose compressed messages may refer to earlier ones of the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Nobody's: an idle connection keeps nothing.
    None,
    /// The client's.
    Client,
    /// The server's.
    Server,
    /// Those of both.
    Both,
}
