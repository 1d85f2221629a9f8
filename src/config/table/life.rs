//! The keys of a process's life: when it is replaced, when it is taken to hang, and how often it is started again.

use super::super::access::field;
use super::super::keys::{Automatic, Key, Section};
use super::super::settings::DrainCloseCode;
use super::super::spans::{DAY, GIB, HOUR, MIB, MILLISECOND_100, SECOND, time, time_or_off};
use super::super::value::{Kind, Value};
use super::super::words::words;

pub(super) const RECONNECT_SPREAD: Key = Key {
    section: Section::Server,
    name: "reconnect_spread",
    kind: time_or_off(MILLISECOND_100, HOUR),
    default: "5s",
    automatic: None,
    aliases: &[],
    about: "Clients of a worker that is replaced, and all clients when the server stops, are told so one by one \
            at random moments within this time, and served until then, so that they do not come back all at \
            once. A worker with few clients takes less: 10 ms for each. A stop ends within stop_timeout all \
            the same. 0: all at once.",
    access: field!(server.reconnect_spread),
};

pub(super) const DRAIN_CLOSE_CODE: Key = Key {
    section: Section::Server,
    name: "drain_close_code",
    kind: Kind::Choice { words: &words(&DrainCloseCode::WORDS), numbered: &[] },
    default: "1001",
    automatic: None,
    aliases: &[],
    about: "The close code for the clients of a worker that is replaced: 1001 (going away), which every library knows, or \
            1012 (service restart), which several take for a breach of the protocol. The reason is the same.",
    access: field!(server.drain_close_code),
};

pub(super) const MAX_REQUEST: Key = Key {
    section: Section::Server,
    name: "max_request",
    kind: Kind::Integer { min: 0, max: 1_000_000_000_000 },
    default: "0",
    automatic: None,
    aliases: &["max_request"],
    about: "Messages after which a worker is replaced gracefully. 0: never.",
    access: field!(server.max_request),
};

pub(super) const MAX_REQUEST_SPREAD: Key = Key {
    section: Section::Server,
    name: "max_request_spread",
    kind: Kind::Integer { min: 0, max: 1_000_000_000_000 },
    default: "auto",
    automatic: Some(Automatic {
        word: "auto",
        meaning: "half of max_request",
        compute: |config, _| Value::Number(config.server.max_request / 2),
    }),
    aliases: &["max_request_grace"],
    about: "Each worker adds a random number up to this one to its max_request, so that \
            workers that were started together are not replaced together.",
    access: field!(server.max_request_spread),
};

pub(super) const WORKER_MEMORY_MAX: Key = Key {
    section: Section::Server,
    name: "worker_memory_max",
    kind: Kind::SizeOrOff { min: 16 * MIB, max: 1024 * GIB },
    default: "0",
    automatic: None,
    aliases: &[],
    about: "Memory of a worker's own (resident, without what it shares with others) above \
            which it is replaced gracefully. It is looked at once a second; workers go one \
            after the other. 0: never.",
    access: field!(server.worker_memory_max),
};

pub(super) const RESTARTS_MAX: Key = Key {
    section: Section::Server,
    name: "restarts_max",
    kind: Kind::Integer { min: 1, max: 1_000 },
    default: "10",
    automatic: None,
    aliases: &[],
    about: "A worker or side process that dies more often than this within restarts_window \
            is in a crash loop: it is started again every 30 s only, until it lives or a \
            reload tries it at once.",
    access: field!(server.restarts_max),
};

pub(super) const RESTARTS_WINDOW: Key = Key {
    section: Section::Server,
    name: "restarts_window",
    kind: time(SECOND, DAY),
    default: "60s",
    automatic: None,
    aliases: &[],
    about: "The time within which restarts_max counts.",
    access: field!(server.restarts_window),
};

pub(super) const WATCHDOG: Key = Key {
    section: Section::Server,
    name: "watchdog",
    kind: time_or_off(SECOND, HOUR),
    default: "30s",
    automatic: None,
    aliases: &[],
    about: "A worker whose event loop makes no turn for this time hangs: it is killed and replaced. \
            0: never.",
    access: field!(server.watchdog),
};
