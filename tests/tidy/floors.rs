//! Which crate may know which, and where the kernel may be called.

use std::fs;

use crate::{
    Findings,
    code::has_word,
    tree::{root, sources},
};

/// The one place that calls the kernel.
const WALL: &str = "ipc/src/sys";

/// A crate, and what its manifest may not name: floors look down only, and what is forbidden cannot be used by accident.
const FLOORS: [(&str, &[&str]); 6] = [
    (
        "protocol",
        &[
            "wsmaster",
            "wsmaster-ipc",
            "wsmaster-settings",
            "wsmaster-workers",
            "mio",
            "nix",
            "libc",
            "rand",
            "fastrand",
            "getrandom",
            "socket2",
            "signal-hook",
            "tokio",
            "crossbeam-channel",
            "log",
        ],
    ),
    (
        "ipc",
        &[
            "wsmaster",
            "wsmaster-protocol",
            "wsmaster-settings",
            "wsmaster-workers",
            "mio",
            "tungstenite",
            "tokio",
        ],
    ),
    (
        "settings",
        &["wsmaster", "wsmaster-ipc", "wsmaster-workers", "mio", "nix", "libc", "log", "tokio"],
    ),
    ("workers", &["wsmaster", "nix", "libc", "rustix", "signal-hook", "tokio", "toml", "clap"]),
    (".", &["nix", "libc", "rustix", "tokio"]),
    (
        "benches/load",
        &[
            "wsmaster",
            "wsmaster-ipc",
            "wsmaster-settings",
            "wsmaster-workers",
            "wsmaster-protocol",
            "nix",
            "libc",
        ],
    ),
];

/// The floors of the configuration, the lowest first: none names one above it.
const CONFIGURATION: [&str; 5] = ["model", "read", "check", "write", "load"];

#[test]
fn the_floors_of_the_configuration_look_down_only() {
    let mut findings = Findings::default();
    for (floor, name) in CONFIGURATION.iter().enumerate() {
        let (file, folder) = (format!("src/config/{name}.rs"), format!("src/config/{name}"));
        for source in sources() {
            if source.path != file && !source.is_below(&[&folder]) {
                continue;
            }
            for (number, line) in source.text.lines().enumerate() {
                let from = if source.path == file { "super" } else { "config" };
                let above = CONFIGURATION[floor + 1..].iter();
                for above in above.filter(|above| line.contains(&format!("{from}::{above}"))) {
                    findings.add(
                        &source.path,
                        number + 1,
                        format!("{name} names {above}, which stands on it; move what both need into {name} or below"),
                    );
                }
            }
        }
    }
    findings.expect_none();
}

#[test]
fn floors_look_down_only() {
    let mut findings = Findings::default();
    for (member, forbidden) in FLOORS {
        let path = format!("{member}/Cargo.toml");
        let text = fs::read_to_string(root().join(&path)).expect("every floor has a manifest");
        let manifest: toml_edit::DocumentMut = text.parse().expect("a manifest is TOML");
        let mut named = Vec::new();
        dependencies(manifest.as_table(), &mut named);
        // What tests need besides is no part of the floor, unless it is a crate of the house.
        let shipped = named
            .iter()
            .filter(|(table, name)| table != "dev-dependencies" || name.starts_with("wsmaster"));
        for (table, name) in shipped.filter(|(_, name)| forbidden.contains(&name.as_str())) {
            findings.add(
                &path,
                0,
                format!("[{table}] names {name}; a floor knows those below it only, and the kernel is {WALL}'s: pass it in as an argument, or move the code to the floor that may"),
            );
        }
    }
    findings.expect_none();
}

/// The names in all tables of dependencies, those of targets among them.
fn dependencies(table: &toml_edit::Table, named: &mut Vec<(String, String)>) {
    for (key, item) in table {
        let Some(inner) = item.as_table() else { continue };
        if key == "workspace" {
            continue;
        }
        if key.ends_with("dependencies") {
            for (name, value) in inner {
                // A dependency may go by another name here.
                let package = value.get("package").and_then(|package| package.as_str());
                named.push((key.to_owned(), package.unwrap_or(name).to_owned()));
            }
        } else {
            dependencies(inner, named);
        }
    }
}

#[test]
fn the_kernel_is_called_in_one_place() {
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| !source.is_below(&[WALL])) {
        for (number, line) in source.code.lines() {
            if has_word(line, "unsafe") || has_word(line, "unsafe_code") {
                findings.add(
                    &source.path,
                    number,
                    format!("unsafe outside of {WALL}; add a safe function there, with its SAFETY sentence, and call it"),
                );
            }
        }
        for crate_name in ["nix", "libc", "rustix"] {
            for number in source.code.uses(crate_name) {
                let line = source.text.lines().nth(number - 1).unwrap_or_default();
                if line.contains(&format!("{crate_name}::")) || line.contains("use ") {
                    findings.add(
                        &source.path,
                        number,
                        format!("{crate_name} outside of {WALL}; add a function there and call it"),
                    );
                }
            }
        }
    }
    findings.expect_none();
}

#[test]
fn every_use_of_unsafe_says_why_it_is_sound() {
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| source.is_below(&[WALL])) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code.lines() {
            let opens = has_word(line, "unsafe") && (line.contains('{') || line.contains("impl"));
            let above = lines[..number - 1].iter().rev();
            let mut comment = above.take_while(|line| {
                let line = line.trim();
                line.starts_with("//") || line.starts_with("let ") || line.ends_with(['=', '('])
            });
            if opens
                && !comment.any(|line| line.contains("SAFETY:"))
                && !lines[number - 1].contains("SAFETY:")
            {
                findings.add(
                    &source.path,
                    number,
                    "unsafe without a SAFETY sentence above it; say why it is sound",
                );
            }
        }
    }
    findings.expect_none();
}
