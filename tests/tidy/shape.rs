//! How large a type and a function may become.
//!
//! Clippy has `too_many_lines` for functions, and nothing for fields and methods over all `impl` blocks; so that the three are
//! one list, all are counted here.

use crate::{Findings, modules::workspace};

const FIELDS_MAX: usize = 15;
const METHODS_MAX: usize = 40;
const FUNCTION_LINES_MAX: usize = 60;

/// Exceptions: a file, a name, how much it may have, and why.
type Exceptions = &'static [(&'static str, &'static str, usize, &'static str)];

const MANY_FIELDS: Exceptions = &[
    ("protocol/src/plugin/command.rs", "Fields", 22, "data: every field that a command may have"),
    ("src/cli/client.rs", "ClientOptions", 16, "data: the options of one command"),
    ("src/cli/doctor/facts.rs", "Facts", 22, "data: what was read of the machine"),
    ("src/master.rs", "Master", 50, "is to be cut"),
    ("src/status.rs", "Status", 17, "data: the fields of the JSON"),
];

const MANY_METHODS: Exceptions = &[
    ("src/master.rs", "Master", 114, "is to be cut"),
    ("src/supervisor.rs", "Supervisor", 78, "a pure state machine"),
    (
        "workers/src/context.rs",
        "Context",
        53,
        "the interface of applications: each method is one call on a part of the worker",
    ),
];

const LONG_FUNCTIONS: Exceptions = &[
    ("ipc/src/sys/spawn.rs", "spawn", 63, "is to be cut"),
    ("protocol/src/session.rs", "receive_any", 66, "is to be cut"),
    ("src/master/calls.rs", "begin_reload", 87, "is to be cut"),
    ("src/master/report.rs", "line", 131, "a table: a line for each message"),
    ("src/master/start.rs", "prepare", 131, "is to be cut"),
    ("src/master/surroundings.rs", "settle", 80, "is to be cut"),
    ("workers/src/tls/stream.rs", "decrypt", 77, "is to be cut"),
    ("workers/src/worker.rs", "new", 84, "is to be cut"),
    ("workers/src/worker/leaving.rs", "read_link", 65, "is to be cut"),
];

/// Holds each measure against its bound or its exception, which may not be much larger than what is there.
fn hold(
    exceptions: Exceptions,
    max: usize,
    measured: impl Iterator<Item = (&'static str, usize, &'static str, usize)>,
    what: &str,
    instead: &str,
) {
    let mut findings = Findings::default();
    let mut used = vec![false; exceptions.len()];
    for (path, line, name, count) in measured.filter(|(_, _, _, count)| *count > max) {
        let excepted =
            exceptions.iter().position(|(at, known, _, _)| (*at, *known) == (path, name));
        let allowed = excepted.map_or(max, |at| exceptions[at].2);
        if let Some(at) = excepted {
            used[at] = true;
        }
        if count > allowed {
            findings.add(
                path,
                line,
                format!("{name} has {count} {what}, more than {allowed}; {instead}"),
            );
        } else if count + count / 5 < allowed {
            findings.add(path, line, format!("{name} has {count} {what} now; say so in tests/tidy/shape.rs instead of {allowed}"));
        }
    }
    for ((path, name, _, _), _) in exceptions.iter().zip(used).filter(|(_, used)| !used) {
        findings.add(
            path,
            0,
            format!(
                "{name} has no more than {max} {what}; take it off the list of tests/tidy/shape.rs"
            ),
        );
    }
    findings.expect_none();
}

#[test]
fn no_struct_has_too_many_fields() {
    let structs = workspace().structs.iter();
    let measured = structs.map(|one| (one.path.as_str(), one.line, one.name.as_str(), one.fields));
    hold(
        MANY_FIELDS,
        FIELDS_MAX,
        measured,
        "fields",
        "give those that belong together a type of their own",
    );
}

#[test]
fn no_type_has_too_many_methods() {
    let methods = workspace().methods.iter();
    let measured = methods.map(|((path, name), count)| (path.as_str(), 0, name.as_str(), *count));
    hold(
        MANY_METHODS,
        METHODS_MAX,
        measured,
        "methods",
        "give a part of its fields, with what is done to them, a type of its own",
    );
}

#[test]
fn no_function_is_too_long() {
    let functions = workspace().functions.iter();
    let measured = functions.map(|one| (one.path.as_str(), one.line, one.name.as_str(), one.lines));
    hold(LONG_FUNCTIONS, FUNCTION_LINES_MAX, measured, "lines", "cut it where its steps are");
}
