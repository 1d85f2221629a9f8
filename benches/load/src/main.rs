//! `load`: drives a WebSocket server and tells what it did per second of its own CPU time.
//!
//! One thread, one event loop. Owns nothing but the order of things: read the arguments, run one scenario, print its
//! report. It starts no server and knows none: everything is asked of `--addr`, and the CPU time of `--server-pid`.

mod arguments;
mod churn;
mod client;
mod echo;
mod error;
mod fanout;
mod fleet;
mod frame;
mod idle;
mod latency;
mod measure;
mod process;
mod push;
mod reader;
mod report;
mod secure;
mod socket;
mod tape;
mod text;
mod upgrade;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser as _;

use crate::arguments::{Program, Scenario};

fn main() -> ExitCode {
    let program = Program::parse();
    let report = match &program.scenario {
        Scenario::Echo(arguments) => echo::run(&program.server, arguments),
        Scenario::Fanout(arguments) => fanout::run(&program.server, arguments),
        Scenario::Push(arguments) => push::run(&program.server, arguments),
        Scenario::Idle(arguments) => idle::run(&program.server, arguments),
        Scenario::Churn(arguments) => churn::run(&program.server, arguments),
    };
    match report {
        Ok(report) => {
            let text = if program.json { report.to_json() } else { report.to_text() };
            match writeln!(io::stdout(), "{text}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&format!("the report cannot be written: {error}")),
            }
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(problem: &str) -> ExitCode {
    // A report that cannot be written is lost.
    let _ = writeln!(io::stderr(), "load: {problem}");
    ExitCode::FAILURE
}
