//! What the words of the command line do. Each command ends in one [`Exit`]; what went wrong is told in a line on the
//! standard error.

mod cert;
mod client;
mod connections;
mod doctor;
mod given;
mod logs;
mod out;
mod process_lines;
mod reload;
mod running_server;
mod screen;
mod start;
mod startup_message;
mod status;
mod stop;
mod table;
mod top;

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use wsmaster_ipc::sys::{resource, signal, title};

use self::{
    given::Given,
    out::{complain, print},
};
use crate::{
    cli::{
        self, CertCommand, Command, ConfigCommand, Exit, Target, certificate_check,
        control_client::{FindError, Found, find},
    },
    config::{Config, ConfigErrors, Overrides, default_toml},
    missing, programs, tls,
};

/// The program: reads the arguments and does what they say.
pub fn main() -> ExitCode {
    title::prepare();
    signal::ignore_failed_writes();
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(answer) => return answered(&answer).into(),
    };
    run(command).into()
}

/// How the program ends when the arguments ask for no command: they are wrong, or ask for help or the version.
fn answered(answer: &clap::Error) -> Exit {
    match (answer.print(), answer.use_stderr()) {
        (_, true) => Exit::Usage,
        (Ok(()), false) => Exit::Done,
        (Err(error), false) => out::unwritten(&error),
    }
}

fn run(command: Command) -> Exit {
    match command {
        Command::Start { flags } => start::start(&flags),
        Command::Stop { target, timeout } => stop::stop(&target, timeout),
        Command::Restart { flags, timeout } => start::restart(&flags, timeout),
        Command::Reload { target, what } => reload::reload(&target, what),
        Command::Status { target, json, watch } => status::status(&target, json, watch),
        Command::Connections { target, listing } => connections::connections(&target, &listing),
        Command::Client(options) => client::client(&options),
        Command::Top { target, interval } => top::top(&target, interval),
        Command::Doctor { flags, json } => doctor::doctor(&flags, json),
        Command::ReopenLogs { target } => logs::reopen(&target),
        Command::Cert(CertCommand::SelfSigned { names, directory }) => {
            cert::self_signed(&names, &directory)
        }
        Command::Config(ConfigCommand::Check { flags }) => match load_all(&flags) {
            Ok(Loaded { config, warnings, .. }) => {
                for warning in warnings {
                    complain!("warning: {warning}");
                }
                print(&format!("the configuration is good: {}\n", config.sources))
            }
            Err(exit) => exit,
        },
        Command::Config(ConfigCommand::Show { flags }) => match load(&flags) {
            Ok(config) => print(&config.show()),
            Err(exit) => exit,
        },
        Command::Config(ConfigCommand::Default) => print(&default_toml()),
        Command::Completions { shell } => print(&cli::completions(shell)),
        Command::Man => print(&cli::man()),
    }
}

fn environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os();
    let readable = variables.filter_map(|(name, value)| {
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => Some((name, value)),
            // Ours come with U+FFFD for what is not UTF-8, and are refused for it; others are no business of ours.
            Err(value) if name.starts_with("WSMASTER_") => {
                Some((name, value.to_string_lossy().into_owned()))
            }
            Err(_) => None,
        }
    });
    readable.collect()
}

fn read_config(flags: &Overrides) -> Result<Config, ConfigErrors> {
    let cpus = resource::cpus_available();
    Config::load(flags, &environment(), resource::effective_uid(), cpus)
}

/// The configuration, or its errors on the standard error.
fn load(flags: &Overrides) -> Result<Config, Exit> {
    read_config(flags).map_err(|errors| {
        complain!("{errors}");
        Exit::Usage
    })
}

/// A configuration that was looked at as a whole.
#[derive(Debug)]
struct Loaded {
    given: Given,
    config: Config,
    /// What might be better about its certificates.
    warnings: Vec<tls::Warning>,
}

/// The configuration, whose programs and certificates are there and good, and what might be better about them; or what is wrong, on the
/// standard error.
fn load_all(flags: &Overrides) -> Result<Loaded, Exit> {
    let (given, config) = Given::read(flags).map_err(|errors| {
        complain!("{errors}");
        Exit::Usage
    })?;
    if let Err(errors) = programs::check(&config) {
        complain!("{errors}");
        return Err(Exit::Usage);
    }
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match certificate_check::check(&config, since_1970.as_secs() as i64) {
        Ok(told) => {
            Ok(Loaded { given, config, warnings: told.map_or_else(Vec::new, |told| told.warnings) })
        }
        Err(errors) => {
            complain!("{errors}");
            Err(Exit::Usage)
        }
    }
}

/// The PID file that a command is about.
fn pid_file(target: &Target) -> Result<std::path::PathBuf, Exit> {
    let cpus = resource::cpus_available();
    target.pid_file(&environment(), resource::effective_uid(), cpus).map_err(|errors| {
        complain!("{errors}");
        Exit::Usage
    })
}

/// The living master of a PID file; says so when there is none.
fn running(path: &std::path::Path) -> Result<wsmaster_ipc::sys::process::Process, Exit> {
    match find(path) {
        Ok(Found::Running(process)) => Ok(process),
        Ok(Found::NoFile) => {
            let why = missing::directory(path).map_or_else(String::new, |why| format!(": {why}"));
            complain!("wsmaster is not running: there is no pid file {}{why}", path.display());
            Err(Exit::NotRunning)
        }
        Ok(Found::Stale) => {
            complain!(
                "wsmaster is not running: the pid file {} was left behind, and nobody holds it",
                path.display()
            );
            Err(Exit::NotRunning)
        }
        Err(error @ (FindError::Foreign(..) | FindError::Unreadable(..))) => {
            complain!("{error}");
            Err(Exit::Failed)
        }
    }
}
