//! `wsmaster doctor`: looks at the machine and the configuration, and says what to change.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
};

use serde_json::json;
use wsmaster_ipc::sys::resource;

use super::{given::environment, load::read_config, out::print};
use crate::{
    cli::Exit,
    cli::doctor::{self, Finding, Level},
    config::{Config, Machine, Overrides},
};

pub(super) fn doctor(flags: &Overrides, json: bool) -> Exit {
    let (config, errors) = match read_config(flags) {
        Ok(config) => (config, Vec::new()),
        Err(errors) => {
            let uid = resource::effective_uid();
            let machine = Machine::new(&environment(), uid, resource::cpus_available());
            (Config::defaults(&machine), errors.iter().map(ToString::to_string).collect())
        }
    };
    let findings = doctor::examine(&doctor::read(&config, errors), &config);
    let is_well = findings.iter().all(|finding| finding.level != Level::Problem);
    let printed = if json {
        let answer = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ok": is_well,
            "findings": findings,
        });
        print(&format!("{answer}\n"))
    } else {
        let is_coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print(&page(&findings, is_coloured))
    };
    match printed {
        Exit::Done if !is_well => Exit::Failed,
        done => done,
    }
}

/// The findings for a person: what needs something done stands last, where the eye is.
fn page(findings: &[Finding], is_coloured: bool) -> String {
    let mut text = String::new();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for level in [Level::Ok, Level::Warning, Level::Problem] {
        for finding in findings.iter().filter(|finding| finding.level == level) {
            let (word, colour) = match level {
                Level::Ok => ("ok", "32"),
                Level::Warning => ("warning", "33"),
                Level::Problem => ("problem", "31"),
            };
            let word = format!("{word:<7}");
            let word = if is_coloured { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word };
            let Finding { check, found, meaning, remedy, .. } = finding;
            // The words of a file may be anybody's.
            let found = crate::logging::escape(found);
            let meaning = crate::logging::escape(meaning);
            match remedy {
                None => {
                    let _ = writeln!(text, "{word}  {check:<width$}  {found}: {meaning}");
                }
                Some(remedy) => {
                    let indent = " ".repeat("problem".len() + 2 + width + 2);
                    let remedy = crate::logging::escape(remedy);
                    let _ = writeln!(text, "{word}  {check:<width$}  {found}");
                    let _ = writeln!(text, "{indent}{meaning}");
                    let _ = writeln!(text, "{indent}-> {remedy}");
                }
            }
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (ok, warnings, problems) = (count(Level::Ok), count(Level::Warning), count(Level::Problem));
    let _ = writeln!(text, "\n{ok} ok, warnings: {warnings}, problems: {problems}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &'static str, level: Level, remedy: Option<&str>) -> Finding {
        let (found, meaning) = ("found\u{1b}[2J".to_owned(), "meaning".to_owned());
        Finding { check, level, found, meaning, remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn the_page_is_aligned_and_ends_with_what_matters() {
        let findings = [
            finding("b", Level::Problem, Some("do it")),
            finding("a long one", Level::Ok, None),
            finding("c", Level::Warning, Some("or not")),
        ];
        let expected = "\
ok       a long one  found\\u{1b}[2J: meaning
warning  c           found\\u{1b}[2J
                     meaning
                     -> or not
problem  b           found\\u{1b}[2J
                     meaning
                     -> do it

1 ok, warnings: 1, problems: 1
";
        assert_eq!(page(&findings, false), expected);
        assert_eq!(page(&findings, true).matches("\u{1b}[3").count(), 3);
    }
}
