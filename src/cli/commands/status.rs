//! `wsmaster status`: how the server is, as a table or as JSON, once or again and again.

use std::{fmt::Write, io, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use wsmaster_protocol::one_line;

use super::{
    out::{complain, print, unwritten},
    process_lines::{self, Counts, ProcessLine},
    running_server::RunningServer,
    screen::Screen,
    table::{Side, Table},
};
use crate::{
    cli::{Exit, Target, amounts},
    logging::escape,
    status::{Certificate, Child, Status},
};

pub(super) fn status(target: &Target, json: bool, watch: Option<Duration>) -> Exit {
    let server = match RunningServer::find(target) {
        Ok(server) => server,
        Err(exit) => return exit,
    };
    match watch {
        None => match server.status_as_told().and_then(|status| page(&status, json)) {
            Ok(page) => print(&page),
            Err(error) => server.report_unanswered(&error),
        },
        Some(interval) => self::watch(&server, json, interval),
    }
}

/// A master that stops takes its socket away before it ends; who asks in between is to hear of the end.
const LAST_BREATH: Duration = Duration::from_secs(1);

fn page(status: &Value, json: bool) -> io::Result<String> {
    if json {
        return Ok(one_line::line(status)?);
    }
    Ok(table(&Status::deserialize(status)?))
}

/// Shows it until the server has ended, or nobody looks any more.
fn watch(server: &RunningServer, json: bool, interval: Duration) -> Exit {
    let mut screen = Screen::stdout();
    let mut page_before = false;
    loop {
        let asked = server.status_as_told().and_then(|status| page(&status, json));
        let text = match asked {
            Ok(text) => text,
            Err(_) if server.process.wait(LAST_BREATH).unwrap_or(false) => return ended(server),
            Err(error) => return server.report_unanswered(&error),
        };
        let between = if page_before && !json { "\n" } else { "" };
        let shown = match screen {
            Screen::Terminal(_) => screen.show(&text),
            Screen::Paper => screen.show(&format!("{between}{text}")),
        };
        match shown {
            Ok(()) => page_before = true,
            Err(error) => return unwritten(&error),
        }
        // The end of the master ends the waiting.
        if server.process.wait(interval).unwrap_or(false) {
            return ended(server);
        }
    }
}

fn ended(server: &RunningServer) -> Exit {
    complain!("wsmaster (pid {}) has stopped", server.process.pid());
    Exit::NotRunning
}

/// A column: its heading, and what it shows of a process.
struct Column {
    name: &'static str,
    side: Side,
    cell: fn(&ProcessLine) -> String,
}

const fn left(name: &'static str, cell: fn(&ProcessLine) -> String) -> Column {
    Column { name, side: Side::Left, cell }
}

const fn right(name: &'static str, cell: fn(&ProcessLine) -> String) -> Column {
    Column { name, side: Side::Right, cell }
}

const COLUMNS: [Column; 14] = [
    left("PROCESS", |line| escape(&line.name)),
    right("PID", |line| number(line.pid)),
    left("STATE", |line| words(&line.state) + if line.is_retired { ", retired" } else { "" }),
    right("UP", |line| shown(line.uptime_ms, amounts::duration)),
    right("RESTARTS", |line| number(line.restarts)),
    right("CLIENTS", |line| number(line.counts.clients)),
    right("MSG IN", |line| shown(line.counts.messages_in, amounts::count)),
    right("MSG OUT", |line| shown(line.counts.messages_out, amounts::count)),
    right("IN", |line| shown(line.counts.bytes_in, amounts::bytes)),
    right("OUT", |line| shown(line.counts.bytes_out, amounts::bytes)),
    right("QUEUED", |line| shown(line.counts.queued_bytes, amounts::bytes)),
    right("DROPPED", |line| shown(line.counts.dropped, amounts::count)),
    right("CPU", |line| shown(line.cpu_ms, amounts::duration)),
    right("MEMORY", |line| shown(line.rss_bytes, amounts::bytes)),
];

/// The page. Pure; what is not known is shown as a dash.
fn table(status: &Status) -> String {
    let mut text = heading(status);
    text.push('\n');
    text.push_str(&processes(status));
    for worker in &status.workers {
        text.push_str(&trouble(&worker.child));
        if let Some(by) = worker.covered_by {
            let name = escape(&worker.child.name);
            // Writing to memory does not fail.
            let _ = writeln!(text, "\n{name} is down for long: worker {by} serves its new clients");
        }
    }
    for process in &status.processes {
        text.push_str(&trouble(&process.child));
    }
    if status.log.lines_lost > 0 {
        let lost = status.log.lines_lost;
        let lines = if lost == 1 { "line" } else { "lines" };
        let log = status.log.file.as_deref().map_or("the standard error".to_owned(), escape);
        let _ =
            writeln!(text, "\n{lost} {lines} of the log lost: they could not be written to {log}");
    }
    text
}

fn heading(status: &Status) -> String {
    let mut text = format!(
        "wsmaster {} on {}, {}, up {}; {}; {} reloads\n",
        escape(&status.version),
        status.listen.as_deref().map_or("-".to_owned(), escape),
        escape(&status.app),
        shown(status.master.uptime_ms, amounts::duration),
        words(&status.activity),
        status.reloads,
    );
    for certificate in status.tls.iter().flat_map(|tls| &tls.certificates) {
        text.push_str(&expiry(certificate));
        text.push('\n');
    }
    text
}

fn processes(status: &Status) -> String {
    let mut lines = process_lines::all(status);
    // With the counters of processes that have ended.
    lines.push(ProcessLine {
        name: "all, so far".to_owned(),
        counts: Counts::of(&status.totals),
        ..ProcessLine::default()
    });
    let mut rows = vec![COLUMNS.map(|column| column.name.to_owned()).to_vec()];
    rows.extend(lines.iter().map(|line| COLUMNS.map(|column| (column.cell)(line)).to_vec()));
    Table::new(&COLUMNS.map(|column| column.side)).lines(&rows)
}

/// That a child waits for its next start, and why; nothing of one that does not.
fn trouble(child: &Child) -> String {
    let (Some(wait), Some(how)) = (child.retry_in_ms, &child.last_exit) else {
        return String::new();
    };
    let (name, how) = (escape(&child.name), escape(how));
    let crash_loop = if child.crash_loop { ": it is in a crash loop; see the log" } else { "" };
    format!("\n{name} ended with {how}, and starts again in {wait} ms{crash_loop}\n")
}

/// How long a certificate is good for.
fn expiry(certificate: &Certificate) -> String {
    let end = match certificate.expires_in_days {
        ..0 => "has EXPIRED".to_owned(),
        0 => "expires TODAY".to_owned(),
        1 => "expires in 1 day".to_owned(),
        days => format!("expires in {days} days"),
    };
    format!("certificate {} ({}) {end}", escape(&certificate.file), certificate.names.join(" "))
}

/// A word of a program, for people.
fn words(word: &str) -> String {
    escape(&word.replace('_', " "))
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn shown(number: Option<u64>, form: impl Fn(u64) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), form)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Status {
        let status = json!({
            "version": "1", "listen": "127.0.0.1:1", "app": "echo", "activity": "supervising",
            "reloads": 0,
            "master": {"pid": 7, "uptime_ms": 61_000, "rss_bytes": 5_000_000, "cpu_ms": 1},
            "workers": [
                {"name": "worker 0", "state": "ready", "pid": 8, "uptime_ms": 500, "restarts": 0,
                 "websockets": 12, "outbox_bytes": 2048, "dropped_outbox_full": 3,
                 "messages_in": 1_500_000, "bytes_in": 4_000_000},
                {"name": "worker 1", "state": "backing_off", "pid": null, "restarts": 4,
                 "retry_in_ms": 800, "last_exit": "signal 11", "covered_by": 0},
            ],
            "processes": [
                {"name": "queue", "state": "ready", "pid": 9, "rss_bytes": 1024, "cpu_ms": 1,
                 "program_pid": 10, "program_rss_bytes": 2048, "program_cpu_ms": 3000},
            ],
            "leaving": [],
            "totals": {"websockets": 12, "messages_in": 1_600_000},
        });
        Status::deserialize(status).expect("a status")
    }

    #[test]
    fn a_worker_that_waits_for_its_next_start_is_shown_with_the_reason() {
        let table = table(&status());
        assert!(table.contains("up 1m01s"), "{table}");
        assert!(table.contains("worker 1       -  backing off"), "{table}");
        assert!(
            table.contains("worker 1 ended with signal 11, and starts again in 800 ms"),
            "{table}"
        );
        let cover = "worker 1 is down for long: worker 0 serves its new clients";
        assert!(table.contains(cover), "{table}");
    }

    #[test]
    fn every_column_is_filled_from_its_field() {
        let table = table(&status());
        let line = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("worker 0"), "worker 0 8 ready 0.5s 0 12 1.50M - 3.8 MiB - 2.0 KiB 3 - -");
        assert_eq!(line("queue"), "queue 10 ready - - - - - - - - - 3.0s 2.0 KiB");
        assert_eq!(line("all, so far"), "all, so far - - - 12 1.60M - - - - - - -");
    }
}
