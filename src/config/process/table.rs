//! The table of the keys of `[[process]]`: the one place where they are declared.
//!
//! The reading of the file, the example in `config default`, `config show` and the reference in the
//! documentation all come from it. It holds no code but the spelling of a few texts.

use std::time::Duration;

use wsmaster_protocol::plugin::EventKind;

use super::{ProcessConfig, Restart};
use crate::config::access::field;
use crate::config::array::{Names, Shape, TableKey};
use crate::config::rules::{is_file_path, is_path, is_system_name, is_table_name};
use crate::config::value::Kind;
use crate::config::words::words;

/// The longest argument and the longest value of a variable: well below what the kernel takes for
/// one (`MAX_ARG_STRLEN`, 128 KiB), so that a start cannot fail for it.
const ARGUMENT_BYTES_MAX: usize = 64 << 10;

/// The longest name of a variable.
const VARIABLE_BYTES_MAX: usize = 255;

const fn time(min: Duration, max: Duration, zero_is_off: bool) -> Kind {
    Kind::Duration { min, max, zero_is_off }
}

/// Every setting of a process, in the order of the file.
pub(super) static KEYS: &[TableKey<ProcessConfig>] = &[
    TableKey {
        name: "name",
        shape: Shape::required(
            Kind::Text {
                expected: "1 to 32 characters out of a-z 0-9 _ -",
                accepts: is_table_name,
            },
            "queue",
        ),
        synonyms: &["id", "title"],
        about: "What it is called in the log and in the status, and by whoever sends it something. \
                No other process may have the same.",
        access: field!(name),
    },
    TableKey {
        name: "command",
        shape: Shape::required(
            Kind::Text { expected: "the path or the name of a program", accepts: is_file_path },
            "/usr/local/bin/queue",
        ),
        synonyms: &["cmd", "exec", "program", "run", "script"],
        about: "The program, without its arguments; no shell reads it. A name without a slash is \
                looked for in PATH.",
        access: field!(command),
    },
    TableKey {
        name: "args",
        shape: Shape::List {
            each: Kind::Text {
                expected: "a text of at most 64KiB without zero bytes",
                accepts: is_argument,
            },
            is_set: false,
        },
        synonyms: &["argv", "options", "parameters"],
        about: "Its arguments one by one, such as [\"--level\", \"2\"]. Everybody on the machine can \
                see them: secrets belong into env.",
        access: field!(args),
    },
    TableKey {
        name: "env",
        shape: Shape::Table {
            each: Kind::Secret {
                expected: "a text of at most 64KiB without zero bytes",
                accepts: is_argument,
            },
            names: Names {
                expected: "1 to 255 characters out of A-Z a-z 0-9 _ - . with no digit at its start",
                accepts: is_variable_name,
            },
        },
        synonyms: &["envs", "environment", "variables"],
        about: "Variables of its environment, such as { DATABASE = \"main\" }. Their values are \
                not shown anywhere.",
        access: field!(env),
    },
    TableKey {
        name: "cwd",
        shape: Shape::one(
            Kind::Text { expected: "the path of a directory, or \"\"", accepts: is_path },
            "",
        ),
        synonyms: &["chdir", "dir", "directory", "workdir", "working_directory"],
        about: "The directory it runs in. Empty: the server's.",
        access: field!(cwd),
    },
    TableKey {
        name: "user",
        shape: Shape::one(
            Kind::Text { expected: "the name of a user, or \"\"", accepts: is_system_name },
            "",
        ),
        synonyms: &["uid", "username"],
        about: "The user it runs as when root starts the server. Empty: the user in [server].",
        access: field!(user),
    },
    TableKey {
        name: "restart",
        shape: Shape::one(Kind::Choice { words: &words(&Restart::WORDS), numbered: &[] }, "always"),
        synonyms: &["autorestart", "on_exit", "policy"],
        about: "What happens when it ends by itself: \"always\" starts it again, \"on-failure\" \
                does unless its exit code was 0, \"never\" does not.",
        access: field!(restart),
    },
    TableKey {
        name: "stop_timeout",
        shape: Shape::one(time(Duration::from_millis(100), Duration::from_secs(600), false), "5s"),
        synonyms: &["kill_timeout", "max_wait_time", "stopwaitsecs", "timeout"],
        about: "How long it may take to stop before it is killed.",
        access: field!(stop_timeout),
    },
    TableKey {
        name: "events",
        shape: Shape::List {
            each: Kind::Choice { words: &words(&EventKind::ALL), numbered: &[] },
            is_set: true,
        },
        synonyms: &["listen", "on", "subscribe"],
        about: "What it is told of, of all connections. Empty: only what is for it alone. As an \
                application it is told of open, message, close and request of its own connections \
                in any case, and asked to decide their handshakes if \"handshake\" is here. With \
                \"request\" it also gets the requests that nobody else answers.",
        access: field!(events),
    },
    TableKey {
        name: "instances",
        shape: Shape::one(Kind::Integer { min: 1, max: 64 }, "1"),
        synonyms: &["count", "num", "numprocs", "processes", "replicas", "worker_num", "workers"],
        about: "How many of it run at a time. All processes together may have 256.",
        access: field!(instances),
    },
    TableKey {
        name: "tick",
        shape: Shape::one(
            time(Duration::from_millis(10), Duration::from_secs(24 * 3_600), true),
            "0s",
        ),
        synonyms: &["interval", "tick_ms", "timer"],
        about: "How often it is sent a tick. 0: never.",
        access: field!(tick),
    },
    TableKey {
        name: "stdio",
        shape: Shape::one(Kind::Flag, "false"),
        synonyms: &["redirect_stdin_and_stdout", "stdin", "stdout"],
        about: "Events come on its standard input and commands go to its standard output, instead \
                of descriptors 3 and 4. What it prints must be commands then.",
        access: field!(stdio),
    },
    TableKey {
        name: "queue_bytes_max",
        shape: Shape::one(Kind::Size { min: 64 << 10, max: 1 << 30 }, "4MiB"),
        synonyms: &["buffer", "queue", "queue_size"],
        about: "Bytes of events that wait for an instance that does not read. What comes then is \
                dropped, and it is told how much; but its own clients, if it is an application, are \
                not read from until there is room.",
        access: field!(queue_bytes_max),
    },
    TableKey {
        name: "answer_timeout",
        shape: Shape::one(time(Duration::from_millis(100), Duration::from_secs(600), false), "10s"),
        synonyms: &["patience", "request_timeout", "response_timeout"],
        about: "How long clients wait for it, if it is an application: for the answer to a request \
                (then 504) or a handshake, and with a message that it does not take (then they are \
                closed with 1013).",
        access: field!(answer_timeout),
    },
    TableKey {
        name: "watchdog",
        shape: Shape::one(time(Duration::from_secs(1), Duration::from_secs(3_600), true), "0s"),
        synonyms: &["hang_timeout", "heartbeat"],
        about: "It hangs when it takes no event for this time although some wait: then it is killed \
                and started again, as restart says. Longer than its longest handler. 0: never.",
        access: field!(watchdog),
    },
];

/// An argument or the value of a variable: the kernel ends both at a zero byte.
fn is_argument(text: &str) -> bool {
    text.len() <= ARGUMENT_BYTES_MAX && !text.contains('\0')
}

/// What POSIX says of names of variables (XBD section 8.1), and the dots and dashes that programs
/// use nevertheless.
fn is_variable_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=VARIABLE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_variables_have_bounds() {
        let text = |length| "a".repeat(length);
        for (rule, most) in [
            (is_argument as fn(&str) -> bool, ARGUMENT_BYTES_MAX),
            (is_variable_name, VARIABLE_BYTES_MAX),
        ] {
            assert!(rule(&text(1)) && rule(&text(most)), "{most}");
            assert!(!rule(&text(most + 1)), "{most}");
        }
        for (rule, good, bad) in [
            (is_argument as fn(&str) -> bool, &["", " ", "--a=b", "é\n"][..], &["\0", "a\0b"][..]),
            (
                is_variable_name,
                &["PATH", "_x", "a.b-c", "A9"],
                &["", "9A", "A=B", "A B", "é", "A\0"],
            ),
        ] {
            assert!(good.iter().all(|text| rule(text)), "{good:?}");
            assert!(!bad.iter().any(|text| rule(text)), "{bad:?}");
        }
    }

    #[test]
    fn no_name_and_no_synonym_stands_for_two_keys() {
        let names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.synonyms));
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
