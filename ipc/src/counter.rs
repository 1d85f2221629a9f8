//! What workers and the hosts of programs count. Owns the names and whether a number goes down again; where the numbers are in
//! shared memory stands in `layout`.

/// Declares each counter once: its meaning, whether it is a gauge or a total, and its name for status pages and JSON.
macro_rules! counters {
    ($(#[doc = $about:literal])* $Counter:ident: $($(#[doc = $doc:literal])* $kind:ident $variant:ident $name:literal,)*) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum $Counter {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $Counter {
            /// All counters, with the names that status pages and JSON use.
            pub const ALL: [(Self, &'static str); [$($name),*].len()] = [$((Self::$variant, $name)),*];

            /// Whether it goes down again, and means nothing once its process is gone.
            pub fn is_gauge(self) -> bool {
                match self {
                    $(Self::$variant => counters!(@is_gauge $kind),)*
                }
            }
        }
    };
    (@is_gauge gauge) => { true };
    (@is_gauge total) => { false };
}

counters! {
    /// What the host of a program counts.
    SideCounter:
    /// Bytes of lines that wait for the program.
    gauge QueuedBytes "queued_bytes",
    /// Questions that the program has not answered.
    gauge OpenQuestions "open_questions",
    /// Lines that the program has taken, or that the kernel keeps for it.
    total Events "events",
    /// Lines for which there was no room, or which it had not taken when it ended.
    total DroppedEvents "dropped_events",
    /// Lines of the program that were commands.
    total Commands "commands",
    /// Lines of the program that were none.
    total InvalidCommands "invalid_commands",
}

counters! {
    /// What a worker counts. All but the gauges only grow during the life of a process.
    Counter:
    /// Open connections of any kind.
    gauge Connections "connections",
    /// Connections past their WebSocket handshake.
    gauge WebSockets "websockets",
    /// Subscriptions of all connections.
    gauge Subscriptions "subscriptions",
    /// Bytes waiting in outboxes.
    gauge OutboxBytes "outbox_bytes",
    /// Bytes of memory that outboxes hold: a message that waits for many counts once.
    gauge OutboxHeldBytes "outbox_held_bytes",
    /// Bytes that connections may keep of what was said, for the compression of what comes.
    gauge ContextBytes "context_bytes",
    /// Bytes that connections have sent and that cannot be handled yet, of requests and messages that are not complete.
    gauge UnfinishedBytes "unfinished_bytes",
    /// Connections accepted.
    total Accepted "accepted",
    /// Connections refused because the server was full.
    total RefusedFull "refused_full",
    /// Handshakes and requests refused for what they said.
    total RefusedRequests "refused_requests",
    /// Handshakes that were not finished in time.
    total HandshakeTimeouts "handshake_timeouts",
    /// HTTP requests answered.
    total Requests "requests",
    /// Messages received from clients.
    total MessagesIn "messages_in",
    /// Messages put into outboxes.
    total MessagesOut "messages_out",
    /// Bytes read from sockets.
    total BytesIn "bytes_in",
    /// Bytes written to sockets.
    total BytesOut "bytes_out",
    /// Messages that a full outbox did not take.
    total DroppedOutboxFull "dropped_outbox_full",
    /// Messages that were larger than an outbox may become.
    total DroppedTooLarge "dropped_too_large",
    /// Connections closed because they read too slowly.
    total SlowClosed "slow_closed",
    /// Connections closed because the outboxes of their worker held too much, and theirs held the most.
    total Evicted "evicted",
    /// Connections closed because too much was unfinished in their worker, and theirs the most for the longest.
    total UnfinishedClosed "unfinished_closed",
    /// Times that a connection sent more in a second than it may, and was left unread for a while or closed.
    total RateLimited "rate_limited",
    /// Pings that were answered together with a later one.
    total PongsCoalesced "pongs_coalesced",
    /// Connections closed because they broke the protocol or a limit.
    total ProtocolErrors "protocol_errors",
    /// Connections closed because no pong came.
    total PingTimeouts "ping_timeouts",
    /// Connections closed because nothing was received for too long.
    total IdleTimeouts "idle_timeouts",
    /// Connections closed because they began a message and did not finish it in time.
    total MessageTimeouts "message_timeouts",
    /// Compressed messages received from clients.
    total MessagesDecompressed "messages_decompressed",
    /// Compressed messages put into outboxes.
    total MessagesCompressed "messages_compressed",
    /// Times that a message was compressed: once for all who get the same.
    total Compressions "compressions",
    /// Bytes that outboxes did not have to take because messages were compressed.
    total CompressionSavedBytes "compression_saved_bytes",
    /// Clients that offered compression and go without it, because there was no room for what they would refer to.
    total CompressionDeclined "compression_declined",
    /// Commands taken from the mailbox.
    total CommandsIn "commands_in",
    /// Packets from the mailbox that could not be read.
    total BadPackets "bad_packets",
    /// Commands that another process's full mailbox did not take.
    total DroppedMailboxFull "dropped_mailbox_full",
    /// Commands of other processes with a body too large for a packet that were lost, since no descriptor was left to take it.
    total DroppedNoDescriptors "dropped_no_descriptors",
    /// Commands passed on to the worker before in the slot, which is leaving.
    total Relayed "relayed",
    /// Commands that the worker before did not take, because it did not keep up.
    total DroppedRelayFull "dropped_relay_full",
    /// Commands for a connection that is not here (any more).
    total StaleCommands "stale_commands",
    /// Answers that did not come in time.
    total UnansweredAsks "unanswered_asks",
    /// Times that accepting was paused because descriptors had run out.
    total AcceptPauses "accept_pauses",
    /// Panics in the application that were caught.
    total HandlerPanics "handler_panics",
    /// Connections closed because no valid PROXY header came, or because nobody trusted sent it.
    total BadProxyHeaders "bad_proxy_headers",
    /// Handshakes refused because of the page that asked for them. They are among the refused requests, too.
    total RefusedOrigins "refused_origins",
    /// Connections refused because their address had too many.
    total RefusedPerAddress "refused_per_address",
    /// Connections refused because too many others had not said yet what they want.
    total RefusedHalfOpen "refused_half_open",
    /// Times that accepting was held back because too many connections came in a second.
    total AcceptsHeldBack "accepts_held_back",
    /// TLS handshakes that were finished.
    total TlsHandshakes "tls_handshakes",
    /// Those of them that took up an earlier session.
    total TlsResumed "tls_resumed",
    /// Connections that were given up for what they said in place of TLS, or in it.
    total TlsFailures "tls_failures",
    /// Turns of the event loop.
    total Turns "turns",
    /// Jobs that wait for a thread or run on one.
    gauge Jobs "jobs",
    /// Jobs that have run to their end.
    total JobsDone "jobs_done",
    /// Jobs refused because too many were under way, or because there are no threads.
    total JobsRefused "jobs_refused",
    /// Panics in jobs that were caught.
    total JobPanics "job_panics",
    /// Jobs that were not over when the worker had to go.
    total JobsAbandoned "jobs_abandoned",
    /// Tasks given to task processes and not answered yet.
    gauge Tasks "tasks",
    /// WebSockets that the application does not want to hear of now.
    gauge Held "held",
    /// Messages of clients that the application could not do anything with, and has dropped.
    total DroppedByHandler "dropped_by_handler",
}
