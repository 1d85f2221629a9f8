//! What the words of the command line do. Each command ends in one [`Exit`]; what went wrong is told in a line on the
//! standard error.

mod cert;
mod client;
mod connections;
mod doctor;
mod given;
mod hint;
mod load;
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

use std::process::ExitCode;

use wsmaster_ipc::sys::{signal, title};

use self::{
    load::{Loaded, load, load_all},
    out::{complain, print},
};
use crate::{
    cli::{self, CertCommand, Command, ConfigCommand, Exit},
    config::default_toml,
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
