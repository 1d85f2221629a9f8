//! Every input that was ever interesting, again: what the fuzzer found to reach new code, and what once broke something.

use std::{fs, path::Path};

use wsmaster_fuzz::TARGETS;

#[test]
fn every_input_of_the_corpus_is_still_handled() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("there is no corpus for {name}: {error}"))
            .map(|entry| entry.expect("an entry of a folder").path())
            .collect();
        inputs.sort();
        assert!(inputs.len() >= 10, "the corpus of {name} has only {} inputs", inputs.len());
        for path in inputs {
            let input = fs::read(&path).expect("a file of the corpus");
            let broke = std::panic::catch_unwind(|| target(&input)).is_err();
            assert!(!broke, "{name} breaks on {}", path.display());
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpus).expect("the corpus") {
        let name = entry.expect("an entry of a folder").file_name();
        let known = TARGETS.iter().any(|(target, _)| Some(*target) == name.to_str());
        assert!(known, "{name:?} is nobody's corpus");
    }
}

#[test]
fn the_table_names_every_target() {
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let table = table.expect("a README");
    for (name, _) in TARGETS {
        let named =
            table.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
        assert!(named, "{name} has no line in fuzz/README.md");
    }
}
