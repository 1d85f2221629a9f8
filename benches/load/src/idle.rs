//! Scenario `idle`: opens connections, leaves them alone, and looks at what they cost the server's memory.

use std::time::{Duration, Instant};

use crate::arguments::{Idle, Server};
use crate::client::Watcher;
use crate::error::{LoadError, Result};
use crate::fleet::{Fleet, STALL_TIMEOUT};
use crate::frame::{self, Opcode};
use crate::process::{self, Memory};
use crate::reader::Part;
use crate::report::Report;

/// How often the memory is looked at, to see whether it still moves.
const LOOK: Duration = Duration::from_millis(500);

/// Looks in a row that must agree.
const LOOKS_ALIKE: u32 = 3;

/// What counts as alike: fewer bytes of difference than this, a few pages.
const ALIKE_BYTES: u64 = 64 * 1024;

/// Connections that are asked, at the end, whether they live.
const ASKED_MAX: usize = 16;

/// Runs the scenario.
pub(crate) fn run(server: &Server, arguments: &Idle) -> Result<Report> {
    let connections = arguments.connections as usize;
    let mut fleet = Fleet::new(server)?;
    let mut sleepers = Sleepers::default();
    // One connection more, first and apart, so that what a server sets up once is not charged to the others.
    fleet.open(1, &mut sleepers)?;
    let before = settle(&mut fleet, &mut sleepers, &server.pids)?;
    let started = Instant::now();
    fleet.open(connections + 1, &mut sleepers)?;
    let opened_in = started.elapsed();
    let after = settle(&mut fleet, &mut sleepers, &server.pids)?;
    fleet.turn_until(arguments.hold, &mut sleepers, |_| false)?;

    // Every connection that the server closed meanwhile has ended the run already.
    let asked = ASKED_MAX.min(connections);
    for number in 0..asked {
        let client = 1 + number * (connections / asked);
        fleet.send(client, &frame::single(Opcode::Ping, b"alive?", client as u32))?;
    }
    if !fleet.turn_until(STALL_TIMEOUT, &mut sleepers, |sleepers| sleepers.pongs == asked)? {
        let waiting_for = format!("{} pongs of {asked}", asked - sleepers.pongs);
        return Err(LoadError::Stalled { waiting_for, after: STALL_TIMEOUT });
    }
    Ok(Report::new("idle")
        .count("connections", connections as u64)
        .number("opened_in_seconds", opened_in.as_secs_f64())
        .count("rss_bytes_before", before.rss)
        .count("rss_bytes_after", after.rss)
        .count("pss_bytes_before", before.pss)
        .count("pss_bytes_after", after.pss)
        .count("private_bytes_before", before.private)
        .count("private_bytes_after", after.private)
        .number("rss_bytes_per_connection", growth(before.rss, after.rss, connections))
        .number("pss_bytes_per_connection", growth(before.pss, after.pss, connections))
        .number("bytes_per_connection", growth(before.private, after.private, connections))
        .count("pongs", asked as u64))
}

fn growth(before: u64, after: u64, connections: usize) -> f64 {
    (after as f64 - before as f64) / connections as f64
}

/// The server's memory when it has stopped moving, or after [`STALL_TIMEOUT`].
fn settle(fleet: &mut Fleet, sleepers: &mut Sleepers, pids: &[u32]) -> Result<Memory> {
    let end = Instant::now() + STALL_TIMEOUT;
    let mut memory = process::memory(pids)?;
    let mut alike = 0;
    while alike < LOOKS_ALIKE && Instant::now() < end {
        fleet.turn_until(LOOK, sleepers, |_| false)?;
        let now = process::memory(pids)?;
        let moved = now.private.abs_diff(memory.private).max(now.rss.abs_diff(memory.rss));
        alike = if moved < ALIKE_BYTES { alike + 1 } else { 0 };
        memory = now;
    }
    Ok(memory)
}

/// Connections that say nothing. What a server says on its own, such as a greeting, is let pass.
#[derive(Debug, Default)]
struct Sleepers {
    pongs: usize,
}

impl Watcher for Sleepers {
    fn data(&mut self, _client: usize, _part: Part<'_>) -> Result<()> {
        Ok(())
    }

    fn pong(&mut self, _client: usize) {
        self.pongs += 1;
    }
}
