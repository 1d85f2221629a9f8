//! `[server]`: where the server listens, how many processes it is, and how it lives.
//!
//! Owns the declaration of its settings and their types.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use wsmaster_protocol::{
    origin::AllowedOrigins,
    proxy::{forwarded, trust::Trust},
    subprotocols::Subprotocols,
};
use wsmaster_settings::{Machine, kinds::*, settings, words};

use super::{
    address::{ListenAddress, is_host_or_socket},
    app::{APP, App},
    os_types::{CpuAffinity, DescriptorLimit, FileMask, is_cpu_affinity, is_file_mask},
    validators::{is_absolute_path, is_file_path, is_optional_path, is_system_name},
};

/// Who a request comes from, as trusted proxies say it.
pub use forwarded::Header as ForwardedHeader;

/// What Swoole's levels 0 to 6 (debug, trace, info, notice, warning, error, none) are called here.
/// "Notice" lies between info and warn; the quieter of the two keeps its promise to hide info.
const SWOOLE_LOG_LEVELS: [&str; 7] = ["debug", "trace", "info", "warn", "warn", "error", "off"];

settings! {
    /// Where the server listens, how many processes it is, how it lives.
    pub struct ServerConfig = section("server");

    /// The address to listen on. 0.0.0.0 is every IPv4 address of the machine, :: every address of both families.
    /// unix:/PATH is a unix socket, for which port means nothing; [[listener]] has more to say about such.
    host: String = is("127.0.0.1"), text("an IP address, a host name or unix:/PATH", is_host_or_socket), ["host"];

    /// The TCP port to listen on. 0 lets the kernel choose one, which the start reports.
    port: u16 = is("9501"), integer(0, 65_535), ["port"];

    /// Worker processes. Each has its own event loop and shares the port with the others.
    workers: usize = auto("auto", "one for each CPU"),
        integer(1, 1_000),
        ["worker_num"],
        computed |_, machine| workers(machine);

    /// What clients are connected to: "channels" is the channel server, "echo" sends each message back, "broadcast"
    /// sends it to all of its own clients, and "plugin:NAME" is your own program: the [[process]] of that name. A
    /// [[route]] can say something else for a path.
    app: App = is("channels"), APP, [];

    /// Connections the kernel holds for each worker until it accepts them. The kernel itself allows net.core.somaxconn
    /// at most.
    backlog: u32 = is("4096"), integer(1, 65_535), ["backlog"];

    /// Send small messages at once (TCP_NODELAY). Without it the kernel may hold them back to fill a packet.
    tcp_nodelay: bool = is("true"), flag(), ["open_tcp_nodelay"];

    /// The file that holds the process id of the master. stop, reload and status find the server by it.
    pid_file: PathBuf = auto(
            "",
            "/run/wsmaster/wsmaster.pid for root, else wsmaster/wsmaster.pid below $XDG_RUNTIME_DIR, else \
             /tmp/wsmaster-UID/wsmaster.pid",
        ),
        text("the path of a file", is_file_path),
        ["pid_file"],
        computed |_, machine| pid_file(machine);

    /// The file the log is appended to. Empty: the standard error. /dev/stdout, /dev/stderr and /dev/fd/N are the
    /// streams that the server is started with.
    log_file: Option<PathBuf> = is(""), text("the path of a file, or \"\"", is_optional_path), ["log_file"];

    /// The least severe messages that are logged. "debug" has a line for each request and each answer too, with the
    /// path and without the query; segments of the path over 16 bytes are left out, since they may be tokens. Builds
    /// for release have no "trace". Swoole's numbers mean: 0 debug, 1 trace, 2 info, 3 and 4 warn, 5 error, 6 off.
    log_level: LogLevel = is("info"), numbered_choice::<LogLevel>(&SWOOLE_LOG_LEVELS), ["log_level"];

    /// Size of log_file at which it is moved aside and a new one begun; it may grow a little beyond. 0: never, for when
    /// something else moves it ("wsmaster logs reopen").
    log_rotate_bytes: Option<u64> = is("0"), size_or_off(4 * KIB, 1024 * GIB), [];

    /// Older log files that stay when log_rotate_bytes is set: log_file.1 is the latest of them.
    log_rotate_keep: u32 = is("5"), integer(1, 1_000), [];

    /// Leave the server in the background once it is ready. Not below systemd or in a container, which want it in the
    /// foreground.
    daemonize: bool = is("false"), flag(), ["daemonize"];

    /// The user the workers change to when root starts the server. Empty: no change.
    user: Option<String> = is(""), text("the name of a user, or \"\"", is_system_name), ["user"];

    /// The group the workers change to. Empty: the main group of the user.
    group: Option<String> = is(""), text("the name of a group, or \"\"", is_system_name), ["group"];

    /// The rights that files lack which the server and its side processes make. Empty: as it was started.
    umask: Option<FileMask> = is(""),
        text("an octal mask from \"000\" to \"077\" in quotes, or \"\"", is_file_mask),
        [];

    /// The directory that the workers see as the root of all files when root starts the server; set user too. Side
    /// processes and the master stay outside. Empty: none.
    chroot: Option<PathBuf> = is(""), text("the whole path of a directory, or \"\"", is_absolute_path), ["chroot"];

    /// Descriptors that each process may open; a connection takes one. More than the hard limit needs root.
    rlimit_nofile: DescriptorLimit = auto("hard", "as many as the hard limit allows that the server is started with"),
        integer(128, 1_073_741_816),
        [];

    /// The nice value of workers and side processes: the higher, the more others come first. The master keeps its own.
    /// A lower one than it has needs root.
    nice: Option<i32> = auto("unchanged", "as the server was started"), signed(-20, 19), [];

    /// The CPUs that the workers run on. "auto" gives each worker one of its own, in turn; a list is for all of them.
    /// Empty: as the server was started.
    cpu_affinity: CpuAffinity = is(""),
        text("\"auto\", a list of CPUs such as \"0-3,6\", or \"\"", is_cpu_affinity),
        [];

    /// What the kernel adds to the score of workers and side processes when it looks for a process to kill because
    /// memory has run out. The master's is kept below that, so that it goes last. A lower one than it has needs root.
    oom_score_adj: Option<i32> = auto("unchanged", "as the server was started"), signed(-1000, 1000), [];

    /// How long processes may take to stop before they are killed.
    stop_timeout: Duration = is("10s"), time(MILLISECOND_100, HOUR), ["max_wait_time"];

    /// Clients of a worker that is replaced, and all clients when the server stops, are told so one by one at random
    /// moments within this time, and served until then, so that they do not come back all at once. A worker with few
    /// clients takes less: 10 ms for each. A stop ends within stop_timeout all the same. 0: all at once.
    reconnect_spread: Duration = is("5s"), time_or_off(MILLISECOND_100, HOUR), [];

    /// The close code for the clients of a worker that is replaced: 1001 (going away), which every library knows, or
    /// 1012 (service restart), which several take for a breach of the protocol. The reason is the same.
    drain_close_code: DrainCloseCode = is("1001"), choice::<DrainCloseCode>(), [];

    /// Messages after which a worker is replaced gracefully. 0: never.
    max_request: u64 = is("0"), integer(0, 1_000_000_000_000), ["max_request"];

    /// Each worker adds a random number up to this one to its max_request, so that workers that were started together
    /// are not replaced together.
    max_request_spread: u64 = auto("auto", "half of max_request"),
        integer(0, 1_000_000_000_000),
        ["max_request_grace"],
        computed |server, _| server.max_request / 2;

    /// Memory of a worker's own (resident, without what it shares with others) above which it is replaced gracefully.
    /// It is looked at once a second; workers go one after the other. 0: never.
    worker_memory_max: u64 = is("0"), size_or_off(16 * MIB, 1024 * GIB), [];

    /// A worker or side process that dies more often than this within restarts_window is in a crash loop: it is started
    /// again every 30 s only, until it lives or a reload tries it at once.
    restarts_max: u32 = is("10"), integer(1, 1_000), [];

    /// The time within which restarts_max counts.
    restarts_window: Duration = is("60s"), time(SECOND, DAY), [];

    /// A worker whose event loop makes no turn for this time hangs: it is killed and replaced. 0: never.
    watchdog: Option<Duration> = is("30s"), time_or_off(SECOND, HOUR), [];

    /// Threads of each worker for blocking work of an application in Rust, started when there is work for them. The
    /// built-in applications use none. 0: such work is refused.
    job_threads: usize = is("4"), integer(0, 1_024), [];

    /// Pieces of blocking work that wait or run in one worker; one more is refused.
    job_queue_max: usize = is("1024"), integer(1, 1_000_000), [];

    /// Processes that do tasks for the workers, for an application in Rust that has a task handler. The built-in
    /// applications have none.
    task_workers: usize = is("0"), integer(0, 256), ["task_worker_num"];

    /// Tasks after which a task process is replaced. 0: never.
    task_max_request: u64 = is("0"), integer(0, 1_000_000_000_000), ["task_max_request"];

    /// A task process that is at one task for this time hangs: it is killed and replaced, and who gave the task is
    /// told. 0: never.
    task_timeout: Option<Duration> = is("0s"), time_or_off(SECOND, DAY), [];

    /// Every connection to this address begins with a header of the PROXY protocol, version 1 or 2, which tells of the
    /// client. Who is not one of trusted_proxies is hung up on.
    proxy_protocol: bool = is("false"), flag(), [];

    /// Who is believed when it tells of the clients behind it, by the PROXY protocol or in headers: IP addresses and
    /// networks, separated by commas; "unix" is whoever comes by a unix socket. Everybody else's headers are ignored.
    trusted_proxies: Trust = is(""),
        parsed::<Trust>("addresses and networks such as \"127.0.0.1, 10.0.0.0/8, unix\", or \"\""),
        [];

    /// The header in which trusted proxies tell of a client; "forwarded" is that of RFC 7239. The others are ignored: a
    /// client can send them, and a proxy that does not know them passes them on. Of several addresses, the rightmost
    /// that is no trusted proxy's is the client's. With the first two, X-Forwarded-Proto says whether it came over TLS.
    forwarded_header: ForwardedHeader = is("x-forwarded-for"), choice::<ForwardedHeader>(), [];

    /// Which origins may open a WebSocket, by the header Origin that browsers send (RFC 6455 section 10.2), separated
    /// by commas: of web pages, of apps ("capacitor://localhost", "tauri://localhost", "file://"), of extensions
    /// ("chrome-extension://ID"). Empty: pages of the host that the request names in Host, and pages of the browser's
    /// own machine (localhost and loopback addresses). "*": any, and so does "null" in effect, since any page can make
    /// a frame that sends it. Others are answered 403. Clients that send no Origin are no browsers and are let in.
    allowed_origins: AllowedOrigins = is(""),
        parsed::<AllowedOrigins>("origins such as \"https://example.com, https://example.net:8443\", \"*\", or \"\""),
        [];

    /// The subprotocols it speaks, the best first. A client gets the first of them that it offers (RFC 6455 section
    /// 1.9), unless the application chooses for itself; one that offers none of them is let in without one.
    subprotocols: Subprotocols = is(""),
        parsed::<Subprotocols>("names of subprotocols such as \"chat.v2, chat.v1\", or \"\""),
        ["websocket_subprotocol"];
}

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

/// Workers of `"auto"`: the CPUs, within the range of the key.
fn workers(machine: &Machine) -> usize {
    machine.cpus.clamp(1, 1_000)
}

/// The default place of the PID file.
fn pid_file(machine: &Machine) -> PathBuf {
    let directory = match (machine.uid, &machine.runtime_dir) {
        (0, _) => PathBuf::from("/run/wsmaster"),
        (_, Some(runtime_dir)) => runtime_dir.join("wsmaster"),
        (uid, None) => Path::new("/tmp").join(format!("wsmaster-{uid}")),
    };
    directory.join("wsmaster.pid")
}

/// The close code of a worker that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainCloseCode {
    /// 1001, which every client knows.
    Away,
    /// 1012, "service restart", which some libraries take for an error.
    Restart,
}

words!(DrainCloseCode: "1001" => Away, "1012" => Restart);

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

words!(
    LogLevel: "error" => Error, "warn" => Warn, "info" => Info, "debug" => Debug, "trace" => Trace, "off" => Off
);
