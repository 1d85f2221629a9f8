//! Settings of the Swoole family that are known by name and not understood.
//!
//! Owns the answer to them, so that a configuration that is brought along is answered with what became of each
//! setting instead of with a typing error. The names that are understood are the aliases
//! in the table of keys.

/// Settings that get the same answer.
pub(crate) struct Unsupported {
    pub(crate) names: &'static [&'static str],
    pub(crate) support: Support,
    /// Why, or what to do instead; goes on after a colon.
    pub(crate) instead: &'static str,
}

/// Whether waiting helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It is planned.
    Later,
    /// It has no place here.
    Never,
}

use Support::{Later, Never};

const fn unsupported(
    names: &'static [&'static str],
    support: Support,
    instead: &'static str,
) -> Unsupported {
    Unsupported { names, support, instead }
}

/// The answer to the setting `name`, as a sentence that follows the name; `None` if Swoole has none
/// of that name, or one that is understood.
pub(crate) fn answer(name: &str) -> Option<String> {
    let entry = UNSUPPORTED.iter().find(|entry| entry.names.contains(&name))?;
    let yet = match entry.support {
        Later => " yet",
        Never => "",
    };
    Some(format!("is a Swoole setting that wsmaster does not have{yet}: {}", entry.instead))
}

/// Every known name that is not understood, by what is said about it.
pub(crate) static UNSUPPORTED: &[Unsupported] = &[
    unsupported(
        &["ssl_verify_peer", "ssl_allow_self_signed", "ssl_verify_depth"],
        Never,
        "client_ca_file in [tls] asks clients for certificates, client_auth says whether they must",
    ),
    unsupported(&["ssl_cafile", "ssl_capath"], Never, "it is client_ca_file in [tls]"),
    unsupported(&["ssl_sni_certs"], Never, "write [[tls.certificate]] for each further one"),
    unsupported(&["ssl_protocols"], Never, "version_min in [tls] is the lowest version"),
    unsupported(
        &[
            "ssl_ciphers",
            "ssl_prefer_server_ciphers",
            "ssl_ecdh_curve",
            "ssl_dhparam",
            "ssl_compress",
            "ssl_grease",
        ],
        Never,
        "only what is safe is spoken: TLS 1.2 and 1.3 with forward secrecy, no compression",
    ),
    unsupported(&["websocket_mask"], Never, "it is for clients; a server never masks"),
    unsupported(
        &["open_websocket_close_frame", "open_websocket_ping_frame", "open_websocket_pong_frame"],
        Never,
        "control frames are answered by the server and not passed on",
    ),
    unsupported(
        &["open_websocket_protocol", "open_http_protocol"],
        Never,
        "it always speaks HTTP and WebSocket on its port",
    ),
    unsupported(
        &["open_http2_protocol", "open_mqtt_protocol", "open_redis_protocol"],
        Never,
        "it speaks HTTP/1.1 and WebSocket only",
    ),
    unsupported(
        &[
            "open_eof_check",
            "open_eof_split",
            "package_eof",
            "open_length_check",
            "package_length_type",
            "package_length_offset",
            "package_body_offset",
            "package_length_func",
        ],
        Never,
        "it has no raw TCP ports to cut into packets",
    ),
    unsupported(
        &["task_ipc_mode", "message_queue_key"],
        Never,
        "tasks wait in one queue that whichever task process is free takes from",
    ),
    unsupported(&["task_tmpdir"], Never, "large tasks travel in memory, not in files"),
    unsupported(
        &["task_enable_coroutine", "task_use_object", "task_object"],
        Never,
        "a task process has one handler, which does one task at a time",
    ),
    unsupported(
        &["enable_reuse_port"],
        Never,
        "each worker always has a listener of its own on the port",
    ),
    unsupported(
        &["reactor_num", "single_thread"],
        Never,
        "each worker has one event loop; set workers",
    ),
    unsupported(
        &["dispatch_mode", "dispatch_func", "enable_unsafe_event", "discard_timeout_request"],
        Never,
        "the kernel spreads connections over the workers, and a connection stays with its worker",
    ),
    unsupported(
        &[
            "enable_coroutine",
            "max_coroutine",
            "max_coro_num",
            "hook_flags",
            "enable_deadlock_check",
            "send_yield",
        ],
        Never,
        "there are no coroutines",
    ),
    unsupported(
        &["event_object", "bootstrap", "init_arguments", "display_errors"],
        Never,
        "it concerns PHP callbacks",
    ),
    unsupported(
        &["heartbeat_check_interval"],
        Never,
        "idle connections are found by timers, not by scans; limits.idle_timeout and \
         limits.ping_interval say when",
    ),
    unsupported(
        &["max_idle_time"],
        Never,
        "use limits.idle_timeout, which counts what the client sends",
    ),
    unsupported(
        &["reload_async"],
        Never,
        "a reload is always graceful; server.stop_timeout bounds it",
    ),
    unsupported(
        &["max_concurrency", "worker_max_concurrency"],
        Never,
        "limits.connections_max bounds the load",
    ),
    unsupported(
        &["send_timeout"],
        Never,
        "limits.slow_client says what a client costs that stalls",
    ),
    unsupported(
        &["input_buffer_size", "buffer_input_size"],
        Never,
        "what a client sends is bounded by limits.message_bytes_max",
    ),
    unsupported(
        &[
            "output_buffer_size",
            "buffer_output_size",
            "buffer_high_watermark",
            "buffer_low_watermark",
            "max_queued_bytes",
        ],
        Never,
        "limits.outbox_bytes_max is the one bound of what waits for a client",
    ),
    unsupported(
        &["kernel_socket_recv_buffer_size", "kernel_socket_send_buffer_size"],
        Never,
        "the kernel sizes its buffers itself (net.ipv4.tcp_rmem and tcp_wmem)",
    ),
    unsupported(
        &[
            "open_tcp_keepalive",
            "tcp_keepidle",
            "tcp_keepinterval",
            "tcp_keepcount",
            "tcp_user_timeout",
        ],
        Never,
        "limits.ping_interval and limits.pong_timeout find dead connections, also behind proxies",
    ),
    unsupported(
        &["tcp_nopush", "open_tcp_nopush", "tcp_defer_accept", "tcp_fastopen"],
        Never,
        "the socket is tuned by server.tcp_nodelay and limits.unsent_bytes_max",
    ),
    unsupported(&["enable_delay_receive"], Never, "a connection is read as soon as it is accepted"),
    unsupported(
        &["open_cpu_affinity"],
        Never,
        "set server.cpu_affinity to \"auto\", which gives each worker a CPU",
    ),
    unsupported(
        &["cpu_affinity_ignore"],
        Never,
        "list the CPUs that are to be used in server.cpu_affinity",
    ),
    unsupported(
        &["start_session_id"],
        Never,
        "connection ids are never used again, not even after a restart",
    ),
    unsupported(
        &["stats_file", "stats_timer_interval", "admin_server"],
        Never,
        "ask with \"wsmaster status --json\" or below /api",
    ),
    unsupported(
        &["log_date_format", "log_date_with_microseconds"],
        Never,
        "the log has one format of time",
    ),
    unsupported(
        &["log_rotation"],
        Never,
        "the log is rotated by size, not by time: set server.log_rotate_bytes and \
         server.log_rotate_keep, or leave it to logrotate",
    ),
    unsupported(&["request_slowlog_file"], Never, "there is no log of slow requests"),
    unsupported(&["trace_flags", "debug_mode"], Never, "set server.log_level"),
    unsupported(
        &[
            "document_root",
            "enable_static_handler",
            "static_handler_locations",
            "http_autoindex",
            "http_index_files",
            "url_rewrite_rules",
        ],
        Never,
        "it serves no files; leave them to the web server in front of it",
    ),
    unsupported(
        &[
            "upload_tmp_dir",
            "upload_max_filesize",
            "http_parse_post",
            "http_parse_cookie",
            "http_parse_files",
        ],
        Never,
        "it takes no forms; limits.body_bytes_max bounds what /api reads",
    ),
    unsupported(
        &[
            "http_compression",
            "http_compression_level",
            "compression_min_length",
            "http_compression_types",
        ],
        Never,
        "its HTTP answers are too small to gain by it",
    ),
    unsupported(
        &["maxMessagesPerMinute"],
        Never,
        "limits.messages_per_second_max is the rate of one client",
    ),
    unsupported(
        &["redis"],
        Later,
        "the workers of one machine share their state without it, and servers cannot be joined",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::tables::{keys, sections};

    #[test]
    fn no_name_is_both_refused_and_understood_and_none_is_listed_twice() {
        let names: Vec<_> = UNSUPPORTED.iter().flat_map(|entry| entry.names).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[index + 1..].contains(name), "{name} is listed twice");
            assert!(sections().all(|section| section.place.path != **name), "{name}");
            assert!(!keys().any(|id| id.get().1.is_called(name)), "{name} is a setting");
        }
    }

    #[test]
    fn the_answer_says_whether_waiting_helps() {
        let later = answer("redis").expect("it is known");
        assert!(later.starts_with("is a Swoole setting that wsmaster does not have yet: "));
        let never = answer("dispatch_mode").expect("it is known");
        assert!(never.starts_with("is a Swoole setting that wsmaster does not have: "));
        assert_eq!(answer("worker_num"), None);
    }
}
