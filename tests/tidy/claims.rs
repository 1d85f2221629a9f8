//! What the page on security claims is shown by tests that exist.

use crate::{
    Findings,
    tree::{files, sources},
};

const PAGE: &str = "docs/security.md";

/// How the column of tests is called, which is the last one of its tables.
const COLUMN: &str = "shown by";

#[test]
fn every_claim_is_shown_by_a_test_that_is_there() {
    let mut findings = Findings::default();
    let files = files();
    let page = files.iter().find(|file| file.path == PAGE).expect("the page is there");
    let is_test = |name: &str| {
        let head = format!("fn {name}(");
        sources().iter().any(|source| {
            let above = source.text.split_once(&head).map(|(above, _)| above);
            above.is_some_and(|above| above.trim_end().ends_with("#[test]"))
        })
    };
    let mut claims = 0;
    for (number, line) in page.text().lines().enumerate() {
        let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else {
            continue;
        };
        let shown = row.rsplit(" | ").next().unwrap_or_default();
        if shown == COLUMN {
            continue;
        }
        claims += 1;
        let tests: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            findings.add(PAGE, number + 1, "a claim without a test; name one, or leave it out");
        }
        for test in tests.into_iter().filter(|test| !is_test(test)) {
            findings.add(
                PAGE,
                number + 1,
                format!("{test} is no test; name the one that shows this"),
            );
        }
    }
    assert!(claims > 20, "only {claims} claims were found: is the page made of other tables now?");
    findings.expect_none();
}
