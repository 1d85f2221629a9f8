//! The `wsmaster` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmaster::cli::commands::main()
}
