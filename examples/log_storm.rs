//! A server whose workers log much, in numbered lines, to see what becomes of each line.
//!
//! ```text
//! log_storm LISTEN PID_FILE WORKERS CONFIG LINES
//! ```
//!
//! Each worker writes LINES lines `line N of LINES of worker W`, a few at a time, and goes on to serve.

use std::{process::ExitCode, time::Duration};

use wsmaster::{
    Context, Handler, Message, Server, TimerId,
    config::{Config, Overrides},
};

/// Lines written at a time, and the time between.
const LINES_AT_A_TIME: u64 = 20;
const PAUSE: Duration = Duration::from_millis(1);

struct Storm {
    worker: u16,
    next: u64,
    lines: u64,
}

impl Handler for Storm {
    fn on_start(&mut self, context: &mut Context<'_>) {
        context.tick(PAUSE);
    }

    fn on_message(&mut self, _context: &mut Context<'_>, _message: Message<'_>) {}

    fn on_timer(&mut self, context: &mut Context<'_>, timer: TimerId) {
        for number in self.next..self.lines.min(self.next + LINES_AT_A_TIME) {
            log::info!("line {number} of {} of worker {}", self.lines, self.worker);
        }
        self.next += LINES_AT_A_TIME;
        if self.next >= self.lines {
            context.clear(timer);
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers, file, lines] = arguments.as_slice() else {
        return Err("usage: log_storm LISTEN PID_FILE WORKERS CONFIG LINES".into());
    };
    let (workers, lines) = (workers.parse()?, lines.parse()?);
    let config = Config::load(&Overrides::of_file(Some(file.into())), &[], 0, 1)?;
    wsmaster::logging::start(config.server.log_file.as_deref(), log::LevelFilter::Info)?;
    let server =
        Server::builder().config(config).listen(listen).workers(workers).pid_file(pid_file);
    server.handler(move |worker| Storm { worker: worker.slot.number(), next: 0, lines }).run()?;
    Ok(())
}
