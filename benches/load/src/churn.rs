//! Scenario `churn`: so many times a second connect, upgrade, echo one message, close.

use std::time::{Duration, Instant};

use crate::arguments::{Churn, Server};
use crate::client::{Client, Watcher};
use crate::error::{LoadError, Result};
use crate::fleet::{Fleet, TURN};
use crate::frame::{self, Opcode};
use crate::latency::Latencies;
use crate::measure::{Load, measure};
use crate::reader::Part;
use crate::report::Report;
use crate::tape::Tape;

/// Most visits at the same time. A server that is slower than the rate is then visited as fast as it can.
const VISITS_MAX: usize = 1_000;

/// Runs the scenario.
pub(crate) fn run(server: &Server, arguments: &Churn) -> Result<Report> {
    let mut fleet = Fleet::new(server)?;
    let mut visits = Visits::new(arguments.rate, arguments.bytes as usize);
    let measured = measure(&mut fleet, &mut visits, &arguments.window, &server.pids)?;
    let what = ("connections", measured.done);
    let microseconds = |share| visits.latencies.percentile(share).as_secs_f64() * 1e6;
    let mut report = Report::new("churn").count("rate", arguments.rate.into());
    if let Some(share) = fleet.resumed_share() {
        report = report.number("tls_resumed_share", share);
    }
    Ok(report
        .cost(what, "connections_per_cpu_second", measured.elapsed, measured.cpu)
        .number("visit_p50_us", microseconds(0.5))
        .number("visit_p99_us", microseconds(0.99)))
}

#[derive(Debug)]
struct Visits {
    rate: u32,
    tape: Tape,
    started: Instant,
    /// Visits begun, or given up because too many were under way.
    due: u64,
    finished: u64,
    /// By the id of the connection.
    begun: Vec<Visit>,
    latencies: Latencies,
}

#[derive(Debug, Clone, Copy)]
struct Visit {
    begun: Instant,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    AwaitsEcho,
    /// The echo is here; the close frame is to be sent.
    Received,
    Leaves,
}

impl Visits {
    fn new(rate: u32, message_bytes: usize) -> Self {
        Self {
            rate,
            tape: Tape::new(message_bytes),
            started: Instant::now(),
            due: 0,
            finished: 0,
            begun: Vec::new(),
            latencies: Latencies::new(),
        }
    }

    fn note(&mut self, client: usize) {
        let visit = Visit { begun: Instant::now(), progress: Progress::AwaitsEcho };
        match self.begun.get_mut(client) {
            Some(slot) => *slot = visit,
            // Ids are those of a slab: the smallest free one, so at most one past the end.
            None => self.begun.push(visit),
        }
    }
}

impl Watcher for Visits {
    fn opened(&mut self, client: &mut Client) -> Result<()> {
        let id = client.id();
        client.send(&frame::single(Opcode::Text, self.tape.message(id, 0), id as u32))
    }

    fn data(&mut self, client: usize, part: Part<'_>) -> Result<()> {
        let Some(visit) = self.begun.get_mut(client) else { return Ok(()) };
        let sent = self.tape.message(client, 0);
        let end = part.offset + part.bytes.len() as u64;
        let is_right = sent.get(part.offset as usize..end as usize) == Some(part.bytes)
            && part.ends_message == (end == sent.len() as u64)
            && visit.progress == Progress::AwaitsEcho;
        if !is_right {
            return Err(LoadError::Message { client, what: "not what was sent".to_owned() });
        }
        if part.ends_message {
            visit.progress = Progress::Received;
        }
        Ok(())
    }

    fn drained(&mut self, client: &mut Client) -> Result<()> {
        match self.begun.get_mut(client.id()) {
            Some(visit) if visit.progress == Progress::Received => {
                visit.progress = Progress::Leaves;
                client.close()
            }
            _ => Ok(()),
        }
    }

    fn gone(&mut self, client: usize) {
        self.finished += 1;
        if let Some(visit) = self.begun.get(client) {
            self.latencies.add(visit.begun.elapsed());
        }
    }
}

impl Load for Visits {
    fn push(&mut self, fleet: &mut Fleet) -> Result<Duration> {
        let rate = f64::from(self.rate);
        let due = (self.started.elapsed().as_secs_f64() * rate) as u64;
        while self.due < due {
            if fleet.len() < VISITS_MAX {
                let client = fleet.connect()?;
                self.note(client);
            }
            self.due += 1;
        }
        let next = Duration::from_secs_f64((self.due + 1) as f64 / rate);
        Ok(next.saturating_sub(self.started.elapsed()).clamp(Duration::from_millis(1), TURN))
    }

    fn window_begins(&mut self) {
        self.latencies = Latencies::new();
    }

    fn done(&self) -> u64 {
        self.finished
    }
}
