//! `wsmaster status`: how the server is, as a table or as JSON, once or again and again.

use std::{fmt::Write, time::Duration};

use serde_json::Value;
use wsmaster_protocol::one_line;

use super::{
    out::{complain, print, unwritten},
    running_server::RunningServer,
    screen::Screen,
    table::{Side, Table},
};
use crate::{
    cli::amounts,
    cli::{Exit, Target},
    logging::escape,
};

pub(super) fn status(target: &Target, json: bool, watch: Option<Duration>) -> Exit {
    let server = match RunningServer::find(target) {
        Ok(server) => server,
        Err(exit) => return exit,
    };
    match watch {
        None => match server.status() {
            Ok(status) => print(&page(&status, json)),
            Err(exit) => exit,
        },
        Some(interval) => self::watch(&server, json, interval),
    }
}

/// A master that stops takes its socket away before it ends; who asks in between is to hear of the end.
const LAST_BREATH: Duration = Duration::from_secs(1);

fn page(status: &Value, json: bool) -> String {
    if json { one_line::line(status).unwrap_or_default() } else { table(status) }
}

/// Shows it until the server has ended, or nobody looks any more.
fn watch(server: &RunningServer, json: bool, interval: Duration) -> Exit {
    let mut screen = Screen::stdout();
    let mut page_before = false;
    loop {
        let status = match server.try_status() {
            Ok(status) => status,
            Err(_) if server.process.wait(LAST_BREATH).unwrap_or(false) => return ended(server),
            Err(error) => return server.silent(&error),
        };
        let between = if page_before && !json { "\n" } else { "" };
        let text = page(&status, json);
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

const COLUMNS: [(&str, Side); 14] = [
    ("PROCESS", Side::Left),
    ("PID", Side::Right),
    ("STATE", Side::Left),
    ("UP", Side::Right),
    ("RESTARTS", Side::Right),
    ("CLIENTS", Side::Right),
    ("MSG IN", Side::Right),
    ("MSG OUT", Side::Right),
    ("IN", Side::Right),
    ("OUT", Side::Right),
    ("QUEUED", Side::Right),
    ("DROPPED", Side::Right),
    ("CPU", Side::Right),
    ("MEMORY", Side::Right),
];

/// The table. Pure; what a field lacks is shown as a dash.
fn table(status: &Value) -> String {
    let mut text = String::new();
    // Writing to memory does not fail.
    let _ = writeln!(
        text,
        "wsmaster {} on {}, {}, up {}; {}; {} reloads",
        word(&status["version"]),
        word(&status["listen"]),
        word(&status["app"]),
        duration(&status["master"]["uptime_ms"]),
        word(&status["activity"]),
        word(&status["reloads"]),
    );
    for certificate in list(&status["tls"]["certificates"]) {
        let _ = writeln!(text, "{}", expiry(certificate));
    }
    text.push('\n');
    let master = &status["master"];
    let mut rows =
        vec![COLUMNS.map(|(name, _)| name.to_owned()).to_vec(), row("master", "up", master)];
    for worker in list(&status["workers"]) {
        rows.push(row(&word(&worker["name"]), &word(&worker["state"]), worker));
    }
    for process in list(&status["processes"]) {
        let (name, mut state) = (word(&process["name"]), word(&process["state"]));
        if process["retired"] == true {
            state.push_str(", goes");
        }
        rows.push(row(&name, &state, process));
    }
    for process in list(&status["leaving"]) {
        rows.push(row(&word(&process["name"]), "leaving", process));
    }
    // With the counters of processes that have ended.
    rows.push(row("all, so far", "", &status["totals"]));
    text.push_str(&Table::new(&COLUMNS.map(|(_, side)| side)).lines(&rows));
    for worker in list(&status["workers"]).iter().chain(list(&status["processes"])) {
        if let (Some(wait), Some(how)) =
            (worker["retry_in_ms"].as_u64(), worker["last_exit"].as_str())
        {
            let name = word(&worker["name"]);
            let _ = write!(text, "\n{name} ended with {how}, and starts again in {wait} ms");
            if worker["crash_loop"] == true {
                text.push_str(": it is in a crash loop, and its last words are in the log");
            }
            text.push('\n');
        }
        if let Some(by) = worker["covered_by"].as_u64() {
            let name = word(&worker["name"]);
            let _ = writeln!(text, "\n{name} is down for long: worker {by} serves its new clients");
        }
    }
    if let Some(lost) = status["log"]["lines_lost"].as_u64().filter(|lost| *lost > 0) {
        let lines = if lost == 1 { "line" } else { "lines" };
        let log = match &status["log"]["file"] {
            Value::Null => "the standard error".to_owned(),
            file => word(file),
        };
        let _ = writeln!(text, "\n{lost} {lines} of the log lost: {log} did not take them");
    }
    text
}

/// How long a certificate is good for.
fn expiry(certificate: &Value) -> String {
    let days = certificate["expires_in_days"].as_i64().unwrap_or_default();
    let end = match days {
        ..0 => "has EXPIRED".to_owned(),
        0 => "expires TODAY".to_owned(),
        1 => "expires in 1 day".to_owned(),
        days => format!("expires in {days} days"),
    };
    let names: Vec<&str> = list(&certificate["names"]).iter().filter_map(Value::as_str).collect();
    format!("certificate {} ({}) {end}", word(&certificate["file"]), names.join(" "))
}

/// A worker or a side process: what they have in common under the same heading. For a program, MSG IN is what it has said
/// and MSG OUT what it was told.
fn row(name: &str, state: &str, process: &Value) -> Vec<String> {
    let either = |of_worker: &str, of_program: &str| match &process[of_worker] {
        Value::Null => process[of_program].clone(),
        value => value.clone(),
    };
    // Of a program, and not of the process of ours that hosts it.
    let own = |name: &str| match &process[format!("program_{name}")] {
        Value::Null => &process[name],
        of_program => of_program,
    };
    let dropped =
        DROPPED.iter().filter_map(|name| process[*name].as_u64()).reduce(|one, other| one + other);
    vec![
        name.to_owned(),
        word(own("pid")),
        state.to_owned(),
        duration(&process["uptime_ms"]),
        word(&process["restarts"]),
        word(&process["websockets"]),
        shown(&either("messages_in", "commands"), amounts::count),
        shown(&either("messages_out", "events"), amounts::count),
        shown(&process["bytes_in"], amounts::bytes),
        shown(&process["bytes_out"], amounts::bytes),
        shown(&either("outbox_bytes", "queued_bytes"), amounts::bytes),
        dropped.map_or_else(|| "-".to_owned(), amounts::count),
        duration(own("cpu_ms")),
        shown(own("rss_bytes"), amounts::bytes),
    ]
}

/// What did not reach somebody.
const DROPPED: [&str; 6] = [
    "dropped_outbox_full",
    "dropped_too_large",
    "dropped_mailbox_full",
    "dropped_no_descriptors",
    "dropped_by_handler",
    "dropped_events",
];

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => escape(&text.replace('_', " ")),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn duration(ms: &Value) -> String {
    shown(ms, amounts::duration)
}

fn shown(value: &Value, form: impl Fn(u64) -> String) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), form)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
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
        })
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
