//! `[[process]]`: the programs that run beside the workers, as plain data.
//!
//! Owns the shape of one such program and keeps its environment out of `Debug`, because that is
//! where programs are given their passwords. Names, ranges, defaults and explanations are in the
//! table of its keys below this module; only what is declared there can be set. It starts nothing.

mod relations;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use wsmaster_protocol::plugin::EventKind;

use super::array::Array;
use super::secret::REDACTED;

pub(super) use relations::check as check_together;

/// The most `[[process]]` tables of a configuration.
pub const PROCESSES_MAX: usize = 64;

/// The most instances of all programs together.
pub const INSTANCES_MAX: usize = 256;

/// The array of tables.
pub(super) static ARRAY: Array<ProcessConfig> = Array {
    section: "process",
    header: "[[process]]",
    plural: "processes",
    most: PROCESSES_MAX,
    bounds: ", with 256 instances in all. They have no variables and no flags.",
    about: "A program of your own that runs beside the workers, in any language: it reads events and \
            writes commands, one JSON object a line.",
    example: EXAMPLE,
    keys: table::KEYS,
    blank,
};

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

/// One `[[process]]`: a program that the master starts, watches and speaks to in lines of JSON.
#[derive(Clone, PartialEq)]
pub struct ProcessConfig {
    /// 1 to 32 characters out of `a-z 0-9 _ -`; no other process has the same.
    pub name: String,
    /// The program, as a path or as a name to look for in `PATH`; never empty.
    pub command: PathBuf,
    /// What the program is given after its own name; no zero bytes.
    pub args: Vec<String>,
    /// Variables set for the program, by name. The values may be secret: `Debug` and
    /// [`Config::show`](super::Config::show) name the variables only.
    pub env: BTreeMap<String, String>,
    /// The directory it runs in; `None` is the server's.
    pub cwd: Option<PathBuf>,
    /// The user it runs as; `None` is `user` of `[server]`.
    pub user: Option<String>,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// How long it may take to stop before it is killed, 100 ms to 10 minutes.
    pub stop_timeout: Duration,
    /// What it is told of, each kind once, in the order of the file.
    pub events: Vec<EventKind>,
    /// How many of it run at a time, 1 to 64.
    pub instances: u16,
    /// How often it is sent a tick, 10 ms to 24 hours; `None` is never.
    pub tick: Option<Duration>,
    /// Whether events come on its standard input and commands go to its standard output, instead of
    /// descriptors 3 and 4.
    pub stdio: bool,
    /// Bytes of events that may wait for one instance that does not read, 64 KiB to 1 GiB.
    pub queue_bytes_max: usize,
    /// As an application: how long clients wait for it, 100 ms to 10 minutes.
    pub answer_timeout: Duration,
    /// It is ended when it takes no event for so long although some wait, 1 second to 1 hour; `None` is never.
    pub watchdog: Option<Duration>,
}

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

impl fmt::Debug for ProcessConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart, so that a new field cannot be forgotten here.
        let Self {
            name,
            command,
            args,
            env,
            cwd,
            user,
            restart,
            stop_timeout,
            events,
            instances,
            tick,
            stdio,
            queue_bytes_max,
            answer_timeout,
            watchdog,
        } = self;
        let variables: BTreeMap<&String, &str> = env.keys().map(|key| (key, REDACTED)).collect();
        f.debug_struct("ProcessConfig")
            .field("name", name)
            .field("command", command)
            .field("args", args)
            .field("env", &variables)
            .field("cwd", cwd)
            .field("user", user)
            .field("restart", restart)
            .field("stop_timeout", stop_timeout)
            .field("events", events)
            .field("instances", instances)
            .field("tick", tick)
            .field("stdio", stdio)
            .field("queue_bytes_max", queue_bytes_max)
            .field("answer_timeout", answer_timeout)
            .field("watchdog", watchdog)
            .finish()
    }
}

/// A process whose fields are all about to be written. Its values are no defaults.
fn blank() -> ProcessConfig {
    ProcessConfig {
        name: String::new(),
        command: PathBuf::new(),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        user: None,
        restart: Restart::Never,
        stop_timeout: Duration::ZERO,
        events: Vec::new(),
        instances: 0,
        tick: None,
        stdio: false,
        queue_bytes_max: 0,
        answer_timeout: Duration::ZERO,
        watchdog: None,
    }
}
