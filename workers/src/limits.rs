//! Every bound of a worker, with its unit in the name. Owns the numbers; what happens at a bound is said at its user.

use std::time::Duration;

use wsmaster_ipc::sys::listener::Sending;
use wsmaster_protocol::{deflate::Policy, http::HttpLimits, session::SessionLimits};

/// What clients may make a worker hold or wait for.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Open connections of the whole server; one more is answered 503.
    pub connections_max: u64,
    /// Connections of one address in this worker; one more is answered 503. 0: any number.
    pub connections_per_address_max: usize,
    /// Connections of this worker whose request, the first or one that has begun, is not complete; one more is answered 503.
    /// 0: any number.
    pub half_open_max: usize,
    /// The same for connections of one address in this worker. 0: any number.
    pub half_open_per_address_max: usize,
    /// Connections that this worker accepts in a second, on average; others wait in the kernel. 0: any number.
    pub accepts_per_second_max: u32,
    /// Of HTTP requests.
    pub http: HttpLimits,
    /// Of WebSocket messages.
    pub session: SessionLimits,
    /// Bytes of memory that requests and messages that are not complete may hold in a worker; beyond it those that hold the
    /// most for the longest are closed.
    pub unfinished_bytes_max: usize,
    /// Bytes that may wait for one slow reader.
    pub outbox_bytes_max: usize,
    /// What happens to a reader whose outbox is full.
    pub slow_client: SlowClient,
    /// Bytes of memory that all outboxes of a worker may hold; beyond it the fullest are closed.
    pub outboxes_bytes_max: usize,
    /// Messages that a client may send in a second, on average. 0: any number.
    pub messages_per_second_max: u32,
    /// Bytes that a client may send in a second, on average, frame heads included. 0: any number.
    pub bytes_per_second_max: u32,
    /// Pings and pongs that a client may send in a second, on average. 0: any number.
    pub control_frames_per_second_max: u32,
    /// What happens to a client that sends more.
    pub rate_policy: RatePolicy,
    /// From the accepted connection, or from the first byte of a further request, to the end of the request's head and body.
    pub handshake_timeout: Duration,
    /// From an answer to the first byte of a further request.
    pub keep_alive_timeout: Duration,
    /// From a request to its answer.
    pub request_timeout: Duration,
    /// A client that has been silent for so long is pinged. Zero: never.
    pub ping_interval: Duration,
    /// A client that has been silent for so long after a ping is closed.
    pub pong_timeout: Duration,
    /// A client of whom nothing at all was received for so long, pongs included, is closed. Zero: never.
    pub idle_timeout: Duration,
    /// From the first byte of a message, or of a control frame, to its last. Zero: for ever.
    pub message_timeout: Duration,
    /// From our close frame to the peer's, and from the end of writing to the peer's end.
    pub close_timeout: Duration,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// How long another worker may take to answer.
    pub ask_timeout: Duration,
    /// Bytes that may wait for the worker before, which is leaving and to which this one passes on what is its own.
    pub relay_bytes_max: usize,
    /// Messages received before the worker asks to be replaced. Zero: never.
    pub requests_max: u64,
    /// At most so many messages more, chosen at random by each worker.
    pub requests_spread: u64,
    /// The loop makes a turn at least so often, so that whoever watches it sees that it lives. Zero: only when something is
    /// due.
    pub turn_interval_max: Duration,
    /// Whether and how messages are compressed; `None`: not at all, whatever clients offer.
    pub compression: Option<CompressionLimits>,
    /// Whether small frames leave at once (`TCP_NODELAY`).
    pub tcp_nodelay: bool,
    /// Bytes for one client that wait in the kernel behind those that are on their way (`TCP_NOTSENT_LOWAT`); the others wait
    /// in its outbox. 0: as many as the kernel likes.
    pub unsent_bytes_max: u32,
    /// Threads for the application's jobs, which are started when they are needed. Zero: jobs are refused.
    pub job_threads: usize,
    /// Jobs that may wait for a thread or run on one; one more is refused.
    pub job_queue_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connections_per_address_max: 0,
            half_open_max: 10_000,
            half_open_per_address_max: 0,
            accepts_per_second_max: 0,
            http: HttpLimits::default(),
            session: SessionLimits {
                frame_bytes_max: 256 * 1024,
                message_bytes_max: 256 * 1024,
                fragments_max: 1024,
            },
            unfinished_bytes_max: 128 * 1024 * 1024,
            outbox_bytes_max: 1024 * 1024,
            slow_client: SlowClient::Close,
            outboxes_bytes_max: 256 * 1024 * 1024,
            messages_per_second_max: 0,
            bytes_per_second_max: 0,
            control_frames_per_second_max: 100,
            rate_policy: RatePolicy::Pause,
            handshake_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            request_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(20),
            idle_timeout: Duration::ZERO,
            message_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            subscriptions_max: 128,
            ask_timeout: Duration::from_secs(5),
            relay_bytes_max: 32 * 1024 * 1024,
            requests_max: 0,
            requests_spread: 0,
            turn_interval_max: Duration::ZERO,
            compression: None,
            tcp_nodelay: true,
            unsent_bytes_max: 128 * 1024,
            job_threads: 4,
            job_queue_max: 1024,
        }
    }
}

impl Limits {
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
