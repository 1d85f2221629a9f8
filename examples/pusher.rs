//! A side process that pushes to all connections as fast as it can, or in rounds: what `load push` measures.
//!
//! ```text
//! pusher LISTEN PID_FILE WORKERS
//! ```
//!
//! A client that says `list` is told how many others there are, `5 connections`. When it says `round 10 64`, each of them gets ten
//! texts of 64 bytes: a number that grows by one, the microseconds since 1970 at which the text was written, and dots. Then the
//! client is told `pushed 50`.

use std::{
    error::Error,
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use wsmaster::{
    Address, ConnectionId, Context, Handler, Message, PayloadKind, SendError, Server,
    side::{Ended, Process, ProcessContext, Wait},
};

const PUSHER: &str = "pusher";
/// How soon a mailbox that was full is tried again.
const RETRY: Duration = Duration::from_millis(1);
/// Texts of one round for one connection, and bytes of each.
const EACH_MAX: u64 = 1_000_000;
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Hands what clients say to the side process, with the id of who said it.
struct App {
    pusher: Option<Address>,
}

impl Handler for App {
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let (Some(id), Some(pusher), Message::Text(text)) =
            (context.current(), self.pusher, message)
        else {
            return;
        };
        let order = format!("{id} {text}");
        let sent = context.handle().send_to_process(pusher, PayloadKind::Text, order.as_bytes());
        if let Err(error) = sent {
            context.reply(Message::Text(&error.to_string()));
        }
    }
}

/// The side process.
#[derive(Default)]
struct Pusher {
    others: Vec<ConnectionId>,
    number: u64,
    text: Vec<u8>,
}

impl Pusher {
    fn obey(
        &mut self,
        context: &mut ProcessContext,
        requester: ConnectionId,
        order: &str,
    ) -> Ended {
        let words: Vec<&str> = order.split(' ').collect();
        let answer = match words.as_slice() {
            ["list"] => {
                self.others = context.connections()?;
                self.others.retain(|id| *id != requester);
                format!("{} connections", self.others.len())
            }
            ["round", each, bytes] => {
                let each: u64 = each.parse::<u64>()?.min(EACH_MAX);
                let bytes: usize = bytes.parse::<usize>()?.min(TEXT_BYTES_MAX);
                for _ in 0..each {
                    self.push_to_all(context, bytes)?;
                }
                format!("pushed {}", each * self.others.len() as u64)
            }
            _ => format!("not understood: {order}"),
        };
        context.handle().push(requester, PayloadKind::Text, answer.as_bytes())?;
        Ok(())
    }

    /// One text for each connection.
    fn push_to_all(&mut self, context: &mut ProcessContext, bytes: usize) -> Ended {
        self.number += 1;
        let written_us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        self.text.clear();
        write!(self.text, "{:010} {written_us:016} ", self.number)?;
        self.text.resize(self.text.len().max(bytes), b'.');
        for id in &self.others {
            loop {
                match context.gathering_handle().push(*id, PayloadKind::Text, &self.text) {
                    Ok(()) => break,
                    // The worker has to catch up. Nothing is lost, and what was gathered leaves meanwhile.
                    Err(SendError::Full) => {
                        if context.wait(RETRY) == Wait::Stop {
                            return Ok(());
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

fn run(context: &mut ProcessContext) -> Ended {
    let mut pusher = Pusher::default();
    while context.wait(Duration::from_secs(3600)) != Wait::Stop {
        let orders: Vec<_> = context.messages().collect();
        for order in orders {
            let order = String::from_utf8_lossy(&order.payload);
            if let Some((id, words)) = order.split_once(' ') {
                let requester = ConnectionId::try_from(id.parse::<u64>()?)?;
                pusher.obey(context, requester, words)?;
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers] = arguments.as_slice() else {
        return Err("usage: pusher LISTEN PID_FILE WORKERS".into());
    };
    wsmaster::logging::start(None, log::LevelFilter::Warn)?;
    Server::builder()
        .listen(listen)
        .workers(workers.parse()?)
        .pid_file(pid_file)
        .add_process(Process::new(PUSHER, run))
        .handler(|worker| App { pusher: worker.process(PUSHER) })
        .run()?;
    Ok(())
}
