//! A log that is moved aside while everybody writes: by the master at a size, by an operator with a command.

use std::{collections::HashMap, fs, path::Path, process::Command, time::Duration};

use super::{
    kernel::{Errand, links},
    read,
    support::{PATIENCE, Server, Setup, Signal, descendants_of, eventually, run, signal},
};

const WORKERS: usize = 3;
const LINES: usize = 60_000;
const ROTATIONS: u64 = 50;

/// A server whose workers log numbered lines as fast as the configuration lets rotate.
fn storm(config: &str, lines: usize) -> Errand {
    let program = Path::new(env!("CARGO_BIN_EXE_wsmaster"));
    let example = program.parent().expect("a directory").join("examples/log_storm");
    assert!(example.exists(), "{} is not built: cargo build --examples", example.display());
    Errand::start(|directory| {
        fs::write(directory.join("w.toml"), config).expect("ours");
        let mut command = Command::new(example);
        command.args(["127.0.0.1:0", "w.pid", &WORKERS.to_string(), "w.toml", &lines.to_string()]);
        command
    })
}

/// The log and its older files, the oldest first.
fn files(directory: &Path) -> Vec<String> {
    let older = (1..).map(|number| directory.join(format!("w.log.{number}")));
    let mut texts: Vec<String> =
        older.take_while(|file| file.exists()).map(|file| read(&file)).collect();
    texts.reverse();
    texts.push(read(&directory.join("w.log")));
    texts
}

#[test]
fn no_line_is_lost_or_torn_while_the_log_is_rotated() {
    let server = storm(
        "[server]\nlog_file = \"w.log\"\nlog_rotate_bytes = \"4KiB\"\nlog_rotate_keep = 1000\n",
        LINES,
    );
    let last = format!("line {} of {LINES} of worker", LINES - 1);
    eventually("the last line of every worker", 6 * PATIENCE, || {
        let done: usize =
            files(server.directory()).iter().map(|text| text.matches(&last).count()).sum();
        (done == WORKERS).then_some(())
    });
    let file = server.directory().join("w.pid").to_string_lossy().into_owned();
    let status = run(&["status", "--json", "--pid-file", &file]).expect_code(0).json();
    let rotations = status["log"]["rotations"].as_u64().expect("a number");
    assert!(rotations >= ROTATIONS, "only {rotations} rotations");
    assert_eq!(status["log"]["lines_lost"], 0);
    run(&["stop", "--pid-file", &file]).expect_code(0);

    let texts = files(server.directory());
    assert!(texts.len() as u64 > ROTATIONS, "{} files after {rotations} rotations", texts.len());
    let mut next: HashMap<String, usize> = HashMap::new();
    for text in &texts {
        assert!(text.is_empty() || text.ends_with('\n'), "torn: {:?}", text.lines().last());
        for line in text.lines() {
            super::parts(line);
            let Some((_, words)) = line.split_once(": line ") else { continue };
            let (number, worker) = words.split_once(&format!(" of {LINES} of ")).expect("whole");
            // In the order of the files a worker's lines are in the order in which it wrote them: each once, none missing.
            let next = next.entry(worker.to_owned()).or_default();
            assert_eq!(number.parse(), Ok(*next), "{line}");
            *next += 1;
        }
    }
    assert_eq!(next.len(), WORKERS);
    assert!(next.values().all(|lines| *lines == LINES), "{next:?}");
}

#[test]
fn a_process_that_is_stopped_finds_the_log_where_it_left_it() {
    let server = storm(
        "[server]\nlog_file = \"w.log\"\nlog_rotate_bytes = \"4KiB\"\nlog_rotate_keep = 2\n",
        LINES,
    );
    let worker = eventually("a worker", PATIENCE, || {
        read(&server.directory().join("w.log.2")).contains("line").then_some(())?;
        descendants_of(server.pid()).first().copied()
    });
    assert!(signal(worker, Signal::Stop));
    // It may have been stopped before it has answered, or before it has been asked.
    let older = server.directory().join("w.log.1");
    eventually("the rotation to wait", PATIENCE, || {
        let before = read(&older);
        let moved = eventually_changes(&older, &before, Duration::from_millis(500));
        (!moved).then_some(())
    });
    let of_it = links(worker).into_iter().find(|(_, link)| link.contains("w.log"));
    let (_, link) = of_it.expect("it has the log open");
    assert!(!link.contains("deleted"), "{link}: what it writes next would be lost");
    assert!(signal(worker, Signal::Cont));
    let before = read(&older);
    assert!(eventually_changes(&older, &before, PATIENCE), "it goes on");
}

fn eventually_changes(file: &Path, before: &str, within: Duration) -> bool {
    super::support::in_time(within, || (read(file) != before).then_some(())).is_some()
}

#[test]
fn a_reload_changes_the_size_and_the_count() {
    let config = "[server]\nlog_file = \"w.log\"\n";
    let server = Server::start(Setup::default().workers(2).config_toml(config));
    let older = server.directory().join("w.log.1");
    let rotating = format!("{config}log_rotate_bytes = 4096\nlog_rotate_keep = 1\n");
    server.rewrite_config(&rotating);
    eventually("a rotation", PATIENCE, || {
        server.reload().expect_code(0);
        older.exists().then_some(())
    });
    assert!(server.status()["log"]["rotations"].as_u64() >= Some(1));
    assert!(!server.directory().join("w.log.2").exists(), "one is kept");
}

#[test]
fn the_command_waits_until_nobody_writes_to_the_old_file() {
    let server = Server::start(Setup::default().workers(3).arg("--log-file").arg("w.log"));
    let (file, moved) = (server.directory().join("w.log"), server.directory().join("w.log.1"));
    for _ in 0..5 {
        fs::rename(&file, &moved).expect("ours");
        let output = server.cli(&["logs", "reopen"]).expect_code(0);
        assert!(output.stdout.contains("all processes write to"), "{output}");
        for pid in server.living() {
            let holds = |name: &Path| links(pid).iter().any(|(_, link)| Path::new(link) == name);
            assert!(holds(&file) && !holds(&moved), "process {pid}: {:?}", links(pid));
        }
    }
}
