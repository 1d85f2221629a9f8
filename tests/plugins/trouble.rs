//! Programs in every kind of trouble, as listeners and as applications: the clients of others notice nothing, and `status`
//! says what it is.

use std::time::Duration;

use serde_json::Value;

use crate::{
    puppet::{Puppet, application, shell, table, wait_process},
    support::{App, Client, PATIENCE, Server, Setup, Signal, Swarm, eventually, signal},
};

const CLIENTS: usize = 50;
/// Echoes of each client in one round.
const ECHOES: usize = 20;

/// A server with two puppets: `l` hears all of what the echo clients say, `a` is the application of `/p/`; and the clients.
struct Stage {
    server: Server,
    swarm: Swarm,
}

impl Stage {
    #[track_caller]
    fn set(more: &str) -> Self {
        let queue = "queue_bytes_max = \"64KiB\"";
        let config = table("l", &format!("events = [\"message\"]\n{queue}\n{more}"))
            + &application("a", &format!("answer_timeout = \"2m\"\n{queue}\n{more}"));
        let setup = Setup::default().workers(2).app(App::Echo).config_toml(&config);
        let server = Server::start(setup);
        let swarm = Swarm::open(server.addr(), CLIENTS);
        let mut stage = Self { server, swarm };
        stage.puppets();
        stage.echo();
        stage
    }

    /// Both, once they are ready.
    #[track_caller]
    fn puppets(&self) -> [Puppet<'_>; 2] {
        ["l", "a"].map(|name| Puppet::of(&self.server, name))
    }

    /// Every client gets all of its echoes, in order, in bounded time.
    #[track_caller]
    fn echo(&mut self) {
        let long = "x".repeat(1_000);
        for number in 0..ECHOES {
            self.swarm.send_all(|member| format!("{member} {number} {long}"));
        }
        self.swarm.expect_each(ECHOES, PATIENCE);
        for member in 0..CLIENTS {
            for (number, text) in self.swarm.take_texts(member).iter().enumerate() {
                assert!(text.starts_with(&format!("{member} {number} ")), "{}", &text[..20]);
            }
        }
        self.swarm.clear_texts();
        assert_eq!(self.swarm.open_count(), CLIENTS, "{:?}", self.swarm.ends().next());
    }

    /// Echoes while `is_over` is not, and once more after it.
    #[track_caller]
    fn echo_until(&mut self, what: &str, mut is_over: impl FnMut(&Server) -> bool) {
        eventually(what, 3 * PATIENCE, || {
            self.echo();
            is_over(&self.server).then_some(())
        });
        self.echo();
    }

    /// The workers are those that there were, and were never replaced.
    #[track_caller]
    fn expect_workers_unharmed(&self) {
        for worker in self.server.status()["workers"].as_array().expect("workers") {
            assert_eq!((&worker["restarts"], &worker["handler_panics"]), (&0.into(), &0.into()));
        }
    }
}

fn process(server: &Server, name: &str) -> Value {
    wait_process(server, name, |_| true)
}

#[test]
fn killed_again_and_again() {
    let mut stage = Stage::set("");
    for name in ["l", "a"] {
        // Its restarts come later and later.
        stage.echo_until("a pause between its lives", |server| {
            let process = process(server, name);
            if process["state"] == "ready" {
                signal(process["pid"].as_u64().expect("a pid") as u32, Signal::Kill);
            }
            process["retry_in_ms"].as_u64() > Some(300)
        });
        let process = process(&stage.server, name);
        assert!(process["restarts"].as_u64() >= Some(2), "{process}");
        assert_eq!(process["last_exit"], "signal 9 (SIGKILL)", "{process}");
        let table = stage.server.cli(&["status"]).expect_code(0).stdout;
        assert!(table.lines().any(|line| line.starts_with(name)), "{table}");
    }
    for name in ["l", "a"] {
        wait_process(&stage.server, name, |process| process["state"] == "ready");
    }
    stage.echo();
    let mut own = Client::open(stage.server.addr(), "/p/");
    own.send_text("well again");
    own.expect_text("0 well again");
    stage.expect_workers_unharmed();
}

#[test]
fn hanging() {
    let mut stage = Stage::set("watchdog = \"2s\"");
    let mut own = Client::open(stage.server.addr(), "/p/");
    own.send_text("before");
    own.expect_text("0 before");
    let pids = stage.puppets().each_ref().map(Puppet::pid);
    for pid in pids {
        assert!(signal(pid, Signal::Stop));
    }
    // In its pipe, unread: it is lost with the program.
    own.send_text("during");
    stage.echo_until("both to be started again", |server| {
        ["l", "a"].iter().all(|name| {
            let process = process(server, name);
            process["restarts"] == 1 && process["state"] == "ready"
        })
    });
    for name in ["l", "a"] {
        let line = format!(
            "ERROR {name}: watchdog timeout: no event read for 2s; killing the side process"
        );
        stage.server.wait_log(&line);
        assert_eq!(process(&stage.server, name)["last_exit"], "exit code 137");
    }
    own.send_text("after");
    own.expect_text("0 after");
    stage.expect_workers_unharmed();
    // Who has nothing to take does not hang.
    let quiet = Server::start(Setup::default().config_toml(&table("p", "watchdog = \"1s\"")));
    let puppet = Puppet::of(&quiet, "p");
    let pid = puppet.pid();
    let begun = std::time::Instant::now();
    eventually("twice its time", PATIENCE, || {
        (begun.elapsed() > Duration::from_secs(2)).then_some(())
    });
    // Nor who gets something after a pause.
    for _ in 0..20 {
        puppet.ask(serde_json::json!({"do": "exists", "connection": 1}));
    }
    assert_eq!(puppet.pid(), pid);
}

#[test]
fn never_reading() {
    let mut stage = Stage::set("");
    let mut own = Client::open(stage.server.addr(), "/p/");
    for puppet in stage.puppets() {
        puppet.order("#deaf");
    }
    let long = "x".repeat(10_000);
    for _ in 0..40 {
        own.send_text(&long);
    }
    stage.echo_until("what it does not read to be seen", |server| {
        let (listener, app) = (process(server, "l"), process(server, "a"));
        listener["dropped_events"].as_u64() > Some(100)
            && listener["queued_bytes"].as_u64() > Some(32 << 10)
            && app["full"] == true
    });
    let (listener, app) = (process(&stage.server, "l"), process(&stage.server, "a"));
    assert_eq!((&listener["state"], &app["state"]), (&"ready".into(), &"ready".into()));
    for process in [&listener, &app] {
        assert!(process["queued_bytes"].as_u64() < Some(256 << 10), "{process}");
    }
    // Its own clients are told instead of left waiting.
    let answer = Client::try_open(stage.server.addr(), "/p/", &[]);
    assert!(matches!(answer, Err(tungstenite::Error::Http(answer)) if answer.status() == 503));
    stage.expect_workers_unharmed();
}

#[test]
fn writing_garbage() {
    let mut stage = Stage::set("");
    for puppet in stage.puppets() {
        for _ in 0..120 {
            puppet.order("\u{1}{\"do\":7,[");
        }
    }
    stage.echo_until("both to be started again", |server| {
        ["l", "a"].iter().all(|name| process(server, name)["restarts"].as_u64() >= Some(1))
    });
    for name in ["l", "a"] {
        stage.server.wait_log(&format!(
            "ERROR {name}: 100 invalid commands in a row; killing the side process"
        ));
        let process = wait_process(&stage.server, name, |process| process["state"] == "ready");
        assert!(process["invalid_commands"].as_u64() >= Some(100), "{process}");
    }
    stage.expect_workers_unharmed();
}

#[test]
fn flooding_what_it_prints_and_what_it_commands() {
    let mut stage = Stage::set("");
    let mut own = Client::open(stage.server.addr(), "/p/");
    for puppet in stage.puppets() {
        puppet.order("#flood 30000000");
        puppet.order("#long 10000000");
        puppet.order("");
    }
    stage.echo_until("both to have something said again", |_| true);
    own.send_text("between");
    own.expect_text("0 between");
    stage.server.wait_log("output lines not logged: more than 250 a second");
    for name in ["l", "a"] {
        wait_process(&stage.server, name, |process| {
            process["invalid_commands"] == 1 && process["restarts"] == 0
        });
    }
    stage.expect_workers_unharmed();
}

#[test]
fn forking_and_exiting() {
    let mut stage = Stage::set("");
    for puppet in stage.puppets() {
        puppet.order("#start exec setsid sleep 1000");
        puppet.order("#exit 0");
    }
    stage.echo_until("both to be started again", |server| {
        ["l", "a"].iter().all(|name| {
            let process = process(server, name);
            process["restarts"] == 1 && process["state"] == "ready"
        })
    });
    for name in ["l", "a"] {
        assert_eq!(process(&stage.server, name)["last_exit"], "exit code 0");
        stage
            .server
            .wait_log(&format!("WARN  {name}: killed 1 processes left behind by the side process"));
    }
    stage.expect_workers_unharmed();
}

#[test]
fn forking_and_exiting_at_once_for_ever() {
    let script = "[ -e brief ] || { read -r _ <&3; printf '{\"do\":\"ready\",\"protocol\":1}\\n' >&4; read -r _ <&3; }; \
                  sleep 1000 & sleep 1000 & exit 0";
    let config = shell("brief", script, "events = [\"message\"]")
        + "[[route]]\npath = \"/p/*\"\napp = \"plugin:brief\"\n";
    let setup = Setup::default().workers(2).app(App::Echo).config_toml(&config);
    let server = Server::start(setup);
    std::fs::write(server.directory().join("brief"), "").expect("the directory is ours");
    server.signal(Signal::Usr2);
    let swarm = Swarm::open(server.addr(), CLIENTS);
    let mut stage = Stage { server, swarm };
    stage.echo_until("its delays to grow", |server| {
        process(server, "brief")["retry_in_ms"].as_u64() > Some(300)
    });
    // Between two lives nobody is let in.
    eventually("a refusal", 3 * PATIENCE, || {
        match Client::try_open(stage.server.addr(), "/p/", &[]) {
            Err(tungstenite::Error::Http(answer)) => (answer.status() == 503).then_some(()),
            Err(_) | Ok(_) => None,
        }
    });
    assert!(process(&stage.server, "brief")["restarts"].as_u64() < Some(20));
    stage.expect_workers_unharmed();
}
