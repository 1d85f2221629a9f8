//! Scenario `echo`: every connection sends a burst, waits until all of it came back, and sends the next.

use std::time::Instant;

use crate::arguments::{Echo, Server};
use crate::client::{Client, Watcher};
use crate::error::{LoadError, Result};
use crate::fleet::Fleet;
use crate::frame::{self, Opcode};
use crate::latency::Latencies;
use crate::measure::{Load, measure};
use crate::reader::Part;
use crate::report::Report;
use crate::tape::Tape;

/// Most bytes of prepared frames of all connections together.
pub(crate) const PREPARED_BYTES_MAX: u64 = 1 << 30;

/// Runs the scenario.
pub(crate) fn run(server: &Server, arguments: &Echo) -> Result<Report> {
    let Echo { connections, bytes, burst, .. } = *arguments;
    let prepared = u64::from(connections) * u64::from(burst) * (bytes + 14);
    if prepared > PREPARED_BYTES_MAX {
        return Err(LoadError::Arguments(format!(
            "connections x burst x bytes is {prepared}, at most {PREPARED_BYTES_MAX} fit"
        )));
    }
    let mut fleet = Fleet::new(server)?;
    let mut echoes = Echoes::new(connections as usize, burst as usize, bytes as usize);
    fleet.open(connections as usize, &mut echoes)?;
    fleet.stay_awake();
    for client in 0..connections as usize {
        echoes.begin(client, |frames| fleet.send(client, frames))?;
    }
    let measured = measure(&mut fleet, &mut echoes, &arguments.window, &server.pids)?;
    let what = ("messages", measured.done);
    let microseconds = |share| echoes.latencies.percentile(share).as_secs_f64() * 1e6;
    Ok(Report::new("echo")
        .count("connections", connections.into())
        .count("bytes", bytes)
        .count("burst", burst.into())
        .cost(what, "messages_per_cpu_second", measured.elapsed, measured.cpu)
        .number("burst_p50_us", microseconds(0.5))
        .number("burst_p99_us", microseconds(0.99)))
}

#[derive(Debug)]
struct Echoes {
    tape: Tape,
    burst: usize,
    conversations: Vec<Conversation>,
    /// Messages that came back whole and right.
    returned: u64,
    latencies: Latencies,
}

#[derive(Debug)]
struct Conversation {
    /// The frames of one burst, as they are sent.
    frames: Vec<u8>,
    /// Messages of the burst that came back.
    returned: usize,
    begun: Instant,
}

impl Echoes {
    fn new(connections: usize, burst: usize, message_bytes: usize) -> Self {
        let tape = Tape::new(message_bytes);
        let conversation = |client| {
            let mut frames = Vec::with_capacity(burst * (message_bytes + 14));
            for number in 0..burst {
                let key = (client * burst + number) as u32;
                frame::append(&mut frames, Opcode::Text, tape.message(client, number), key);
            }
            Conversation { frames, returned: 0, begun: Instant::now() }
        };
        let conversations = (0..connections).map(conversation).collect();
        Self { tape, burst, conversations, returned: 0, latencies: Latencies::new() }
    }

    /// Starts the clock of a burst and sends it.
    fn begin(&mut self, client: usize, send: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        let Some(conversation) = self.conversations.get_mut(client) else { return Ok(()) };
        conversation.returned = 0;
        conversation.begun = Instant::now();
        send(&conversation.frames)
    }
}

impl Watcher for Echoes {
    fn data(&mut self, client: usize, part: Part<'_>) -> Result<()> {
        let Some(conversation) = self.conversations.get_mut(client) else { return Ok(()) };
        let wrong = |what| Err(LoadError::Message { client, what });
        if conversation.returned == self.burst {
            return wrong("more messages came back than were sent".to_owned());
        }
        let sent = self.tape.message(client, conversation.returned);
        let end = part.offset + part.bytes.len() as u64;
        if sent.get(part.offset as usize..end as usize) != Some(part.bytes) {
            return wrong(format!(
                "message {} of a burst came back changed within bytes {}..{end}",
                conversation.returned, part.offset
            ));
        }
        if part.ends_message {
            if end != sent.len() as u64 {
                return wrong(format!("{} bytes were sent, {end} came back", sent.len()));
            }
            conversation.returned += 1;
            self.returned += 1;
        }
        Ok(())
    }

    fn drained(&mut self, client: &mut Client) -> Result<()> {
        let id = client.id();
        let Some(conversation) = self.conversations.get(id) else { return Ok(()) };
        if conversation.returned < self.burst {
            return Ok(());
        }
        self.latencies.add(conversation.begun.elapsed());
        self.begin(id, |frames| client.send(frames))
    }
}

impl Load for Echoes {
    fn window_begins(&mut self) {
        self.latencies = Latencies::new();
    }

    fn done(&self) -> u64 {
        self.returned
    }
}
