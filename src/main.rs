//! The `wsmaster` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsmaster::commands::main()
}
