//! Scenario `fanout`: one connection speaks, many listen. Counts what the listeners hear.
//!
//! Plainly, the speaker sends the message itself and the server sends it to everyone. With channels, the listeners and
//! the speaker subscribe and the speaker publishes; the server wraps the message into a delivery. To compare equals, a
//! first publication of one byte tells how much is wrapped around it, and the message is then chosen so that the
//! payload of the *delivered* frame has the bytes asked for.
//!
//! The speaker sends a few messages at once and the next few when everyone has received all of them. So how many messages
//! a server finds together, which decides how many writes it needs, is the same for every server and not a matter of
//! how fast the load is.
//!
//! What the speaker hears itself (its own message, replies to its publications) is not counted, but costs the server
//! its time like everything else.

mod dialect;

use std::time::Duration;

use crate::arguments::{Fanout, Server};
use crate::client::{Client, Watcher};
use crate::error::{LoadError, Result};
use crate::fanout::dialect::{Dialect, Received};
use crate::fleet::{Fleet, STALL_TIMEOUT, TURN};
use crate::frame::{self, Opcode};
use crate::measure::{Load, measure};
use crate::reader::Part;
use crate::report::Report;
use crate::text::Partial;

/// How long the listeners have to hear the last publications.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs the scenario.
pub(crate) fn run(server: &Server, arguments: &Fanout) -> Result<Report> {
    let Fanout { receivers, bytes, burst, channels, .. } = *arguments;
    let receivers = receivers as usize;
    let mut fleet = Fleet::new(server)?;
    let dialect = if channels { Dialect::channels() } else { Dialect::plain() };
    let mut room = Room::new(receivers, dialect);

    // The speaker is the last to come, so that the listeners' ids count from 0.
    fleet.open(receivers + 1, &mut room)?;
    fleet.stay_awake();
    let joined = |room: &Room| room.joined == room.listeners.len() + 1;
    wait_for(&mut fleet, &mut room, STALL_TIMEOUT, "the subscriptions", joined)?;

    room.dialect.choose_message(1);
    room.publish(&mut fleet, 1)?;
    wait_for(&mut fleet, &mut room, STALL_TIMEOUT, "a first message", Room::all_received)?;
    room.dialect.fit(room.delivery_bytes, bytes as usize);

    room.burst = burst.into();
    let measured = measure(&mut fleet, &mut room, &arguments.window, &server.pids)?;
    wait_for(&mut fleet, &mut room, DRAIN, "the last messages", Room::all_received)?;
    if let Some(client) =
        room.listeners.iter().position(|listener| listener.received != room.published)
    {
        let received = room.listeners.get(client).map_or(0, |listener| listener.received);
        let what = format!("{} messages were published, {received} received", room.published);
        return Err(LoadError::Message { client, what });
    }
    let what = ("deliveries", measured.done);
    Ok(Report::new("fanout")
        .count("receivers", receivers as u64)
        .count("burst", burst.into())
        .count("delivered_bytes", room.delivery_bytes as u64)
        .cost(what, "deliveries_per_cpu_second", measured.elapsed, measured.cpu))
}

fn wait_for(
    fleet: &mut Fleet,
    room: &mut Room,
    timeout: Duration,
    waiting_for: &str,
    done: impl Fn(&Room) -> bool,
) -> Result<()> {
    if fleet.turn_until(timeout, room, done)? {
        return Ok(());
    }
    Err(LoadError::Stalled { waiting_for: waiting_for.to_owned(), after: timeout })
}

#[derive(Debug)]
struct Room {
    dialect: Dialect,
    listeners: Vec<Listener>,
    /// What the speaker hears in parts.
    speaker: Partial,
    /// Connections that may take part, the speaker among them.
    joined: usize,
    published: u64,
    deliveries: u64,
    /// Publications that leave together.
    burst: u64,
    /// The frames of a burst, as they are sent.
    frames: Vec<u8>,
    /// Payload of the latest delivery.
    delivery_bytes: usize,
}

#[derive(Debug, Default, Clone)]
struct Listener {
    partial: Partial,
    received: u64,
}

impl Room {
    fn new(receivers: usize, dialect: Dialect) -> Self {
        Self {
            dialect,
            listeners: vec![Listener::default(); receivers],
            speaker: Partial::default(),
            joined: 0,
            published: 0,
            deliveries: 0,
            burst: 1,
            frames: Vec::new(),
            delivery_bytes: 0,
        }
    }

    fn publish(&mut self, fleet: &mut Fleet, burst: u64) -> Result<()> {
        self.frames.clear();
        (0..burst).for_each(|_| self.frames.extend_from_slice(self.dialect.publication()));
        self.published += burst;
        fleet.send(self.listeners.len(), &self.frames)
    }

    fn all_received(&self) -> bool {
        self.deliveries >= self.published * self.listeners.len() as u64
    }
}

impl Watcher for Room {
    fn opened(&mut self, client: &mut Client) -> Result<()> {
        match self.dialect.greeting() {
            Some(text) => {
                client.send(&frame::single(Opcode::Text, text.as_bytes(), client.id() as u32))
            }
            // A subscriber has spoken before it listens, and the kernel acknowledges what such a peer hears in another
            // rhythm than what one hears that never spoke. So that both servers meet the same, these say something too.
            None => client.send(&frame::single(Opcode::Ping, b"", client.id() as u32)),
        }
    }

    /// Only listeners of a server without subscriptions ask for one.
    fn pong(&mut self, _client: usize) {
        self.joined += 1;
    }

    fn data(&mut self, client: usize, part: Part<'_>) -> Result<()> {
        let wrong = |what| LoadError::Message { client, what };
        let mut listener = self.listeners.get_mut(client);
        let partial = listener.as_mut().map_or(&mut self.speaker, |listener| &mut listener.partial);
        let Some(text) = partial.add(part).map_err(wrong)? else { return Ok(()) };
        match self.dialect.meaning(&text).map_err(wrong)? {
            // The speaker may hear the one of before yet, when all listeners have.
            Received::Delivery => {
                if let Some(listener) = listener {
                    self.dialect.check(&text).map_err(wrong)?;
                    listener.received += 1;
                    self.deliveries += 1;
                    self.delivery_bytes = text.len();
                }
            }
            Received::Joined => self.joined += 1,
            Received::Other => {}
        }
        Ok(())
    }
}

impl Load for Room {
    fn push(&mut self, fleet: &mut Fleet) -> Result<Duration> {
        if self.all_received() {
            self.publish(fleet, self.burst)?;
        }
        Ok(TURN)
    }

    fn done(&self) -> u64 {
        self.deliveries
    }
}
