//! The keys of work that may block: job threads and task processes.

use std::time::Duration;

use super::super::access::field;
use super::super::keys::{Key, Section};
use super::super::value::Kind;

pub(super) const JOB_THREADS: Key = Key {
    section: Section::Server,
    name: "job_threads",
    kind: Kind::Integer { min: 0, max: 1_024 },
    default: "4",
    automatic: None,
    aliases: &[],
    about: "Threads of each worker for blocking work of an application in Rust, started when there is \
            work for them. The built-in applications use none. 0: such work is refused.",
    access: field!(server.job_threads),
};

pub(super) const JOB_QUEUE_MAX: Key = Key {
    section: Section::Server,
    name: "job_queue_max",
    kind: Kind::Integer { min: 1, max: 1_000_000 },
    default: "1024",
    automatic: None,
    aliases: &[],
    about: "Pieces of blocking work that wait or run in one worker; one more is refused.",
    access: field!(server.job_queue_max),
};

pub(super) const TASK_WORKERS: Key = Key {
    section: Section::Server,
    name: "task_workers",
    kind: Kind::Integer { min: 0, max: 256 },
    default: "0",
    automatic: None,
    aliases: &["task_worker_num"],
    about: "Processes that do tasks for the workers, for an application in Rust that has a task handler. \
            The built-in applications have none.",
    access: field!(server.task_workers),
};

pub(super) const TASK_MAX_REQUEST: Key = Key {
    section: Section::Server,
    name: "task_max_request",
    kind: Kind::Integer { min: 0, max: 1_000_000_000_000 },
    default: "0",
    automatic: None,
    aliases: &["task_max_request"],
    about: "Tasks after which a task process is replaced. 0: never.",
    access: field!(server.task_max_request),
};

pub(super) const TASK_TIMEOUT: Key = Key {
    section: Section::Server,
    name: "task_timeout",
    kind: Kind::Duration {
        min: Duration::from_secs(1),
        max: Duration::from_secs(24 * 3_600),
        zero_is_off: true,
    },
    default: "0s",
    automatic: None,
    aliases: &[],
    about: "A task process that is at one task for this time hangs: it is killed and replaced, and who \
            gave the task is told. 0: never.",
    access: field!(server.task_timeout),
};
