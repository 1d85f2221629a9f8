//! A server that writes its life down: what each worker and a side process are told of starts, ends, deaths and reloads.
//!
//! ```text
//! life LISTEN PID_FILE WORKERS [CONFIG]
//! ```
//!
//! Each process appends a line for all it hears to a file `NAME.life` in the working directory. A client can have its
//! worker hold more memory (`leak 20`, in MiB), exit (`exit 3`) or trip over itself (`panic`); everything else comes back. A
//! worker that is about to leave says `goodbye: ` and why.

use std::{collections::BTreeSet, error::Error, fs, io::Write, time::Duration};

use wsmaster::{
    ConnectionId, Context, Handler, LeaveReason, LifeEvent, Message, Server,
    config::{Config, Overrides},
    side::{Ended, Process, ProcessContext, Wait},
};
use wsmaster_ipc::sys::resource;

/// The side process that hears what the workers hear.
const CHRONICLER: &str = "chronicler";
const MIB: usize = 1024 * 1024;

/// One worker's part.
struct App {
    name: String,
    clients: BTreeSet<ConnectionId>,
    leaked: Vec<Vec<u8>>,
}

impl App {
    fn note(&self, line: &str) {
        note(&self.name, line);
    }
}

impl Handler for App {
    fn on_start(&mut self, _context: &mut Context<'_>) {
        self.note("start");
    }

    fn on_open(&mut self, context: &mut Context<'_>) {
        self.clients.extend(context.current());
    }

    fn on_close(&mut self, _context: &mut Context<'_>, closed: &wsmaster::Closed) {
        self.clients.remove(&closed.id);
    }

    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        if let Message::Text(text) = message {
            match text.split_once(' ').unwrap_or((text, "")) {
                // Written to, so that it is not only promised.
                ("leak", mib) => self.leaked.push(vec![1; mib.parse().unwrap_or(0) * MIB]),
                ("exit", code) => std::process::exit(code.parse().unwrap_or(1)),
                ("panic", _) => panic!("as it was told"),
                _ => {}
            }
        }
        // A full outbox closes the reader, as the limits say.
        let _ = context.reply(message);
    }

    fn on_life(&mut self, _context: &mut Context<'_>, event: LifeEvent) {
        self.note(&format!("{event:?}"));
    }

    fn on_leave(&mut self, context: &mut Context<'_>, reason: LeaveReason) {
        self.note(&format!("leave: {reason:?}"));
        for client in &self.clients {
            let _ = context.push(*client, Message::Text(&format!("goodbye: {reason:?}")));
        }
    }

    fn on_stop(&mut self, _context: &mut Context<'_>, reason: LeaveReason) {
        self.note(&format!("stop: {reason:?}, with {} clients", self.clients.len()));
    }
}

fn chronicle(context: &mut ProcessContext) -> Ended {
    loop {
        match context.wait(Duration::from_secs(3600)) {
            Wait::Life(event) => note(CHRONICLER, &format!("{event:?}")),
            Wait::Stop => return Ok(()),
            Wait::Message | Wait::Timer(_) | Wait::Elapsed => {}
        }
    }
}

/// Leaves a line in the file of a process.
fn note(name: &str, line: &str) {
    let file = fs::OpenOptions::new().create(true).append(true).open(format!("{name}.life"));
    if let Err(error) = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())) {
        log::error!("{line:?} cannot be written down: {error}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers, config @ ..] = arguments.as_slice() else {
        return Err("usage: life LISTEN PID_FILE WORKERS [CONFIG]".into());
    };
    wsmaster::logging::start(None, log::LevelFilter::Info)?;
    let mut server = Server::builder();
    if let Some(file) = config.first() {
        let mut flags = Overrides::default();
        flags.config = Some(file.into());
        let cpus = resource::cpus_available();
        server = server.config(Config::load(&flags, &[], resource::effective_uid(), cpus)?);
    }
    server
        .listen(listen)
        .workers(workers.parse()?)
        .pid_file(pid_file)
        .add_process(Process::new(CHRONICLER, chronicle).hear_life())
        .handler(|worker| App {
            name: format!("worker-{}", worker.slot.number()),
            clients: BTreeSet::new(),
            leaked: Vec::new(),
        })
        .run()?;
    Ok(())
}
