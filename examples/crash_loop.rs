//! An echo server whose workers can be made to die as soon as they start, to watch what becomes of the others.
//!
//! ```text
//! crash_loop LISTEN PID_FILE WORKERS DIRECTORY [CONFIG]
//! ```
//!
//! While a file `DIRECTORY/N` exists, worker N aborts in its `on_start`.

use std::{path::PathBuf, process::ExitCode};

use wsmaster::{
    Context, Handler, Message, Server,
    config::{Config, Overrides},
};
use wsmaster_ipc::sys::resource;

struct Fragile {
    trap: PathBuf,
}

impl Handler for Fragile {
    fn on_start(&mut self, _context: &mut Context<'_>) {
        if self.trap.exists() {
            std::process::abort();
        }
    }

    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        // A full outbox closes the reader, as the limits say.
        let _ = context.reply(message);
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers, directory, config @ ..] = arguments.as_slice() else {
        eprintln!("usage: crash_loop LISTEN PID_FILE WORKERS DIRECTORY [CONFIG]");
        return ExitCode::from(2);
    };
    let Ok(workers) = workers.parse() else {
        eprintln!("{workers:?} is not a number of workers");
        return ExitCode::from(2);
    };
    if let Err(error) = wsmaster::logging::start(None, log::LevelFilter::Info) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let directory = PathBuf::from(directory);
    let mut server = Server::builder();
    if let Some(file) = config.first() {
        let mut flags = Overrides::default();
        flags.config = Some(file.into());
        let cpus = resource::cpus_available();
        match Config::load(&flags, &[], resource::effective_uid(), cpus) {
            Ok(config) => server = server.config(config),
            Err(errors) => {
                eprintln!("{errors}");
                return ExitCode::from(2);
            }
        }
    }
    let server = server.listen(listen).workers(workers).pid_file(pid_file);
    let running = server
        .handler(move |worker| Fragile { trap: directory.join(worker.slot.number().to_string()) })
        .run();
    match running {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
