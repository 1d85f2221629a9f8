//! Which files may not touch the world: time, randomness and bytes come in as arguments.

use crate::{
    Findings,
    tree::{Source, sources},
};

/// What a pure file has none of, and what it takes instead.
const WORLD: [(&str, &str); 14] = [
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime", "take the time as an argument"),
    ("std::fs", "take the bytes as an argument, and let the caller read"),
    ("std::thread", "give the work back to the caller"),
    ("std::process", "say what should be done, and let the shell do it"),
    ("std::env", "take the value as an argument"),
    ("std::net::TcpListener", "take bytes, and let the shell own the socket"),
    ("std::net::TcpStream", "take bytes, and let the shell own the socket"),
    ("std::net::UdpSocket", "take bytes, and let the shell own the socket"),
    ("std::os::unix::net", "take bytes, and let the shell own the socket"),
    ("mio", "take bytes, and let the shell own the socket"),
    ("fastrand", "take a seed or a generator of the caller's"),
    ("rand", "take a seed or a generator of the caller's"),
    ("log", "return what there is to tell, and let the shell log it"),
];

/// Files and folders that are pure, besides all of `protocol/`.
const PURE: &[&str] = &[
    "settings/src",
    "src/side/directory.rs",
    "src/side/program/line_splitter.rs",
    "src/side/program/commands.rs",
    "src/side/program/line_queue.rs",
    "workers/src/admission.rs",
    "workers/src/requester.rs",
    "workers/src/timers.rs",
    "workers/src/tls/x509.rs",
    "workers/src/tls/names.rs",
    "workers/src/tls/refusal.rs",
    "workers/src/pending.rs",
    "workers/src/http1.rs",
    "workers/src/accept_state.rs",
    "workers/src/handshakes.rs",
    "workers/src/limits.rs",
    "workers/src/outbox.rs",
    "workers/src/frequency.rs",
    "workers/src/rate_limiter.rs",
    "workers/src/inspect.rs",
    "ipc/src/moment.rs",
    "workers/src/timeouts.rs",
    "workers/src/token.rs",
    "workers/src/channel_table.rs",
    "workers/src/wheel.rs",
    "src/cli/amounts.rs",
    "src/cli/arguments.rs",
    "src/cli/client.rs",
    "src/cli/listen.rs",
    "src/cli/inspect_args.rs",
    "src/cli/manpage.rs",
    "src/cli/commands/hint.rs",
    "src/cli/commands/process_lines.rs",
    "src/cli/commands/startup_message.rs",
    "src/cli/commands/client/address.rs",
    "src/cli/commands/client/tls_errors.rs",
    "src/cli/commands/client/handshake.rs",
    "src/cli/commands/table.rs",
    "src/cli/commands/top/model.rs",
    "src/config",
    "src/config.rs",
    "src/cli/doctor.rs",
    "src/cli/doctor/certificates.rs",
    "src/cli/doctor/facts.rs",
    "src/cli/doctor/finding.rs",
    "src/cli/doctor/limits.rs",
    "src/cli/doctor/network.rs",
    "src/cli/doctor/parsing.rs",
    "src/cli/doctor/setup.rs",
    "src/cli/doctor/system.rs",
    "src/master/clock_check.rs",
    "src/master/log_keeper.rs",
    "src/master/report.rs",
    "src/master/settings.rs",
    "src/supervisor",
    "src/supervisor.rs",
];

/// Exceptions: a file, what it may touch, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "src/config/read/file.rs",
        "std::fs",
        "it is the one contact of the configuration with the outside",
    ),
    ("src/config/model/server.rs", "log", "it names a level and logs nothing"),
    ("src/master/report.rs", "log", "it names a level and logs nothing"),
    ("workers/src/token.rs", "mio", "a token is a number, and this says which"),
];

#[test]
fn pure_files_touch_nothing() {
    let sources = sources();
    let mut findings = Findings::default();
    for pure in PURE {
        let is_there = |source: &Source| source.path == *pure || source.is_below(&[pure]);
        if !sources.iter().any(is_there) {
            findings.add(pure, 0, "is not there any more; take it out of the list of pure files, or put its new name in");
        }
    }
    let is_pure = |source: &&Source| {
        source.is_below(&["protocol/src"])
            || PURE.iter().any(|pure| source.path == *pure || source.is_below(&[pure]))
    };
    for source in sources.iter().filter(|source| source.is_shipped).filter(is_pure) {
        for (thing, instead) in WORLD {
            let is_allowed =
                EXCEPTIONS.iter().any(|(path, what, _)| source.path == *path && *what == thing);
            for number in source.shipped.uses(thing) {
                let line = source.text.lines().nth(number - 1).unwrap_or_default();
                // The name of a crate is only one where a path begins with it.
                let is_path =
                    thing.contains("::") || thing == "SystemTime" || begins_path(line, thing);
                if is_path && !is_allowed {
                    findings.add(
                        &source.path,
                        number,
                        format!("{thing} in a pure file; {instead}"),
                    );
                }
            }
        }
    }
    findings.expect_none();
}

fn begins_path(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn workers_start_no_programs_and_open_no_files() {
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| source.is_below(&["workers/src"])) {
        for thing in ["std::process", "std::fs", "std::env"] {
            for number in source.shipped.uses(thing) {
                findings.add(
                    &source.path,
                    number,
                    format!("{thing} in a worker, which may be blocked by it; the master does that before the fork, or a job thread"),
                );
            }
        }
    }
    findings.expect_none();
}
