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
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Refused => "refused",
        }
    }

    /// What the scripts call it.
    fn script_word(self) -> &'static str {
        match self {
            Self::Echo | Self::Compressed => "echo",
            Self::Silent => "silent",
            Self::Stop | Self::Kill => "end",
            Self::Refused => "refused",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Echo | Self::Stop | Self::Kill => "",
            Self::Compressed => "[compression]\nenabled = true\nmessage_bytes_min = 0\n",
            Self::Silent => "[limits]\nping_interval = \"1s\"\npong_timeout = \"1s\"\n",
            Self::Refused => "[limits]\nconnections_per_address_max = 1\n",
        }
    }

    /// The command that ends the connections.
    fn action(self, server: &Server) -> String {
        match self {
            Self::Stop => {
                let program = env!("CARGO_BIN_EXE_wsmaster");
                format!("{program} stop --pid-file {}", server.pid_file().display())
            }
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
    let expected: BTreeMap<&String, &Value> =
        table.iter().map(|(library, row)| (library, &row[column])).collect();
    let found: BTreeMap<&String, &Value> = found.iter().collect();
    assert_eq!(found, expected, "column {column} of {}", file.display());
}
