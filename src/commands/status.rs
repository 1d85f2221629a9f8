//! `wsmaster status`: how the server is, as a table or as JSON.

use std::{fmt::Write, time::Duration};

use serde_json::Value;

use super::{pid_file, print, running};
use crate::{
    cli::{Exit, Target},
    master::{Question, ask, control_path},
};

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn status(target: &Target, json: bool) -> Exit {
    let path = match pid_file(target) {
        Ok(path) => path,
        Err(exit) => return exit,
    };
    if let Err(exit) = running(&path) {
        return exit;
    }
    let status: Value = match ask(&control_path(&path), Question::Status, PATIENCE) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("the master does not answer at {}: {error}", control_path(&path).display());
            return Exit::Failed;
        }
    };
    if json { print(&format!("{status}\n")) } else { print(&table(&status)) }
}

/// The table. Pure; what a field lacks is shown as a dash.
fn table(status: &Value) -> String {
    let mut text = String::new();
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
    text.push('\n');
    let header = [
        "PROCESS", "PID", "STATE", "UP", "RESTARTS", "CLIENTS", "MSG IN", "MSG OUT", "QUEUED",
        "DROPPED", "CPU", "MEMORY",
    ];
    let mut rows: Vec<Vec<String>> = vec![header.map(str::to_owned).to_vec()];
    let master = &status["master"];
    let mut first = vec!["master".to_owned(), word(&master["pid"]), "up".to_owned()];
    first.push(duration(&master["uptime_ms"]));
    first.extend(std::iter::repeat_n("-".to_owned(), 6));
    first.extend([duration(&master["cpu_ms"]), bytes(&master["rss_bytes"])]);
    rows.push(first);
    for worker in list(&status["workers"]) {
        rows.push(row(&word(&worker["name"]), &word(&worker["state"]), worker));
    }
    for process in list(&status["processes"]) {
        rows.push(row(&word(&process["name"]), &word(&process["state"]), process));
    }
    for process in list(&status["leaving"]) {
        rows.push(row(&word(&process["name"]), "leaving", process));
    }
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            // Names and words to the left, numbers to the right.
            let _ = match column {
                0 | 2 => write!(text, "{cell:<width$}  "),
                _ => write!(text, "{cell:>width$}  "),
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for worker in list(&status["workers"]).iter().chain(list(&status["processes"])) {
        if let (Some(wait), Some(how)) =
            (worker["retry_in_ms"].as_u64(), worker["last_exit"].as_str())
        {
            let name = word(&worker["name"]);
            let _ = writeln!(text, "\n{name} ended with {how}, and starts again in {wait} ms");
        }
    }
    text
}

fn row(name: &str, state: &str, process: &Value) -> Vec<String> {
    let dropped = ["dropped_outbox_full", "dropped_mailbox_full"]
        .iter()
        .filter_map(|name| process[*name].as_u64())
        .reduce(|one, other| one + other);
    vec![
        name.to_owned(),
        word(&process["pid"]),
        state.to_owned(),
        duration(&process["uptime_ms"]),
        word(&process["restarts"]),
        word(&process["websockets"]),
        word(&process["messages_in"]),
        word(&process["messages_out"]),
        bytes(&process["outbox_bytes"]),
        dropped.map_or_else(|| "-".to_owned(), |dropped| dropped.to_string()),
        duration(&process["cpu_ms"]),
        bytes(&process["rss_bytes"]),
    ]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('_', " "),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn duration(ms: &Value) -> String {
    let Some(ms) = ms.as_u64() else { return "-".to_owned() };
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{:.1}s", ms as f64 / 1000.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_u64() else { return "-".to_owned() };
    let amount = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", amount / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", amount / 1_048_576.0),
        _ => format!("{:.1} GiB", amount / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_that_waits_for_its_next_start_is_shown_with_the_reason() {
        let status = json!({
            "version": "1", "listen": "127.0.0.1:1", "app": "echo", "activity": "supervising",
            "reloads": 0,
            "master": {"pid": 7, "uptime_ms": 61_000, "rss_bytes": 5_000_000, "cpu_ms": 1},
            "workers": [
                {"name": "worker 0", "state": "ready", "pid": 8, "uptime_ms": 500, "restarts": 0,
                 "websockets": 12, "outbox_bytes": 2048, "dropped_outbox_full": 3},
                {"name": "worker 1", "state": "backing_off", "pid": null, "restarts": 4,
                 "retry_in_ms": 800, "last_exit": "signal 11"},
            ],
            "leaving": [],
        });
        let table = table(&status);
        assert!(table.contains("up 1m01s"), "{table}");
        assert!(table.contains("worker 1    -  backing off"), "{table}");
        assert!(
            table.contains("worker 1 ended with signal 11, and starts again in 800 ms"),
            "{table}"
        );
        let lines: Vec<_> = table.lines().filter(|line| line.starts_with("worker 0")).collect();
        assert!(lines[0].contains("12") && lines[0].contains("2.0 KiB"), "{table}");
    }
}
