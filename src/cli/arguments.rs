//! The arguments as they are declared, and their way to a [`Command`].
//!
//! Owns names, help texts and examples. What a value may be is said by the table of settings, so a
//! flag is refused with the same range as a line of the file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use super::client::ClientOptions;
use super::command::{CertCommand, Command, ConfigCommand, Reload, Target};
use super::inspect_args::{Listing, interval};
use super::listen;
use crate::config::{ListenAddress, Overrides, check_value, parse_duration};

/// Stands below the help of the program and, as sections, in the manual page.
const EXAMPLES: &str = "\
Examples:
  wsmaster start                           serve channels on 127.0.0.1:9501
  wsmaster start -w 4 --listen :9600       four workers on every address
  wsmaster start -c wsmaster.toml -d       in the background, as the file says
  wsmaster config default > wsmaster.toml  a file with every setting explained
  wsmaster reload                          new configuration, new workers, gracefully
  wsmaster top                             the running server on a terminal
  wsmaster client ws://localhost:9501/     talk to it, or to any other WebSocket server

Exit codes:
  0  done
  1  failed at run time
  2  wrong arguments or configuration
  3  the server is not running

Every setting also has a variable: WSMASTER_SERVER_PORT=9600 is [server] port.";

/// A WebSocket server that supervises itself: one master, N workers on one port.
#[derive(Debug, Parser)]
#[command(name = "wsmaster", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
struct Program {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the server
    #[command(after_help = "\
Examples:
  wsmaster start -w auto
  wsmaster start -c /etc/wsmaster.toml --log-level debug
  wsmaster start --app echo --listen [::1]:9501")]
    Start(SettingFlags),

    /// Stop the running server and wait for its end
    #[command(after_help = "Exit code 3: it is not running.")]
    Stop {
        #[command(flatten)]
        target: TargetFlags,
        #[command(flatten)]
        wait: WaitFlag,
    },

    /// Stop the server, if it runs, and start it again
    #[command(after_help = "\
Every connection is closed. To replace the processes gracefully: wsmaster reload")]
    Restart {
        #[command(flatten)]
        settings: SettingFlags,
        #[command(flatten)]
        wait: WaitFlag,
    },

    /// Replace the workers of the running server gracefully, with its configuration read again
    #[command(after_help = "\
The configuration is checked first, with the commands of programs; if it is wrong, nothing
happens to the server.
Programs ([[process]]) stay, but for those whose table, command or script has changed, which are
started again; new ones are started, and those that are gone from the configuration end. What a
script reads by itself is not looked at:
  wsmaster reload --processes chat
Where nothing but certificates has changed, they are exchanged and no worker is replaced.
Exit code 3: it is not running.")]
    Reload {
        #[command(flatten)]
        target: TargetFlags,
        /// Only show the certificates that are in their files now; no worker is replaced
        #[arg(long)]
        certificates: bool,
        /// Only start side processes again, all or those with this name; no worker is replaced
        #[arg(
            long,
            value_name = "NAME",
            num_args = 0..=1,
            default_missing_value = "",
            conflicts_with = "certificates"
        )]
        processes: Option<String>,
    },

    /// Tell how the running server is: a line for each of its processes
    #[command(after_help = "\
Examples:
  wsmaster status
  wsmaster status --watch=1
  wsmaster status --json | jq .totals.messages_in
Exit code 3: it is not running, or has stopped while it was watched.")]
    Status {
        #[command(flatten)]
        target: TargetFlags,
        /// Print JSON; with --watch, one object a line
        #[arg(long)]
        json: bool,
        /// Look again and again, every 2 seconds or so often, until Ctrl-C or the end of the server
        #[arg(
            long,
            value_name = "SECONDS",
            value_parser = interval,
            num_args = 0..=1,
            require_equals = true,
            default_missing_value = "2"
        )]
        watch: Option<Duration>,
    },

    /// List the connections of the running server
    #[command(after_help = "\
Examples:
  wsmaster connections --channel chat.room.1
  wsmaster connections --sort queued --limit 10     who reads too slowly
  wsmaster connections --limit 0 --json | jq -r .peer
Exit code 1: a worker did not answer, so the list is not whole. Exit code 3: the server is not running.")]
    Connections {
        #[command(flatten)]
        target: TargetFlags,
        #[command(flatten)]
        listing: Listing,
    },

    /// Show the running server on the terminal: rates, workers, slowest clients, busiest channels
    #[command(after_help = "\
Keys: q quit, p pause, s sort, ? help, arrows scroll.
Exit code 3: it is not running.")]
    Top {
        #[command(flatten)]
        target: TargetFlags,
        /// Look so often
        #[arg(long, value_name = "SECONDS", value_parser = interval, default_value = "1")]
        interval: Duration,
    },

    /// Connect to a WebSocket server: lines that are typed are sent, messages that come are printed
    #[command(after_help = "\
Messages go to the standard output, everything else to the standard error. The end of the input
closes the connection; what the server still sends before it closes too is printed.

Examples:
  wsmaster client ws://localhost:9501/
  echo '{\"action\":\"ping\"}' | wsmaster client --json ws://localhost:9501/
  wsmaster client --once --timing -H 'Authorization: Bearer KEY' wss://example.org/feed
  wsmaster client --ca certs/cert.pem wss://localhost:9501/

Exit codes:
  0  closed normally: by this side, or by the server with code 1000 or none
  1  not connected, refused, broken off, or closed with another code
  2  wrong arguments")]
    Client(ClientOptions),

    /// Look at the machine and the configuration, and say what to change
    #[command(after_help = "\
Looks at the configuration, programs, certificates, descriptors, queues, ports, memory, CPUs,
control groups, the clock, users and directories, with the flags of start. It changes nothing.
Exit code 1: there is a problem. Warnings are none.")]
    Doctor {
        #[command(flatten)]
        settings: SettingFlags,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },

    /// Work on the log file of the running server
    #[command(subcommand, arg_required_else_help = true)]
    Logs(LogsAction),

    /// Check, show or print the configuration, without a server
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigAction),

    /// Make a certificate for TLS
    #[command(subcommand, arg_required_else_help = true)]
    Cert(CertAction),

    /// Print the completions of a shell
    #[command(after_help = "\
Example:
  wsmaster completions bash > /etc/bash_completion.d/wsmaster")]
    Completions {
        /// The shell that is to load them
        shell: Shell,
    },

    /// Print the manual page
    #[command(after_help = "\
Example:
  wsmaster man | man -l -")]
    Man,
}

#[derive(Debug, Subcommand)]
enum LogsAction {
    /// Open the log file by its name again, after it was moved away, and wait until all processes write to it
    #[command(after_help = "\
It is what logrotate's postrotate is for. The signal RTMIN does the same without waiting.
Exit code 1: it cannot be opened, and the old one stays in use; 3: the server is not running.")]
    Reopen(TargetFlags),
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Say all that is wrong with the configuration
    #[command(after_help = "Exit code 2: something is wrong.")]
    Check(SettingFlags),
    /// Print the effective values and where each came from
    Show(SettingFlags),
    /// Print a complete file with every setting explained and at its default
    Default,
}

#[derive(Debug, Subcommand)]
enum CertAction {
    /// Make a certificate that is signed by nobody but itself, for trying TLS out
    #[command(after_help = "\
Writes cert.pem and key.pem, and prints the lines for the configuration. It is good for a year.
A file that is there already is left alone.

Example:
  wsmaster cert self-signed --name chat.example.org >> wsmaster.toml")]
    SelfSigned {
        /// A host name or an IP address that it is for; may be given several times
        #[arg(long = "name", value_name = "HOST", default_values = ["localhost", "127.0.0.1", "::1"], value_parser = certified)]
        names: Vec<String>,
        /// Directory of the two files
        #[arg(long = "out", value_name = "DIR", default_value = ".")]
        directory: PathBuf,
    },
}

/// Flags that set something; each wins over the environment and the file.
#[derive(Args, Debug)]
struct SettingFlags {
    /// The configuration; without it, $WSMASTER_CONFIG or none
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Worker processes; auto is one for each CPU
    #[arg(short, long, value_name = "N|auto", value_parser = value_of("server.workers"))]
    workers: Option<String>,
    /// Address to listen on: HOST:PORT, :PORT (every address), [IPV6]:PORT or unix:/PATH; again for a further one
    #[arg(long, value_name = "ADDR", value_parser = listen::parse)]
    listen: Vec<ListenAddress>,
    /// What clients are connected to: channels, echo, broadcast or plugin:NAME
    #[arg(long, value_name = "NAME", value_parser = value_of("server.app"))]
    app: Option<String>,
    /// Leave the server in the background once it is ready
    #[arg(short, long)]
    daemon: bool,
    /// File for the process id of the master
    #[arg(long, value_name = "FILE", value_parser = value_of("server.pid_file"))]
    pid_file: Option<String>,
    /// File for the log instead of the standard error
    #[arg(long, value_name = "FILE", value_parser = value_of("server.log_file"))]
    log_file: Option<String>,
    /// Least severe messages to log: error, warn, info, debug, trace or off
    #[arg(long, value_name = "LEVEL", value_parser = value_of("server.log_level"))]
    log_level: Option<String>,
    /// User the workers change to
    #[arg(long, value_name = "NAME", value_parser = value_of("server.user"))]
    user: Option<String>,
    /// Group the workers change to
    #[arg(long, value_name = "NAME", value_parser = value_of("server.group"))]
    group: Option<String>,
}

/// Flags that say which server is meant.
#[derive(Args, Debug)]
struct TargetFlags {
    /// The configuration the server was started with
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File with the process id of the master; the configuration is then not needed
    #[arg(long, value_name = "FILE", value_parser = value_of("server.pid_file"))]
    pid_file: Option<String>,
}

#[derive(Args, Debug)]
struct WaitFlag {
    /// How long to wait for the end of the running server [default: its stop_timeout]
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    timeout: Option<Duration>,
}

/// Reads the arguments, the name of the program first.
///
/// # Errors
/// What is wrong with them, or the help or version that was asked for; `clap::Error::exit` prints
/// either where it belongs and ends the process with 2 or 0.
pub fn parse<I, T>(args: I) -> Result<Command, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Program::try_parse_from(args).map(|program| program.action.into())
}

/// The declaration as a whole, for what is generated from it.
pub(super) fn declaration() -> clap::Command {
    Program::command()
}

/// Reads the value of a setting; it stays a text until the configuration is made.
fn value_of(path: &'static str) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| check_value(path, text).map(|()| text.to_owned())
}

/// A name that can stand in a certificate: a host, or all hosts one label below it.
fn certified(text: &str) -> Result<String, String> {
    check_value("server.host", text.strip_prefix("*.").unwrap_or(text)).map(|()| text.to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    check_value("server.stop_timeout", text)?;
    parse_duration(text).ok_or_else(|| "expected a duration".to_owned())
}

impl From<Action> for Command {
    fn from(action: Action) -> Self {
        match action {
            Action::Start(settings) => Self::Start { flags: settings.into() },
            Action::Stop { target, wait } => {
                Self::Stop { target: target.into(), timeout: wait.timeout }
            }
            Action::Restart { settings, wait } => {
                Self::Restart { flags: settings.into(), timeout: wait.timeout }
            }
            Action::Reload { target, certificates, processes } => {
                let what = match processes {
                    Some(name) => Reload::Processes(Some(name).filter(|name| !name.is_empty())),
                    None if certificates => Reload::Certificates,
                    None => Reload::Everything,
                };
                Self::Reload { target: target.into(), what }
            }
            Action::Status { target, json, watch } => {
                Self::Status { target: target.into(), json, watch }
            }
            Action::Connections { target, listing } => {
                Self::Connections { target: target.into(), listing }
            }
            Action::Top { target, interval } => Self::Top { target: target.into(), interval },
            Action::Client(options) => Self::Client(options),
            Action::Doctor { settings, json } => Self::Doctor { flags: settings.into(), json },
            Action::Logs(LogsAction::Reopen(target)) => Self::ReopenLogs { target: target.into() },
            Action::Config(action) => Self::Config(action.into()),
            Action::Cert(CertAction::SelfSigned { names, directory }) => {
                Self::Cert(CertCommand::SelfSigned { names, directory })
            }
            Action::Completions { shell } => Self::Completions { shell },
            Action::Man => Self::Man,
        }
    }
}

impl From<ConfigAction> for ConfigCommand {
    fn from(action: ConfigAction) -> Self {
        match action {
            ConfigAction::Check(settings) => Self::Check { flags: settings.into() },
            ConfigAction::Show(settings) => Self::Show { flags: settings.into() },
            ConfigAction::Default => Self::Default,
        }
    }
}

impl From<TargetFlags> for Target {
    fn from(flags: TargetFlags) -> Self {
        Self { config: flags.config, pid_file: flags.pid_file }
    }
}

impl From<SettingFlags> for Overrides {
    fn from(flags: SettingFlags) -> Self {
        let mut overrides = Self::of_file(flags.config);
        let mut addresses = flags.listen.into_iter();
        let first = addresses.next().map(|address| address.host_and_port());
        let (host, port) = first.map(|(host, port)| (host, port.to_string())).unzip();
        let settings = [
            ("--workers", "server.workers", flags.workers),
            ("--listen", "server.host", host),
            ("--listen", "server.port", port),
            ("--app", "server.app", flags.app),
            ("--daemon", "server.daemonize", flags.daemon.then(|| "true".to_owned())),
            ("--pid-file", "server.pid_file", flags.pid_file),
            ("--log-file", "server.log_file", flags.log_file),
            ("--log-level", "server.log_level", flags.log_level),
            ("--user", "server.user", flags.user),
            ("--group", "server.group", flags.group),
        ];
        for (flag, path, value) in settings {
            if let Some(text) = value {
                overrides.set(flag, path, text);
            }
        }
        for address in addresses {
            overrides.add_listener("--listen", address);
        }
        overrides
    }
}
