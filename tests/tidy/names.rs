//! Words that are not names here, and how comments speak of processes.

use std::collections::BTreeSet;

use crate::{
    Findings,
    tree::{Source, sources},
};

/// Words that name nothing in code, and the term of the field. Also parts of names (`end_patience`, `SideSeat`) and of files.
const NOT_NAMES: &[(&str, &str)] = &[
    ("asking", "request, client"),
    ("bury", "remove_closed"),
    ("complain", "warn, log"),
    ("complaint", "error, message"),
    ("complaints", "log limiter, errors"),
    ("crowded", "limit reached"),
    ("desk", "task slot"),
    ("dice", "jitter, random"),
    ("door", "listener, endpoint, socket"),
    ("doors", "listeners, endpoints, sockets"),
    ("durable", "connection info"),
    ("farewell", "close, drain"),
    ("farewells", "drain schedule"),
    ("gate", "accept state, limit"),
    ("handing", "handover"),
    ("hear", "receive"),
    ("heard", "received"),
    ("heart", "keepalive"),
    ("leftovers", "stale events, remaining bytes"),
    ("lonely", "single"),
    ("news", "lifecycle events"),
    ("outlook", "support"),
    ("parcel", "packet"),
    ("patience", "timeout"),
    ("postbox", "mailbox sender"),
    ("receptionist", "fallback"),
    ("seat", "setup, slot"),
    ("silence", "empty, idle time"),
    ("station", "process loop"),
    ("survey", "inspect, listing"),
    ("surveys", "inspect, listings"),
    ("takeaway", "child resources"),
    ("tally", "count, history"),
    ("unfit", "wrong type"),
    ("wish", "request"),
    ("wishes", "requests"),
];

/// Files that still have such a word in a name. The list only gets shorter.
const STILL_NAMED: &[(&str, &str)] = &[
    ("src/apps/api.rs", "tally"),
    ("src/cli/commands.rs", "complain"),
    ("src/cli/commands/cert.rs", "complain"),
    ("src/cli/commands/client.rs", "complain"),
    ("src/cli/commands/client.rs", "patience"),
    ("src/cli/commands/client/session.rs", "patience"),
    ("src/cli/commands/client/output.rs", "complain"),
    ("src/cli/commands/client/tls.rs", "patience"),
    ("src/cli/commands/client/transport.rs", "patience"),
    ("src/cli/commands/connections.rs", "complain"),
    ("src/cli/commands/given.rs", "patience"),
    ("src/cli/commands/load.rs", "complain"),
    ("src/cli/commands/logs.rs", "complain"),
    ("src/cli/commands/logs.rs", "patience"),
    ("src/cli/commands/out.rs", "complain"),
    ("src/cli/commands/reload.rs", "complain"),
    ("src/cli/commands/reload.rs", "patience"),
    ("src/cli/commands/running_server.rs", "complain"),
    ("src/cli/commands/running_server.rs", "patience"),
    ("src/cli/commands/running_server.rs", "survey"),
    ("src/cli/commands/start.rs", "complain"),
    ("src/cli/commands/start.rs", "patience"),
    ("src/cli/commands/status.rs", "complain"),
    ("src/cli/commands/stop.rs", "complain"),
    ("src/cli/commands/stop.rs", "patience"),
    ("src/cli/commands/top.rs", "complain"),
    ("src/cli/commands/top/top_lists.rs", "survey"),
    ("src/cli/control_client.rs", "patience"),
    ("src/master.rs", "bury"),
    ("src/master.rs", "handing"),
    ("src/master.rs", "news"),
    ("src/master.rs", "seat"),
    ("src/master.rs", "survey"),
    ("src/master.rs", "surveys"),
    ("src/master/calls.rs", "survey"),
    ("src/master/control.rs", "patience"),
    ("src/master/control.rs", "survey"),
    ("src/master/forking.rs", "seat"),
    ("src/master/handing.rs", "bury"),
    ("src/master/handing.rs", "handing"),
    ("src/master/handover.rs", "patience"),
    ("src/master/listeners.rs", "patience"),
    ("src/master/lost.rs", "seat"),
    ("src/master/news.rs", "news"),
    ("src/master/rehearsal.rs", "patience"),
    ("src/master/start.rs", "news"),
    ("src/master/start.rs", "seat"),
    ("src/master/start.rs", "surveys"),
    ("src/master/status.rs", "news"),
    ("src/master/surveys.rs", "survey"),
    ("src/master/surveys.rs", "surveys"),
    ("src/side/context.rs", "seat"),
    ("src/side/context.rs", "tally"),
    ("src/side/process.rs", "hear"),
    ("src/side/process.rs", "seat"),
    ("src/side/program/commands.rs", "tally"),
    ("src/side/tasks.rs", "seat"),
    ("src/status.rs", "news"),
    ("src/supervisor.rs", "dice"),
    ("src/supervisor.rs", "tally"),
    ("src/supervisor.rs", "wish"),
    ("src/supervisor/child.rs", "wish"),
    ("src/supervisor/invariants.rs", "tally"),
    ("src/supervisor/lives.rs", "dice"),
    ("src/supervisor/lives.rs", "tally"),
    ("src/supervisor/lives.rs", "wish"),
    ("src/supervisor/recycle.rs", "wish"),
    ("src/supervisor/room.rs", "tally"),
    ("src/supervisor/slot.rs", "tally"),
    ("src/supervisor/tally.rs", "dice"),
    ("src/supervisor/tally.rs", "tally"),
    ("workers/src/connection/tick.rs", "hear"),
    ("workers/src/context.rs", "tally"),
    ("workers/src/pending.rs", "tally"),
    ("workers/src/requester.rs", "tally"),
    ("workers/src/state/fanout.rs", "tally"),
    ("workers/src/state/peers.rs", "tally"),
    ("workers/src/tls/stream.rs", "news"),
    ("workers/src/worker.rs", "farewell"),
    ("workers/src/worker.rs", "seat"),
];

/// Words for people, as which no process, connection or message is spoken of.
const PERSONS: [&str; 8] =
    ["who", "whose", "whom", "whoever", "nobody", "somebody", "anybody", "everybody"];

/// As many of them in a thousand words of comments of each room. People who operate or use the server are people, so a few
/// are right. Lower it as comments are rewritten.
const PERSONS_PER_1000_WORDS_MAX: &[(&str, usize)] = &[
    ("protocol/src", 4),
    ("settings/src", 2),
    ("ipc/src", 9),
    ("workers/src", 8),
    ("src", 7),
    ("benches/load/src", 2),
];

/// The rooms whose code is read.
const ROOMS: [&str; 6] =
    ["protocol/src", "settings/src", "ipc/src", "workers/src", "src", "benches/load/src"];

fn shipped() -> impl Iterator<Item = &'static Source> {
    sources().iter().filter(|source| source.is_shipped && source.is_below(&ROOMS))
}

/// The words that a name is made of, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let begins = character == '_' || (character.is_uppercase() && was_lower);
        if begins {
            words.push(String::new());
        }
        was_lower = character.is_lowercase() || character.is_ascii_digit();
        if character != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words
}

fn names_in(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| !name.is_empty())
}

#[test]
fn names_are_terms_of_the_field() {
    let mut findings = Findings::default();
    let mut used = BTreeSet::new();
    for source in shipped() {
        let file = source.path.trim_end_matches(".rs").rsplit('/').next().unwrap_or_default();
        let lines = source.shipped.lines().map(|(number, line)| (number, names_in(line)));
        let in_code = lines.flat_map(|(number, names)| names.map(move |name| (number, name)));
        let mut told = BTreeSet::new();
        for (number, name) in in_code.chain([(0, file)]) {
            for word in words_of(name) {
                let Some((word, instead)) = NOT_NAMES.iter().find(|(not, _)| *not == word) else {
                    continue;
                };
                let known =
                    STILL_NAMED.iter().find(|(path, known)| *path == source.path && known == word);
                if let Some(known) = known {
                    used.insert(*known);
                } else if told.insert(*word) {
                    findings.add(
                        &source.path,
                        number,
                        format!(
                            "{name}: {word:?} is no term of the field; say what it is: {instead}"
                        ),
                    );
                }
            }
        }
    }
    for (path, word) in STILL_NAMED.iter().filter(|known| !used.contains(*known)) {
        findings.add(
            path,
            0,
            format!("has no {word:?} any more; take it off the list of tests/tidy/names.rs"),
        );
    }
    findings.expect_none();
}

#[test]
fn comments_speak_of_processes_as_of_things() {
    let mut findings = Findings::default();
    for room in ROOMS {
        let (mut words, mut persons) = (0, 0);
        for source in shipped().filter(|source| source.is_below(&[room])) {
            for line in source.text.lines() {
                let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
                for word in comment.split(|c: char| !c.is_alphabetic()).filter(|w| !w.is_empty()) {
                    words += 1;
                    persons += usize::from(PERSONS.contains(&word.to_lowercase().as_str()));
                }
            }
        }
        let found = (persons * 1000).div_ceil(words.max(1));
        let max = PERSONS_PER_1000_WORDS_MAX
            .iter()
            .find(|(of, _)| *of == room)
            .map_or(0, |(_, max)| *max);
        if found > max {
            findings.add(room, 0, format!("{found} of 1000 words of its comments are {PERSONS:?}, more than {max}; say which process, connection or message it is"));
        } else if found + 1 < max {
            findings.add(room, 0, format!("only {found} of 1000 words of its comments are {PERSONS:?}; lower the bound of {max} in tests/tidy/names.rs"));
        }
    }
    findings.expect_none();
}
