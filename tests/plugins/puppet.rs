//! The test's end of `programs/puppet.py`: a program that does what it is told and writes down what it hears.

use std::{
    cell::Cell,
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, children_of, eventually};

/// Where the programs of these tests are.
pub(crate) const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plugins/programs");

/// The configuration of a puppet, with more lines of its table.
pub(crate) fn table(name: &str, more: &str) -> String {
    format!(
        "[[process]]\nname = \"{name}\"\ncommand = \"python3\"\nargs = [\"{PROGRAMS}/puppet.py\"]\n{more}\n\n"
    )
}

/// The configuration of a puppet that is the application of all paths below `/p/`, with more lines of its table.
pub(crate) fn application(name: &str, more: &str) -> String {
    let route = format!("[[route]]\npath = \"/p/*\"\napp = \"plugin:{name}\"\n\n");
    route + &table(name, &format!("env = {{ PUPPET_APP = \"1\" }}\n{more}"))
}

/// The configuration of a shell command.
pub(crate) fn shell(name: &str, script: &str, more: &str) -> String {
    let args = json!(["-c", script]);
    format!("[[process]]\nname = \"{name}\"\ncommand = \"bash\"\nargs = {args}\n{more}\n\n")
}

/// One instance of a puppet of a server.
pub(crate) struct Puppet<'s> {
    server: &'s Server,
    /// What `status` and the log call it.
    pub(crate) name: String,
    stem: String,
    asked: Cell<u64>,
}

impl<'s> Puppet<'s> {
    /// The only puppet of this name, once it is ready.
    #[track_caller]
    pub(crate) fn of(server: &'s Server, name: &str) -> Self {
        Self::new(server, name.to_owned(), format!("{name}.0"))
    }

    /// One of several, once it is ready.
    #[track_caller]
    pub(crate) fn instance(server: &'s Server, name: &str, instance: u16) -> Self {
        Self::new(server, format!("{name}/{instance}"), format!("{name}.{instance}"))
    }

    #[track_caller]
    fn new(server: &'s Server, name: String, stem: String) -> Self {
        let puppet = Self { server, name, stem, asked: Cell::new(0) };
        puppet.wait_state("ready");
        puppet
    }

    /// Waits until `status` shows it in this state.
    #[track_caller]
    pub(crate) fn wait_state(&self, state: &str) -> Value {
        wait_process(self.server, &self.name, |process| process["state"] == state)
    }

    /// Waits until `status` shows it no more.
    #[track_caller]
    pub(crate) fn wait_gone(&self) {
        self.server.wait_until("the end of the process", PATIENCE, |status| {
            let processes = status["processes"].as_array().expect("a list");
            processes.iter().all(|process| process["name"] != self.name.as_str())
        });
    }

    /// Has it say no more that it is ready, from its next life on.
    pub(crate) fn be_mute(&self) {
        fs::write(self.file("mute"), "").expect("the directory is ours");
    }

    /// The pid of its host, which `status` shows.
    #[track_caller]
    pub(crate) fn host(&self) -> u32 {
        let process = self.wait_state("ready");
        process["pid"].as_u64().expect("a pid") as u32
    }

    /// The pid of the program.
    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        // A host that is about to be replaced may have lost it already.
        eventually("the program", PATIENCE, || children_of(self.host()).first().copied())
    }

    /// All lines that it has heard, of all its lives.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("events")).unwrap_or_default();
        // The last one may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// All events that it has heard.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        self.lines()
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Waits for an event that is as wanted.
    #[track_caller]
    pub(crate) fn expect(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(format!("{what} at {}", self.name), PATIENCE, || {
            self.events().into_iter().find(|event| wanted(event))
        })
    }

    /// Waits for the first event of this kind.
    #[track_caller]
    pub(crate) fn expect_event(&self, kind: &str) -> Value {
        self.expect(kind, |event| event["event"] == kind)
    }

    /// Tells it something. It is ready, so the FIFO is there.
    #[track_caller]
    pub(crate) fn order(&self, order: &str) {
        let file = self.file("orders");
        let mut fifo = eventually("the FIFO", PATIENCE, || {
            OpenOptions::new().read(true).write(true).open(&file).ok()
        });
        fifo.write_all(format!("{order}\n").as_bytes()).expect("somebody reads");
    }

    /// Has it give a command, and waits for the reply, without its `event` and `id`.
    #[track_caller]
    pub(crate) fn ask(&self, command: Value) -> Value {
        self.asked.set(self.asked.get() + 1);
        let id = format!("{}-{}", self.name, self.asked.get());
        let mut asking = command;
        asking["id"] = json!(id);
        self.order(&asking.to_string());
        let mut reply = self.expect(&format!("the reply to {asking}"), |event| {
            event["event"] == "reply" && event["id"] == id
        });
        let fields = reply.as_object_mut().expect("an object");
        fields.remove("event");
        fields.remove("id");
        reply
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.server.directory().join(format!("{}.{kind}", self.stem))
    }
}

/// Waits until `status` shows a process as wanted.
#[track_caller]
pub(crate) fn wait_process(server: &Server, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let found = |status: &Value| {
        let processes = status["processes"].as_array()?;
        processes.iter().find(|process| process["name"] == name && wanted(process)).cloned()
    };
    let what = format!("process {name} to be as wanted");
    let status = server.wait_until(&what, 2 * PATIENCE, |status| found(status).is_some());
    found(&status).expect("just seen")
}
