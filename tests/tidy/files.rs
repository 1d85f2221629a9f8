//! Files as such: how long, how they begin, what bytes they have, which there must be.

use crate::{
    Findings,
    tree::{children_of, files, sources},
};

/// Lines of code of one file, tests in it not counted. Beyond it is two ideas.
const CODE_LINES_MAX: usize = 500;

/// Files that are longer, and by how much at most. The numbers only go down.
const LONG_FILES: &[(&str, usize)] = &[];

/// How far a file of the list may be below its number before the number has to follow.
const SLACK_LINES_MAX: usize = 50;

const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Files that a stranger looks for first.
const MUST_EXIST: [&str; 7] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/architecture.md",
    "docs/configuration.md",
];

/// Characters that are not seen and change what is: zero-width ones, and those that turn the direction of writing.
const INVISIBLE: [char; 17] = [
    '\u{ad}', '\u{a0}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}',
    '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{2067}', '\u{2069}',
    '\u{feff}',
];

#[test]
fn a_file_is_one_idea() {
    let mut findings = Findings::default();
    let sources = sources();
    for source in sources {
        let lines = if source.is_shipped { source.shipped.len() } else { source.code.len() };
        let allowed =
            LONG_FILES.iter().find(|(path, _)| source.path == *path).map(|(_, lines)| *lines);
        match allowed {
            None if lines > CODE_LINES_MAX => findings.add(
                &source.path,
                0,
                format!("{lines} lines of code, more than {CODE_LINES_MAX}; cut it into two ideas"),
            ),
            Some(allowed) if lines > allowed => findings.add(
                &source.path,
                0,
                format!("{lines} lines of code, more than its {allowed}; it was too long before: cut something out first"),
            ),
            Some(_) if lines <= CODE_LINES_MAX => findings.add(
                &source.path,
                0,
                "is short enough now; take it off the list of tests/tidy/files.rs",
            ),
            Some(allowed) if allowed - lines > SLACK_LINES_MAX => findings.add(
                &source.path,
                0,
                format!("has become shorter; lower its number in tests/tidy/files.rs to {lines}"),
            ),
            None | Some(_) => {}
        }
    }
    for (path, _) in LONG_FILES {
        if !sources.iter().any(|source| source.path == *path) {
            findings.add(
                path,
                0,
                "is not there any more; take it off the list of tests/tidy/files.rs",
            );
        }
    }
    findings.expect_none();
}

#[test]
fn every_source_says_first_what_it_owns() {
    let mut findings = Findings::default();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            findings.add(
                &source.path,
                1,
                "begin it with `//!`: what the file owns, and what it never does",
            );
        }
    }
    findings.expect_none();
}

#[test]
fn every_source_is_part_of_something() {
    let sources = sources();
    let mut findings = Findings::default();
    for source in sources {
        let (directory, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let is_root = matches!(name, "lib.rs" | "main.rs" | "build.rs")
            || ["tests", "examples", "benches", "bin"]
                .iter()
                .any(|target| directory == *target || directory.ends_with(&format!("/{target}")))
            || directory.contains("fuzz_targets");
        let module = match name {
            "mod.rs" => directory.rsplit('/').next().unwrap_or(directory),
            name => name.trim_end_matches(".rs"),
        };
        let here = if name == "mod.rs" {
            directory.rsplit_once('/').map_or("", |(above, _)| above)
        } else {
            directory
        };
        let is_declared = sources.iter().any(|parent| {
            let declares = |line: &str| {
                let line = line.trim();
                line.strip_suffix(&format!("mod {module};"))
                    .is_some_and(|before| before.is_empty() || before.ends_with(' '))
            };
            let by_name = children_of(&parent.path).trim_end_matches('/') == here
                || parent.path.starts_with(&format!("{here}/"));
            let by_path = parent.text.contains(&format!("{name}\"]"));
            (by_name || by_path)
                && parent.path != source.path
                && parent.code.lines().any(|(_, line)| declares(line))
        });
        if !is_root && !is_declared {
            findings.add(
                &source.path,
                0,
                "no module declares it, so it is never compiled; declare or delete it",
            );
        }
    }
    findings.expect_none();
}

#[test]
fn texts_are_plain() {
    let mut findings = Findings::default();
    for file in files().iter().filter(|file| file.is_text()) {
        if str::from_utf8(&file.bytes).is_err() {
            findings.add(&file.path, 0, "is not UTF-8; write it so");
        }
        let text = file.text();
        for (number, line) in text.split('\n').enumerate() {
            let mut add = |what: &str| findings.add(&file.path, number + 1, what);
            if line.contains('\t') {
                add("a tab; use blanks");
            }
            if line.ends_with([' ', '\t']) {
                add("blanks at the end; take them away");
            }
            if line.contains('\r') {
                add("a CR; end lines with LF alone");
            }
            if line.chars().any(|c| c.is_control() && c != '\t' && c != '\r') {
                add("a control character; write it as an escape");
            }
            if line.contains(INVISIBLE) {
                add("an invisible character; write it as an escape, or leave it out");
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            findings.add(&file.path, 0, "does not end with a line end; add one");
        }
        if text.ends_with("\n\n") {
            findings.add(&file.path, 0, "ends with empty lines; take them away");
        }
    }
    findings.expect_none();
}

#[test]
fn scripts_can_be_run_and_stop_at_the_first_error() {
    let mut findings = Findings::default();
    for file in files() {
        let in_place = file.path.starts_with("scripts/") || file.path.starts_with(".ci/");
        if file.is_executable != file.is_script() {
            let what = if file.is_executable {
                "is executable and has no `#!` line; chmod -x, or add it"
            } else {
                "has a `#!` line and is not executable; chmod +x"
            };
            findings.add(&file.path, 0, what);
        }
        let is_shell = file
            .text()
            .lines()
            .next()
            .is_some_and(|line| line.contains("sh") && line.starts_with("#!"));
        if in_place && file.ending().is_empty() && !file.is_script() {
            findings.add(&file.path, 1, "begin it with `#!/usr/bin/env bash`");
        }
        if !is_shell {
            continue;
        }
        if !file.text().starts_with("#!/usr/bin/env bash\n") {
            findings.add(&file.path, 1, "begin it with `#!/usr/bin/env bash`");
        }
        // The first thing that is done; what comes before it is the explanation.
        let first =
            file.text().lines().find(|line| !line.starts_with('#') && !line.trim().is_empty());
        if first != Some("set -euo pipefail") {
            findings.add(&file.path, 0, "let `set -euo pipefail` be its first command");
        }
        let says_why = file.text().lines().nth(1).is_some_and(|line| line.starts_with("# "));
        if !says_why {
            findings.add(&file.path, 2, "say in a comment what it does");
        }
    }
    findings.expect_none();
}

#[test]
fn nothing_is_large_and_nothing_is_missing() {
    let mut findings = Findings::default();
    let files = files();
    for file in &files {
        if file.bytes.len() > FILE_BYTES_MAX {
            findings.add(
                &file.path,
                0,
                format!("{} bytes; let a script make or fetch it", file.bytes.len()),
            );
        }
    }
    for path in MUST_EXIST {
        if !files.iter().any(|file| file.path == path) {
            findings.add(path, 0, "is missing; a stranger looks for it first");
        }
    }
    findings.expect_none();
}
