//! No files of a crate that import each other in a circle, and rooms of `src` that look down only.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Findings, modules::workspace};

/// Files that are in a circle today, each with what ties it. The list only gets shorter.
const IN_CIRCLES: &[(&str, &str)] = &[
    ("protocol/src/plugin/answer.rs", "an answer and a command share fields"),
    ("protocol/src/plugin/command.rs", "an answer and a command share fields"),
    ("src/cli/commands/client/tls.rs", "the transport takes what the TLS stream reads"),
    ("src/cli/commands/client/transport.rs", "the transport takes what the TLS stream reads"),
    ("src/master.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/activation.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/calls.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/coming_up.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/forking.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/listeners.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/lost.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/memory.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/news.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/start.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/surroundings.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/surveys.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/master/tls.rs", "the parts of the master are `impl` blocks of one type"),
    ("src/supervisor.rs", "the parts of the supervisor are `impl` blocks of one type"),
    ("src/supervisor/cover.rs", "the parts of the supervisor are `impl` blocks of one type"),
    ("src/supervisor/lives.rs", "the parts of the supervisor are `impl` blocks of one type"),
    ("src/supervisor/reload.rs", "the parts of the supervisor are `impl` blocks of one type"),
    ("src/supervisor/slot.rs", "the parts of the supervisor are `impl` blocks of one type"),
    ("src/supervisor/stop.rs", "the parts of the supervisor are `impl` blocks of one type"),
    ("workers/src/worker.rs", "the parts of the loop are `impl` blocks of one type"),
    ("workers/src/worker/leaving.rs", "the parts of the loop are `impl` blocks of one type"),
];

/// The rooms of `src`, the lowest first, and what each uses besides itself. A room that is not here uses none; what is not below
/// cannot be used.
const ROOMS: &[(&str, &[&str])] = &[
    ("programs", &["apart", "config"]),
    ("tls", &["apart", "config"]),
    ("side", &["config", "logging", "programs", "supervisor"]),
    ("worker_info", &["config", "side"]),
    ("status", &["side", "supervisor"]),
    ("apps", &["config", "side", "worker_info"]),
    ("status", &["side", "supervisor"]),
    (
        "master",
        &[
            "status",
            "apart",
            "config",
            "logging",
            "missing",
            "programs",
            "side",
            "status",
            "supervisor",
            "tls",
            "worker_info",
        ],
    ),
    ("server", &["config", "master", "side", "worker_info"]),
    (
        "cli",
        &["status", "apart", "apps", "config", "logging", "master", "missing", "programs", "tls"],
    ),
];

fn arrows() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut arrows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in &workspace().arrows {
        arrows.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    arrows
}

/// All files that this one leads to.
fn reached(from: &str, arrows: &BTreeMap<&str, BTreeSet<&'static str>>) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = vec![from];
    while let Some(at) = next.pop() {
        for to in arrows.get(at).into_iter().flatten() {
            if reached.insert(*to) {
                next.push(to);
            }
        }
    }
    reached
}

#[test]
fn files_import_each_other_in_no_circle() {
    let arrows = arrows();
    let reached: BTreeMap<&str, _> =
        arrows.keys().map(|from| (*from, reached(from, &arrows))).collect();
    let mut findings = Findings::default();
    let known = |path: &str| IN_CIRCLES.iter().any(|(known, _)| *known == path);
    for (path, below) in &reached {
        if !below.contains(path) || known(path) {
            continue;
        }
        let back = |to: &&&str| reached.get(**to).is_some_and(|below| below.contains(path));
        let direct: Vec<&str> = arrows[path].iter().filter(back).copied().collect();
        findings.add(
            path,
            0,
            format!(
                "is in a circle by {}; move what both need into a file below both",
                direct.join(", ")
            ),
        );
    }
    for (path, remark) in IN_CIRCLES {
        if !reached.get(path).is_some_and(|below| below.contains(path)) {
            findings.add(path, 0, format!("is in no circle any more ({remark}); take it off the list of tests/tidy/circles.rs"));
        }
    }
    findings.expect_none();
}

/// The room of a file of `src`: its first folder, or itself.
fn room(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    Some(below.split('/').next().unwrap_or(below).trim_end_matches(".rs"))
}

#[test]
fn rooms_of_src_look_down_only() {
    let mut findings = Findings::default();
    let mut used = BTreeSet::new();
    for arrow in &workspace().arrows {
        let (Some(from), Some(to)) = (room(&arrow.from), room(&arrow.to)) else { continue };
        if from == to || from == "main" {
            continue;
        }
        used.insert((from, to));
        let may = ROOMS.iter().find(|(room, _)| *room == from).map_or(&[][..], |(_, below)| *below);
        if !may.contains(&to) {
            findings.add(&arrow.from, 0, format!("uses {}, and {from} stands below {to}; pass it in as an argument, or move it below both", arrow.to));
        }
    }
    for (at, (room, below)) in ROOMS.iter().enumerate() {
        for below in below.iter().filter(|below| ROOMS[at..].iter().any(|(room, _)| room == *below))
        {
            findings.add(room, 0, format!("may not use {below}, which does not stand below it"));
        }
        for below in below.iter().filter(|below| !used.contains(&(*room, **below))) {
            findings.add(
                room,
                0,
                format!(
                    "does not use {below} any more; take it off the list of tests/tidy/circles.rs"
                ),
            );
        }
    }
    findings.expect_none();
}
