//! How a server of the tests is started, and what ought not to start.

use std::{fs, path::Path, process::Command, time::Duration};

use super::{
    eventually::PATIENCE,
    process,
    program::{Output, program_through, run_to_end},
};

/// The names of the files in the directory of a server.
pub(super) const PID_FILE: &str = "wsmaster.pid";
pub(super) const CONFIG_FILE: &str = "wsmaster.toml";

const API_KEY_VARIABLE: &str = "WSMASTER_API_KEY";

/// What the workers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum App {
    Channels,
    Echo,
    Broadcast,
    /// The process of this name in the configuration.
    Plugin(&'static str),
}

impl App {
    fn name(self) -> String {
        match self {
            Self::Channels => "channels".to_owned(),
            Self::Echo => "echo".to_owned(),
            Self::Broadcast => "broadcast".to_owned(),
            Self::Plugin(name) => format!("plugin:{name}"),
        }
    }
}

/// How to start a server. By default: one worker, channels, no file of configuration.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    workers: usize,
    app: Option<App>,
    config: Option<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    listen: String,
    launcher: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 1,
            app: None,
            config: None,
            args: Vec::new(),
            env: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            launcher: Vec::new(),
        }
    }
}

impl Setup {
    /// The number of workers.
    pub(crate) fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The application; without a call of this, what the configuration says of it.
    pub(crate) fn app(mut self, app: App) -> Self {
        self.app = Some(app);
        self
    }

    /// The file of configuration. Every other setting made here wins over it.
    pub(crate) fn config_toml(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// One more argument. Relative paths count from the server's own directory.
    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more variable. Those of the tests' own environment that begin with `WSMASTER_` are not passed on.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The key of the HTTP interface, instead of one that the server makes up.
    pub(crate) fn api_key(self, key: &str) -> Self {
        self.env(API_KEY_VARIABLE, key)
    }

    /// The address to listen on; port 0 lets the kernel choose.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// The program that executes the server, with its arguments: it is given the server's behind them, and becomes it.
    pub(crate) fn through(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Starts what ought not to start, and waits for its end.
    #[track_caller]
    pub(crate) fn start_refused(self) -> Output {
        self.start_refused_within(PATIENCE)
    }

    /// As [`Self::start_refused`], with this much time for it.
    #[track_caller]
    pub(crate) fn start_refused_within(self, patience: Duration) -> Output {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let mut command = self.command(directory.path());
        let output = run_to_end(&mut command, patience);
        let left = process::working_below(directory.path());
        assert!(left.is_empty(), "processes {left:?} are left of a start that failed\n{output}");
        output
    }

    /// The key of the HTTP interface that the server is told.
    pub(super) fn told_api_key(&self) -> Option<&str> {
        let told = self.env.iter().rfind(|(name, _)| name == API_KEY_VARIABLE);
        told.map(|(_, key)| key.as_str())
    }

    /// The command that starts it with this directory of its own.
    pub(super) fn command(&self, directory: &Path) -> Command {
        let mut command = program_through(directory, &self.launcher);
        command.args(["start", "-w", &self.workers.to_string()]);
        if let Some(app) = self.app {
            command.args(["--app", &app.name()]);
        }
        command.args(["--listen", &self.listen, "--pid-file"]).arg(directory.join(PID_FILE));
        if let Some(config) = &self.config {
            let file = directory.join(CONFIG_FILE);
            fs::write(&file, config).expect("the directory is ours");
            command.arg("-c").arg(file);
        }
        command.args(&self.args).envs(self.env.iter().cloned());
        command
    }
}
