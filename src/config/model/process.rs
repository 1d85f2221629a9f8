//! `[[process]]`: the programs that run beside the workers.
//!
//! Owns the declaration of its settings and their types. It starts nothing.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use wsmaster_protocol::plugin::EventKind;
use wsmaster_settings::{Array, kinds::*, settings, words};

use super::validators::{is_file_path, is_path, is_system_name, is_table_name};

/// The most `[[process]]` tables of a configuration.
pub const PROCESSES_MAX: usize = 64;

/// The most instances of all programs together.
pub const INSTANCES_MAX: usize = 256;

/// The longest argument and the longest value of a variable: well below what the kernel takes for
/// one (`MAX_ARG_STRLEN`, 128 KiB), so that a start cannot fail for it.
const ARGUMENT_BYTES_MAX: usize = 64 << 10;

/// The longest name of a variable.
const VARIABLE_BYTES_MAX: usize = 255;

settings! {
    /// A program of your own that runs beside the workers, in any language: it reads events and writes commands, one JSON
    /// object a line.
    pub struct ProcessConfig = array("process", Array {
        plural: "processes",
        most: PROCESSES_MAX,
        bounds: ", with 256 instances in all. They have no variables and no flags.",
        example: EXAMPLE,
    });

    /// What it is called in the log and in the status, and by whoever sends it something. No other process may have the
    /// same.
    name: String = required("queue"), text("1 to 32 characters out of a-z 0-9 _ -", is_table_name), ["id", "title"];

    /// The program, without its arguments; no shell reads it. A name without a slash is looked for in PATH.
    command: PathBuf = required("/usr/local/bin/queue"),
        text("the path or the name of a program", is_file_path),
        ["cmd", "exec", "program", "run", "script"];

    /// Its arguments one by one, such as ["--level", "2"]. Everybody on the machine can see them: secrets belong into
    /// env.
    args: Vec<String> = empty(),
        list(text("a text of at most 64KiB without zero bytes", is_argument)),
        ["argv", "options", "parameters"];

    /// Variables of its environment, such as { DATABASE = "main" }. Their values are not shown anywhere.
    env: BTreeMap<String, String> = empty(),
        table(
            secret("a text of at most 64KiB without zero bytes", is_argument),
            "1 to 255 characters out of A-Z a-z 0-9 _ - . with no digit at its start",
            is_variable_name,
        ),
        ["envs", "environment", "variables"];

    /// The directory it runs in. Empty: the server's.
    cwd: Option<PathBuf> = is(""),
        text("the path of a directory, or \"\"", is_path),
        ["chdir", "dir", "directory", "workdir", "working_directory"];

    /// The user it runs as when root starts the server. Empty: the user in [server].
    user: Option<String> = is(""), text("the name of a user, or \"\"", is_system_name), ["uid", "username"];

    /// What happens when it ends by itself: "always" starts it again, "on-failure" does unless its exit code was 0,
    /// "never" does not.
    restart: Restart = is("always"), choice::<Restart>(), ["autorestart", "on_exit", "policy"];

    /// How long it may take to stop before it is killed.
    stop_timeout: Duration = is("5s"),
        time(MILLISECOND_100, MINUTES_10),
        ["kill_timeout", "max_wait_time", "stopwaitsecs", "timeout"];

    /// What it is told of, of all connections. Empty: only what is for it alone. As an application it is told of open,
    /// message, close and request of its own connections in any case, and asked to decide their handshakes if
    /// "handshake" is here. With "request" it also gets the requests that nobody else answers.
    events: Vec<EventKind> = empty(), set(choice::<EventKind>()), ["listen", "on", "subscribe"];

    /// How many of it run at a time. All processes together may have 256.
    instances: u16 = is("1"),
        integer(1, 64),
        ["count", "num", "numprocs", "processes", "replicas", "worker_num", "workers"];

    /// How often it is sent a tick. 0: never.
    tick: Option<Duration> = is("0s"), time_or_off(Duration::from_millis(10), DAY), ["interval", "tick_ms", "timer"];

    /// Events come on its standard input and commands go to its standard output, instead of descriptors 3 and 4. What
    /// it prints must be commands then.
    stdio: bool = is("false"), flag(), ["redirect_stdin_and_stdout", "stdin", "stdout"];

    /// Bytes of events that wait for an instance that does not read. What comes then is dropped, and it is told how
    /// much; but its own clients, if it is an application, are not read from until there is room.
    queue_bytes_max: usize = is("4MiB"), size(64 * KIB, GIB), ["buffer", "queue", "queue_size"];

    /// How long clients wait for it, if it is an application: for the answer to a request (then 504) or a handshake,
    /// and with a message that it does not take (then they are closed with 1013).
    answer_timeout: Duration = is("10s"),
        time(MILLISECOND_100, MINUTES_10),
        ["patience", "request_timeout", "response_timeout"];

    /// It hangs when it takes no event for this time although some wait: then it is killed and started again, as
    /// restart says. Longer than its longest handler. 0: never.
    watchdog: Option<Duration> = is("0s"), time_or_off(SECOND, HOUR), ["hang_timeout", "heartbeat"];
}

const EXAMPLE: &str = r#"
```toml
[[process]]
name = "queue"
command = "php"
args = ["queue.php", "--verbose"]
env = { DATABASE = "main" }
events = ["open", "message", "close"]
```
"#;

/// What happens to a program that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is started again.
    Always,
    /// It is started again unless it ended with exit code 0.
    OnFailure,
    /// It stays ended.
    Never,
}

words!(Restart: "always" => Always, "on-failure" => OnFailure, "never" => Never);

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
}
