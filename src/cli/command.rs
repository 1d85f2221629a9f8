//! What can be asked for on the command line, and how it can end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap_complete::Shell;

use super::client::ClientOptions;
use super::inspect_args::Listing;
use crate::config::{Config, ConfigErrors, Overrides};

/// How a command ended, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: it did what was asked.
    Done,
    /// 1: it failed at run time.
    Failed,
    /// 2: the arguments or the configuration are wrong.
    Usage,
    /// 3: the server it is about is not running.
    NotRunning,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotRunning => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// How much a reload is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Read the configuration again, replace the workers and the programs that have changed.
    Everything,
    /// Show the certificates that are in their files now.
    Certificates,
    /// Start side processes again: those with this name, or all.
    Processes(Option<String>),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server.
    Start {
        /// The settings among the flags.
        flags: Overrides,
    },
    /// Stop the running server.
    Stop {
        /// Which server.
        target: Target,
        /// How long to wait for its end; `None` is the configured `stop_timeout`.
        timeout: Option<Duration>,
    },
    /// Stop the running server, if any, and start it again.
    Restart {
        /// The settings among the flags.
        flags: Overrides,
        /// How long to wait for the end of the running one; `None` is the configured
        /// `stop_timeout`.
        timeout: Option<Duration>,
    },
    /// Make the running server read its configuration again and replace its processes.
    Reload {
        /// Which server.
        target: Target,
        /// How much of it.
        what: Reload,
    },
    /// Tell how the running server is.
    Status {
        /// Which server.
        target: Target,
        /// As JSON for programs instead of words for people.
        json: bool,
        /// Again and again, so far apart.
        watch: Option<Duration>,
    },
    /// List the connections of the running server.
    Connections {
        /// Which server.
        target: Target,
        /// Which connections, and how.
        listing: Listing,
    },
    /// Show the running server on a terminal.
    Top {
        /// Which server.
        target: Target,
        /// The time between two looks.
        interval: Duration,
    },
    /// Connect to a WebSocket server, this one or any other.
    Client(ClientOptions),
    /// Make the running server open its log file again.
    ReopenLogs {
        /// Which server.
        target: Target,
    },
    /// Look at the machine and the configuration, and say what to change.
    Doctor {
        /// The settings among the flags.
        flags: Overrides,
        /// As JSON for programs instead of words for people.
        json: bool,
    },
    /// Work on the configuration without a server.
    Config(ConfigCommand),
    /// Make certificates.
    Cert(CertCommand),
    /// Print the completions of a shell.
    Completions {
        /// The shell that is to load them.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

/// What to do with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigCommand {
    /// Tell whether it is valid.
    Check {
        /// The settings among the flags.
        flags: Overrides,
    },
    /// Print the effective values and where they came from.
    Show {
        /// The settings among the flags.
        flags: Overrides,
    },
    /// Print a complete file with every setting at its default.
    Default,
}

/// Which certificate to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertCommand {
    /// One that is signed by nobody but itself.
    SelfSigned {
        /// Host names and IP addresses it is for; at least one.
        names: Vec<String>,
        /// Where its two files are put.
        directory: PathBuf,
    },
}

/// Which running server a command is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The configuration it was started with, by flag.
    pub config: Option<PathBuf>,
    /// Its PID file, by flag.
    pub pid_file: Option<String>,
}

impl Target {
    /// The flags as settings, to load the configuration with.
    #[must_use]
    pub fn flags(&self) -> Overrides {
        let mut flags = Overrides::of_file(self.config.clone());
        if let Some(path) = &self.pid_file {
            flags.set("--pid-file", "server.pid_file", path);
        }
        flags
    }

    /// The PID file to look at. The flag answers by itself, so that a server whose configuration is
    /// broken by now can still be stopped.
    ///
    /// # Errors
    /// Without the flag: all that is wrong with the configuration.
    pub fn pid_file(
        &self,
        env: &[(String, String)],
        uid: u32,
        cpus: usize,
    ) -> Result<PathBuf, ConfigErrors> {
        match &self.pid_file {
            Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
            Some(_) | None => Ok(Config::load(&self.flags(), env, uid, cpus)?.server.pid_file),
        }
    }
}
