//! Messages for users, written as files by anybody, delivered to all connections of the user.
//!
//! ```text
//! cargo run --example queue -- 127.0.0.1:9501 /tmp/queue.pid 4 SPOOL
//! ```
//!
//! A client says `{"event":"CONNECT","data":{"user_id":500}}` and is from then on one of the connections of user 500. A
//! message for this user is a file `SPOOL/500/NAME.json`, written under another name and renamed when it is whole; those of
//! one user are delivered in the order of their names. A file is removed once a connection has taken it.
//!
//! A message is delivered at least once: a crash between the delivery and the removal repeats it.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use wsmaster::{
    Address, Closed, ConnectionId, Context, Handler, Message, Outcome, PayloadKind, Server,
    side::{Ended, Process, ProcessContext, Wait},
};

/// The process that owns the bindings and delivers.
const QUEUE: &str = "queue";
/// How often the spool is looked at while nobody binds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A longer file is no message: it could fill an outbox for ever and hold up those behind it.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a worker tells the queue.
#[derive(Serialize, Deserialize)]
enum Word {
    /// Whose a connection is; nobody's once it is closed.
    Whose(ConnectionId, Option<u64>),
    /// This question has been answered in full.
    ThatIsAll(String),
}

/// The application of one worker. That a connection is open the server itself remembers; whose it is, this does.
struct App {
    queue: Option<Address>,
    users: HashMap<ConnectionId, u64>,
}

impl App {
    fn tell(&self, context: &Context<'_>, word: &Word) -> Result<(), Box<dyn Error>> {
        let queue = self.queue.ok_or("there is no queue")?;
        let word = serde_json::to_vec(word)?;
        // It arrives even if the queue is being restarted: a mailbox outlives its process.
        Ok(context.handle().send_to_process(queue, PayloadKind::Text, &word)?)
    }

    fn connect(&mut self, context: &Context<'_>, text: &str) -> Result<Value, Box<dyn Error>> {
        let request: Value = serde_json::from_str(text)?;
        let connection = context.current().ok_or("the connection is gone")?;
        if request["event"] != "CONNECT" {
            return Err("the only event is CONNECT".into());
        }
        // Anybody can claim to be anybody here. A real application has the client send a token, and verifies it.
        let user = request["data"]["user_id"].as_u64().ok_or("data.user_id is not a number")?;
        self.tell(context, &Word::Whose(connection, Some(user)))?;
        self.users.insert(connection, user);
        Ok(json!({"user_id": user, "connection_id": connection}))
    }
}

impl Handler for App {
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        let answer = match self.connect(context, text) {
            Ok(data) => json!({"event": "CONNECTED", "data": data}),
            Err(error) => json!({"event": "ERROR", "data": {"message": error.to_string()}}),
        };
        context.reply(Message::Text(&answer.to_string()));
    }

    fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        if self.users.remove(&closed.id).is_some() {
            // If the mailbox is full, the queue learns it from its next push.
            let _ = self.tell(context, &Word::Whose(closed.id, None));
        }
    }

    /// A queue that has just begun asks who is bound.
    fn on_process_message(&mut self, context: &mut Context<'_>, _: Address, ask: Message<'_>) {
        let question = String::from_utf8_lossy(ask.payload()).into_owned();
        let words = self.users.iter().map(|(&id, &user)| Word::Whose(id, Some(user)));
        for word in words.chain([Word::ThatIsAll(question)]) {
            if let Err(error) = self.tell(context, &word) {
                log::warn!("the queue does not know all connections: {error}");
            }
        }
    }
}

/// Whose each connection is, over all workers. It lives in one process, and so needs no lock and no database.
#[derive(Default)]
struct Bindings {
    user_of: HashMap<ConnectionId, u64>,
    connections_of: HashMap<u64, BTreeSet<ConnectionId>>,
}

impl Bindings {
    fn bind(&mut self, connection: ConnectionId, user: Option<u64>) {
        if let Some(former) = self.user_of.remove(&connection)
            && let Some(connections) = self.connections_of.get_mut(&former)
        {
            connections.remove(&connection);
            if connections.is_empty() {
                self.connections_of.remove(&former);
            }
        }
        if let Some(user) = user {
            self.user_of.insert(connection, user);
            self.connections_of.entry(user).or_default().insert(connection);
        }
    }
}

/// The side process. Whatever ends it, the master starts it again, and it begins from what the workers know.
fn run_queue(context: &mut ProcessContext, spool: &Path) -> Ended {
    let mut bindings = Bindings::default();
    let mut unheard = BTreeSet::new();
    // An answer to the process before this one may be on its way yet, and this one has not seen all of it.
    let question = format!("who is bound, asks {}?", std::process::id());
    for slot in context.handle().workers() {
        let worker = format!("worker {slot}");
        context.send(&worker, Message::Text(&question))?;
        unheard.insert(worker);
    }
    // It sleeps in `wait`: until somebody binds, or it is time to look, or to go.
    while context.wait(LOOK_EVERY) != Wait::Stop {
        for message in context.messages() {
            match serde_json::from_slice(&message.payload)? {
                Word::Whose(connection, user) => bindings.bind(connection, user),
                Word::ThatIsAll(answered) if answered == question => {
                    unheard.remove(&message.from);
                }
                Word::ThatIsAll(_) => {}
            }
        }
        if context.messages_dropped() > 0 {
            return Err("words of workers were dropped; they are asked again".into());
        }
        if !unheard.is_empty() {
            // Who delivers before knowing all connections of a user leaves some out.
            continue;
        }
        let users: Vec<u64> = bindings.connections_of.keys().copied().collect();
        for user in users {
            for file in waiting(&spool.join(user.to_string()))? {
                // In order: while one cannot be delivered, those behind it wait.
                if context.should_stop() || !deliver(context, &mut bindings, user, &file)? {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The messages in a user's directory, in the order of their names.
fn waiting(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<BTreeSet<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension() == Some("json".as_ref())).collect())
}

/// Sends a file's message to all connections of its user. Whether it is done with.
fn deliver(
    context: &mut ProcessContext,
    bindings: &mut Bindings,
    user: u64,
    file: &Path,
) -> io::Result<bool> {
    let text = if fs::metadata(file)?.len() <= FILE_BYTES_MAX { fs::read(file)? } else { vec![] };
    let Ok(message) = serde_json::from_slice::<&RawValue>(&text) else {
        log::warn!("{} is no message and is put aside", file.display());
        fs::rename(file, file.with_extension("rejected"))?;
        return Ok(true);
    };
    let mut delivered = false;
    for connection in bindings.connections_of.get(&user).cloned().unwrap_or_default() {
        match context.push(connection, Message::Text(message.get())) {
            Ok(Outcome::Delivered) => delivered = true,
            Ok(Outcome::NoSuchConnection | Outcome::Closing) => {
                bindings.bind(connection, None);
            }
            Ok(outcome) => log::warn!("connection {connection}: {outcome:?}"),
            Err(error) => log::warn!("connection {connection}: {error}"),
        }
    }
    if delivered {
        fs::remove_file(file)?;
    }
    Ok(delivered)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers, spool] = arguments.as_slice() else {
        return Err("usage: queue LISTEN PID_FILE WORKERS SPOOL".into());
    };
    wsmaster::logging::start(None, log::LevelFilter::Info)?;
    let spool = PathBuf::from(spool);
    Server::builder()
        .listen(listen)
        .workers(workers.parse()?)
        .pid_file(pid_file)
        .add_process(Process::new(QUEUE, move |context| run_queue(context, &spool)))
        .handler(|worker| App { queue: worker.process(QUEUE), users: HashMap::new() })
        .run()?;
    Ok(())
}
