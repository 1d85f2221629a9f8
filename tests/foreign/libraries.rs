//! Compares what the libraries of a language see of the server with the table of that language, libraries.json beside its
//! script. When a new version of a library behaves differently, the table tells which and how.

use std::{collections::BTreeMap, ffi::OsStr, fs};

use serde_json::Value;

use crate::{
    driver::{Tool, drive, root},
    support::{App, Server, Setup},
};

/// What is done with all libraries of a language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scenario {
    /// Messages of every kind come back.
    Echo,
    /// The same, compressed where the library asks for it.
    Compressed,
    /// The application does not read while the server pings.
    Silent,
    /// The server says goodbye.
    Stop,
    /// The workers are replaced, and their clients asked to come back.
    Reload,
    /// The worker is killed.
    Kill,
    /// The server is full.
    Refused,
}

impl Scenario {
    /// Its column in the tables.
    fn column(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Compressed => "compressed",
            Self::Silent => "silent",
            // What a library sees is what it sees at a stop, with another reason.
            Self::Stop | Self::Reload => "stop",
            Self::Kill => "kill",
            Self::Refused => "refused",
        }
    }

    /// What the scripts call it.
    fn script_word(self) -> &'static str {
        match self {
            Self::Echo | Self::Compressed => "echo",
            Self::Silent => "silent",
            Self::Stop | Self::Reload | Self::Kill => "end",
            Self::Refused => "refused",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Echo | Self::Stop | Self::Reload | Self::Kill => "",
            Self::Compressed => "[compression]\nenabled = true\nmessage_bytes_min = 0\n",
            Self::Silent => "[limits]\nping_interval = \"1s\"\npong_timeout = \"1s\"\n",
            Self::Refused => "[limits]\nconnections_per_address_max = 1\n",
        }
    }

    /// What is to be found where this stands in the table.
    fn expected(self, mut row: Value) -> Value {
        if self == Self::Reload && row[1] == "the server stops" {
            row[1] = "restarting".into();
        }
        row
    }

    /// Leaves out what chance has chosen: when to come back.
    fn simplify(self, found: &mut Value) {
        if self == Self::Reload
            && let Some((reason, _)) =
                found[1].as_str().and_then(|it| it.split_once("; retry_after_ms="))
        {
            found[1] = reason.to_owned().into();
        }
    }

    /// The command that ends the connections.
    fn action(self, server: &Server) -> String {
        let command = |name: &str| {
            let program = env!("CARGO_BIN_EXE_wsmaster");
            format!("{program} {name} --pid-file {}", server.pid_file().display())
        };
        match self {
            Self::Stop => command("stop"),
            Self::Reload => command("reload"),
            Self::Kill => format!("kill -9 {}", server.worker_pid(0)),
            Self::Echo | Self::Compressed | Self::Silent | Self::Refused => "true".to_owned(),
        }
    }
}

/// Runs `language`/libraries.* and compares what it prints with the table.
#[track_caller]
pub(crate) fn compare(tool: Tool, scenario: Scenario) {
    let Some(script) = tool.libraries() else { panic!("{tool:?} has no libraries") };
    if tool.find().is_none() {
        return;
    }
    let (language, _) = script.split_once('/').expect("a directory and a file");
    let file = root().join("tests/foreign").join(language).join("libraries.json");
    let text = fs::read_to_string(&file).expect("there is a table");
    let table: BTreeMap<String, Value> = serde_json::from_str(&text).expect("it is JSON");
    let mut found = BTreeMap::new();
    // Most scripts run one library at a time; those of Python and Node.js run all of them at once.
    let runs: Vec<&str> = match tool {
        Tool::Python | Tool::Node => vec![""],
        Tool::Perl | Tool::Ruby | Tool::Tcl => table.keys().map(String::as_str).collect(),
        Tool::Chromium | Tool::Curl => Vec::new(),
    };
    for library in runs {
        let server = Server::start(Setup::default().app(App::Echo).config_toml(scenario.config()));
        let action = scenario.action(&server);
        let env: [(&str, &OsStr); 2] =
            [("TEST_ACTION", action.as_ref()), ("TEST_LIBRARY", library.as_ref())];
        let said = drive(tool, script, scenario.script_word(), &server, &env);
        let line = said.lines().find_map(|line| line.strip_prefix("found "));
        let line = line.unwrap_or_else(|| panic!("nothing was found in {said:?}"));
        found.extend(serde_json::from_str::<BTreeMap<String, Value>>(line).expect("it is JSON"));
        if scenario == Scenario::Stop {
            // Otherwise the end of the test comes before its end.
            server.wait_exit();
        }
    }
    let column = scenario.column();
    let expected: BTreeMap<String, Value> = table
        .into_iter()
        .map(|(library, mut row)| (library, scenario.expected(row[column].take())))
        .collect();
    for value in found.values_mut() {
        scenario.simplify(value);
    }
    assert_eq!(found, expected, "column {column} of {}", file.display());
}
