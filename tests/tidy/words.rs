//! Words that are not used, each with what to use instead.

use crate::{
    Findings,
    code::has_word,
    tree::{files, sources},
};

/// Names of modules that say nothing.
const EMPTY_NAMES: [&str; 12] = [
    "util",
    "utils",
    "utilities",
    "helper",
    "helpers",
    "common",
    "misc",
    "manager",
    "managers",
    "shared",
    "stuff",
    "base",
];

/// Calls that end the process, outside of tests, and why each is right where it stands: the file, a part of the line, the
/// reason.
const ENDS_WITH_REASON: &[(&str, &str, &str)] = &[
    ("protocol/src/channels/reply.rs", "writing to a Vec cannot fail", "it cannot"),
    ("protocol/src/frame.rs", "a Vec takes every write", "it does"),
    ("settings/src/assigned.rs", "a default that its field", "all defaults are checked by a test"),
    (
        "src/supervisor/invariants.rs",
        "a reload rests between two slots",
        "it checks what must hold, in debug builds",
    ),
];

#[test]
fn names_say_what_a_thing_is() {
    let mut findings = Findings::default();
    for source in sources() {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let name = stem.rsplit('/').next().unwrap_or(stem);
        if EMPTY_NAMES.contains(&name) {
            findings.add(
                &source.path,
                0,
                format!(
                    "{name:?} says nothing about what is in it; name it after the one idea it owns"
                ),
            );
        }
        for (number, line) in source.code.lines() {
            if let Some(module) =
                line.trim().strip_prefix("mod ").and_then(|rest| rest.split([';', ' ']).next())
                && EMPTY_NAMES.contains(&module)
            {
                findings.add(&source.path, number, format!("{module:?} says nothing about what is in it; name it after the one idea it owns"));
            }
            let getter = line.split("fn ").nth(1).filter(|_| has_word(line, "fn"));
            if let Some(name) = getter.filter(|name| name.starts_with("get_")) {
                let plain =
                    name.trim_start_matches("get_").split(['(', '<']).next().unwrap_or_default();
                findings.add(
                    &source.path,
                    number,
                    format!("a function called get_...; call it {plain}()"),
                );
            }
        }
    }
    findings.expect_none();
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file may be read too.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"], ["W", "IP"]]
        .map(|parts| parts.concat());
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| file.is_text() && file.ending() != "lock") {
        for (number, line) in file.text().lines().enumerate() {
            for word in words.iter().filter(|word| has_word(line, word)) {
                findings.add(
                    &file.path,
                    number + 1,
                    format!("{word}; do it now, or write an issue and leave the line out"),
                );
            }
        }
    }
    findings.expect_none();
}

#[test]
fn nothing_from_outside_can_end_the_process() {
    let calls = [
        ".unwrap()",
        ".expect(",
        ".unwrap_err()",
        ".expect_err(",
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
        "process::exit(",
    ];
    let mut used = vec![false; ENDS_WITH_REASON.len()];
    let mut findings = Findings::default();
    let shipped = ["protocol/src", "ipc/src", "settings/src", "workers/src", "src"];
    for source in sources().iter().filter(|source| source.is_shipped && source.is_below(&shipped)) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.shipped.lines() {
            let Some(call) = calls.iter().find(|call| line.contains(**call)) else { continue };
            let reason = ENDS_WITH_REASON.iter().position(|(path, part, _)| {
                source.path == *path && lines[number - 1].contains(part)
            });
            match reason {
                Some(at) => used[at] = true,
                None => findings.add(
                    &source.path,
                    number,
                    format!("{call} outside of tests; return an error, use let-else, or put it on the list of tests/tidy/words.rs with its reason"),
                ),
            }
        }
    }
    for ((path, part, _), _) in ENDS_WITH_REASON.iter().zip(used).filter(|(_, used)| !used) {
        findings.add(
            path,
            0,
            format!("has no {part:?} any more; take it off the list of tests/tidy/words.rs"),
        );
    }
    findings.expect_none();
}

/// `println!` panics where the output cannot be written: on a full disk, in a closed pipe.
#[test]
fn output_that_cannot_be_written_ends_nothing() {
    // The longer ones first: each line is told once.
    let calls = ["eprintln!", "println!", "eprint!", "print!"];
    let shipped =
        ["protocol/src", "ipc/src", "settings/src", "workers/src", "src", "benches/load/src"];
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| source.is_shipped && source.is_below(&shipped)) {
        for (number, line) in source.shipped.lines() {
            if let Some(call) = calls.iter().find(|call| has_word(line, call)) {
                findings.add(
                    &source.path,
                    number,
                    format!("{call} panics when it cannot write; see src/cli/commands/out.rs"),
                );
            }
        }
    }
    findings.expect_none();
}
