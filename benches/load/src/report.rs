//! What a run found, as lines for people or one JSON object for scripts.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};

/// Named figures, in the order they were added.
#[derive(Debug)]
pub(crate) struct Report {
    figures: Vec<(&'static str, Value)>,
}

impl Report {
    pub(crate) fn new(scenario: &'static str) -> Self {
        Self { figures: vec![("scenario", scenario.into())] }
    }

    pub(crate) fn count(mut self, name: &'static str, count: u64) -> Self {
        self.figures.push((name, count.into()));
        self
    }

    /// A figure with three decimals; one that is not finite is `null`.
    pub(crate) fn number(mut self, name: &'static str, number: f64) -> Self {
        self.figures.push((name, ((number * 1000.0).round() / 1000.0).into()));
        self
    }

    /// What the server used of its CPUs, and how much of `what` it did for a second of that.
    pub(crate) fn cost(
        self,
        what: (&'static str, u64),
        per_cpu_second: &'static str,
        elapsed: Duration,
        cpu: Duration,
    ) -> Self {
        let (name, count) = what;
        self.count(name, count)
            .number("seconds", elapsed.as_secs_f64())
            .number("per_second", (count as f64 / elapsed.as_secs_f64()).round())
            .number("server_cpu_seconds", cpu.as_secs_f64())
            .number("server_cpu_share", cpu.as_secs_f64() / elapsed.as_secs_f64())
            .number(per_cpu_second, (count as f64 / cpu.as_secs_f64()).round())
    }

    #[cfg(test)]
    pub(crate) fn figure(&self, name: &str) -> f64 {
        let found = self.figures.iter().find(|(other, _)| *other == name);
        found.and_then(|(_, value)| value.as_f64()).unwrap_or_else(|| panic!("no figure {name}"))
    }

    pub(crate) fn to_json(&self) -> String {
        let object: Map<_, _> =
            self.figures.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Value::Object(object).to_string()
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.figures {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<32} {value}");
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_names_in_both_forms() {
        let second = Duration::from_secs(1);
        let report = Report::new("echo").cost(("messages", 500), "per_cpu", 2 * second, second / 4);
        assert_eq!(
            report.to_json(),
            r#"{"messages":500,"per_cpu":2000.0,"per_second":250.0,"scenario":"echo","seconds":2.0,"server_cpu_seconds":0.25,"server_cpu_share":0.125}"#
        );
        assert!(report.to_text().starts_with("scenario                         echo\nmessages"));
        let idle = Report::new("echo").cost(("messages", 0), "per_cpu", second, Duration::ZERO);
        assert!(idle.to_json().contains(r#""per_cpu":null"#), "{}", idle.to_json());
    }
}
