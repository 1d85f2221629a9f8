//! Which crates a program compiles that embeds the library.

use std::{collections::BTreeSet, process::Command};

use crate::tree::root;

/// Crates below the library without the command line, those of the workspace among them.
const EMBEDDED_CRATES_MAX: usize = 82;

/// Crates that only the command line needs.
const OF_THE_COMMAND_LINE: [&str; 5] =
    ["clap", "crossterm", "ratatui", "rcgen", "rustls-native-certs"];

#[test]
fn the_library_needs_no_crate_of_the_command_line() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--package", "wsmaster", "--no-default-features"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("names of crates are UTF-8");
    // A crate that was shown before is marked with `(*)`.
    let crates: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let listed: Vec<&str> = crates.iter().copied().collect();
    for name in OF_THE_COMMAND_LINE {
        let is_there = listed.iter().any(|line| line.split(' ').next() == Some(name));
        assert!(
            !is_there,
            "{name} is compiled without the feature `cli`; make it optional in Cargo.toml"
        );
    }
    assert!(
        listed.len() <= EMBEDDED_CRATES_MAX,
        "{} crates, more than {EMBEDDED_CRATES_MAX}; does an embedder need each of them?\n{}",
        listed.len(),
        listed.join("\n")
    );
}
