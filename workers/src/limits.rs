//! Every bound of a worker, with its unit in the name: the section `[limits]` of the configuration, and what else a worker is
//! told. Owns the numbers; what happens at a bound is said at its user.

use std::time::Duration;

use wsmaster_ipc::sys::listener::Sending;
use wsmaster_protocol::{deflate::Policy, http::HttpLimits, session::SessionLimits};
use wsmaster_settings::{kinds::*, settings, words};

settings! {
    /// What one client, and all of them together, may cost.
    pub struct Limits = section("limits"), also {
        // What the server fills in from other sections, and what nobody can set.

        /// From a request to its answer.
        request_timeout: Duration = Duration::from_secs(30);
        /// How long another worker may take to answer.
        ask_timeout: Duration = Duration::from_secs(5);
        /// Messages received before the worker asks to be replaced. Zero: never.
        requests_max: u64 = 0;
        /// At most so many messages more, chosen at random by each worker.
        requests_spread: u64 = 0;
        /// The loop makes a turn at least so often, so that whoever watches it sees that it lives. Zero: only when something is
        /// due.
        turn_interval_max: Duration = Duration::ZERO;
        /// Whether and how messages are compressed; `None`: not at all, whatever clients offer.
        compression: Option<CompressionLimits> = None;
        /// Whether small frames leave at once (`TCP_NODELAY`).
        tcp_nodelay: bool = true;
        /// Threads for the application's jobs, which are started when they are needed. Zero: jobs are refused.
        job_threads: usize = 4;
        /// Jobs that may wait for a thread or run on one; one more is refused.
        job_queue_max: usize = 1024;
    };

    /// Connections of the whole server at one time.
    connections_max: u64 = is("100000"), integer(1, 10_000_000), ["max_conn", "max_connection", "maxConnections"];

    /// Connections of one client address in one worker at one time; with several workers, an address can have as many
    /// in each. One more is answered 503. The address is the one that a trusted proxy tells of, if there is one; of
    /// IPv6, all addresses of a /64 are one. Unix sockets are not counted. 0: any number, because a company or a mobile
    /// network may be behind one address.
    connections_per_address_max: usize = is("0"), integer(0, 10_000_000), [];

    /// Connections of one worker whose first request has not come yet, or not wholly, and those that have begun a
    /// further one and not finished it. One more is answered 503. 0: any number.
    half_open_max: usize = is("10000"), integer(0, 10_000_000), [];

    /// The same for connections of one client address, counted as connections_per_address_max counts them. 0: any
    /// number, because all clients behind one address may come back at once.
    half_open_per_address_max: usize = is("0"), integer(0, 10_000_000), [];

    /// Memory of one worker for requests and messages that are not complete, all together. Beyond it those are given up
    /// whose bytes, times the time since they began, are the most: a request is answered 503, a message closes its
    /// connection with code 1013. More than body_bytes_max and message_bytes_max, by 64 KiB.
    unfinished_bytes_max: usize = is("128MiB"), size(MIB, 64 * GIB), [];

    /// Connections one worker accepts in a second, on average; as many may come at once. Nobody is refused: the others
    /// wait in the kernel, as many as backlog says. 0: any number.
    accepts_per_second_max: u32 = is("0"), integer(0, 1_000_000), [];

    /// Size of the request line and the headers of a request.
    head_bytes_max: usize = is("16KiB"), size(KIB, MIB), [];

    /// Number of headers of a request.
    headers_max: usize = is("100"), integer(16, 1_000), [];

    /// Size of the body of an HTTP request.
    body_bytes_max: usize = is("1MiB"), size(KIB, GIB), [];

    /// Size of a message from a client, all its frames together. A larger one closes the connection with code 1009 (RFC
    /// 6455 section 7.4.1).
    message_bytes_max: usize = is("256KiB"), size(CONTROL_BYTES_MAX, GIB), ["package_max_length"];

    /// Size of one frame from a client, at most message_bytes_max.
    frame_bytes_max: usize = auto("auto", "the same as message_bytes_max"),
        size(CONTROL_BYTES_MAX, GIB),
        [],
        computed |limits, _| limits.message_bytes_max;

    /// Frames a message may come in (RFC 6455 section 5.4).
    fragments_max: usize = is("1024"), integer(1, 1_000_000), [];

    /// Bytes that may wait for one client that reads too slowly. At least message_bytes_max and 14 bytes for the head
    /// of a frame.
    outbox_bytes_max: usize = is("1MiB"), size(KIB, GIB), ["socket_buffer_size"];

    /// What a message for a full outbox does. "close" closes the client with code 1013. The others keep it and count
    /// what is lost: "drop_newest" drops the message, "drop_oldest" drops the oldest that wait, as many as are needed,
    /// and "keep_latest" drops all that wait, which suits those who send states, not steps.
    slow_client: SlowClient = is("close"), choice::<SlowClient>(), [];

    /// Memory that all outboxes of one worker may hold together; a message that waits for many counts once. Beyond it
    /// the clients for whom the most waits are closed with code 1013.
    outboxes_bytes_max: usize = is("256MiB"), size(MIB, 64 * GIB), [];

    /// What the kernel takes for one client beyond what is on its way to it (TCP_NOTSENT_LOWAT). The rest waits in the
    /// client's outbox, where it has a bound, and where a policy can still drop it; the kernel alone would keep up to 4
    /// MiB for each client that does not read. How fast a client can be sent to does not depend on it. 0: what
    /// net.ipv4.tcp_notsent_lowat says.
    unsent_bytes_max: u32 = is("128KiB"), size(0, GIB), [];

    /// Messages a client may send in a second, on average; as many may come at once. 0: any number.
    messages_per_second_max: u32 = is("0"), integer(0, 1_000_000), [];

    /// Bytes a client may send in a second over a WebSocket, on average, the heads of frames included; as many may come
    /// at once. 0: any number.
    bytes_per_second_max: u32 = is("0"), size(0, GIB), [];

    /// Pings and pongs a client may send in a second, on average; as many may come at once. 0: any number.
    control_frames_per_second_max: u32 = is("100"), integer(0, 1_000_000), [];

    /// What happens to a client that sends more in a second than it may: "pause" leaves it unread until its rate is
    /// right, so that its own system holds it back; "close" closes it with code 1008.
    rate_policy: RatePolicy = is("pause"), choice::<RatePolicy>(), [];

    /// Time a client has for its request: from the accepted connection, or from the first byte of a further request on
    /// it, to the end of its head and body.
    handshake_timeout: Duration = is("10s"), time(MILLISECOND_100, HOUR), [];

    /// How long a connection that was answered may wait before it asks again. Then it is closed without a word. Longer
    /// than a proxy in front keeps its own idle connections, or it may send a request into one that is just being
    /// closed.
    keep_alive_timeout: Duration = is("75s"), time(MILLISECOND_100, HOUR), [];

    /// A client that is silent for this time gets a ping (RFC 6455 section 5.5.2). 0: no pings.
    ping_interval: Option<Duration> = is("25s"), time_or_off(SECOND, HOUR), [];

    /// Time a client has to answer a ping before it counts as gone. One that has not yet taken what was sent before the
    /// ping has this time again, as long as its system goes on taking it.
    pong_timeout: Duration = is("20s"), time(SECOND, HOUR), [];

    /// A client of which nothing at all was received for this time, pongs included, is closed. 0: never.
    idle_timeout: Option<Duration> = is("0s"), time_or_off(SECOND, DAY), ["heartbeat_idle_time", "connectionTimeout"];

    /// Time a client has to finish a message it has begun, before it is closed with code 1008. 0: no limit.
    message_timeout: Option<Duration> = is("60s"), time_or_off(MILLISECOND_100, HOUR), [];

    /// Time a client has to answer a close frame before its connection is cut.
    close_timeout: Duration = is("5s"), time(MILLISECOND_100, MINUTE), [];

    /// Channels one connection may be subscribed to.
    subscriptions_max: usize = is("128"), integer(1, 1_000_000), [];

    /// Size of the name of a channel.
    channel_bytes_max: usize = is("128"), size(1, KIB), [];

    /// Bytes a process keeps for other processes whose mailboxes are full; then the sender is told "full". At least
    /// message_bytes_max.
    backlog_bytes_max: usize = is("32MiB"), size(64 * KIB, 16 * GIB), [];
}

impl Limits {
    /// Of HTTP requests.
    pub(crate) fn http(&self) -> HttpLimits {
        HttpLimits {
            head_bytes_max: self.head_bytes_max,
            headers_max: self.headers_max,
            body_bytes_max: self.body_bytes_max,
        }
    }

    /// Of WebSocket messages, where a listener says nothing else.
    pub(crate) fn session(&self) -> SessionLimits {
        SessionLimits {
            frame_bytes_max: self.frame_bytes_max,
            message_bytes_max: self.message_bytes_max,
            fragments_max: self.fragments_max,
        }
    }

    /// How the kernel is to send.
    pub(crate) fn sending(&self) -> Sending {
        Sending {
            at_once: self.tcp_nodelay,
            unsent_bytes_max: (self.unsent_bytes_max > 0).then_some(self.unsent_bytes_max),
        }
    }

    /// The bytes that may wait for a reader before its own messages are left unread: half an outbox. A client that asks
    /// faster than it reads is held back by that, and only what others send it can fill the rest.
    pub fn read_pause_bytes(&self) -> usize {
        self.outbox_bytes_max / 2
    }
}

/// What compression (permessage-deflate, RFC 7692) may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionLimits {
    /// From 1, the fastest, to 9, the densest.
    pub level: u8,
    /// Messages shorter than this are sent as they are.
    pub message_bytes_min: usize,
    /// What is agreed on with clients.
    pub policy: Policy,
    /// Bytes of all windows that a worker may have promised to keep; who needs one when there is no room goes without compression.
    pub context_bytes_max: usize,
}

/// What happens to a reader whose outbox is full. Each case is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlowClient {
    /// It is closed with 1013 ("try again later").
    Close,
    /// It stays, and messages that find no room are dropped.
    DropNewest,
    /// It stays, and its oldest messages are dropped until there is room for the new one.
    DropOldest,
    /// It stays, and all that waits for it is dropped for the new one: for those who send states, not steps.
    KeepLatest,
}

/// What happens to a client that sends more than it may. Each case is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RatePolicy {
    /// It is left unread until its rate is what it may be: TCP holds it back.
    Pause,
    /// It is closed with 1008.
    Close,
}

words!(SlowClient: "close" => Close, "drop_newest" => DropNewest, "drop_oldest" => DropOldest, "keep_latest" => KeepLatest);
words!(RatePolicy: "pause" => Pause, "close" => Close);
