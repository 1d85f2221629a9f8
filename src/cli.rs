//! The command line: what was asked for, as plain data.
//!
//! Owns the arguments, the help texts and what is generated from them (completions, manual page).
//! It runs nothing and reads no file: what a command does is decided where it is run.

mod amounts;
mod arguments;
mod certificate_check;
mod client;
mod command;
pub mod commands;
mod control_client;
mod doctor;
mod inspect_args;
mod listen;
mod manpage;

pub use arguments::parse;
pub use clap_complete::Shell;
pub use client::ClientOptions;
pub use command::{CertCommand, Command, ConfigCommand, Exit, Reload, Target};
pub use inspect_args::{Listing, SortBy};
pub use manpage::{completions, man};

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::config::{App, Config, LogLevel, Machine, Overrides};

    #[track_caller]
    fn parsed(line: &str) -> Command {
        match parse(format!("wsmaster {line}").split_whitespace()) {
            Ok(command) => command,
            Err(error) => panic!("{line}: {error}"),
        }
    }

    #[track_caller]
    fn refused(line: &str) -> clap::Error {
        parse(format!("wsmaster {line}").split_whitespace()).expect_err(line)
    }

    fn config(flags: &Overrides) -> Config {
        let machine = Machine { uid: 1000, cpus: 6, runtime_dir: None };
        Config::from_layers(None, &[], flags, &machine).expect("the flags were checked")
    }

    #[test]
    fn listen_again_adds_a_listener() {
        let line = "start --listen unix:/run/a.sock --listen :9601 --listen unix:/run/b.sock";
        let Command::Start { flags } = parsed(line) else { panic!("{line}") };
        let listeners = config(&flags).all_listeners();
        let found: Vec<_> = listeners
            .iter()
            .map(|listener| (listener.name.as_str(), listener.address.to_string()))
            .collect();
        let expected = [
            ("main", "unix:/run/a.sock".to_owned()),
            ("listen-2", "0.0.0.0:9601".to_owned()),
            ("listen-3", "unix:/run/b.sock".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_flag_of_start_reaches_its_setting() {
        let line = "start -w 3 -c x.toml --listen [::1]:9600 --app echo -d --pid-file p.pid \
                    --log-file l.log --log-level 5 --user u --group g";
        let Command::Start { flags } = parsed(line) else { panic!("{line}") };
        assert_eq!(flags.config, Some(PathBuf::from("x.toml")));
        let server = config(&flags).server;
        assert!(config(&flags).listeners.is_empty());
        assert_eq!((server.workers, server.host.as_str(), server.port), (3, "::1", 9600));
        assert_eq!((server.app, server.daemonize), (App::Echo, true));
        assert_eq!(server.pid_file, PathBuf::from("p.pid"));
        assert_eq!(server.log_file, Some(PathBuf::from("l.log")));
        assert_eq!(server.log_level, LogLevel::Error);
        assert_eq!((server.user.as_deref(), server.group.as_deref()), (Some("u"), Some("g")));

        let Command::Start { flags } = parsed("start") else { panic!("start") };
        assert_eq!(flags, Overrides::default());
    }

    #[test]
    fn the_commands() {
        let target = Target { config: Some("x".into()), pid_file: Some("p".to_owned()) };
        let flags = Overrides::of_file(Some("x".into()));
        let timeout = Some(Duration::from_millis(500));
        let here = Target::default();
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        for (line, command) in [
            ("stop -c x --pid-file p", Command::Stop { target: target.clone(), timeout: None }),
            ("stop --timeout 500ms", Command::Stop { target: here.clone(), timeout }),
            ("restart -c x --timeout 500ms", Command::Restart { flags: flags.clone(), timeout }),
            (
                "reload --pid-file p --config x",
                Command::Reload { target: target.clone(), what: Reload::Everything },
            ),
            (
                "reload --certificates -c x --pid-file p",
                Command::Reload { target, what: Reload::Certificates },
            ),
            (
                "reload --processes",
                Command::Reload { target: here.clone(), what: Reload::Processes(None) },
            ),
            (
                "reload --processes chat/1",
                Command::Reload {
                    target: here.clone(),
                    what: Reload::Processes(Some("chat/1".to_owned())),
                },
            ),
            ("status", Command::Status { target: here.clone(), json: false, watch: None }),
            ("status --json", Command::Status { target: here.clone(), json: true, watch: None }),
            (
                "status --watch",
                Command::Status { target: here.clone(), json: false, watch: seconds(2.0) },
            ),
            (
                "status --watch=0.5",
                Command::Status { target: here.clone(), json: false, watch: seconds(0.5) },
            ),
            (
                "connections --channel c --user u --worker 3 --limit 0 --sort queued --json",
                Command::Connections {
                    target: here.clone(),
                    listing: Listing {
                        channel: Some("c".to_owned()),
                        user: Some("u".to_owned()),
                        worker: Some(3),
                        limit: 0,
                        sort: Some(SortBy::Queued),
                        json: true,
                    },
                },
            ),
            (
                "connections",
                Command::Connections {
                    target: here.clone(),
                    listing: Listing { limit: 100, ..Listing::default() },
                },
            ),
            (
                "top --interval 5",
                Command::Top { target: here.clone(), interval: Duration::from_secs(5) },
            ),
            ("doctor", Command::Doctor { flags: Overrides::default(), json: false }),
            ("doctor -c x --json", Command::Doctor { flags: flags.clone(), json: true }),
            ("logs reopen", Command::ReopenLogs { target: Target::default() }),
            ("config check -c x", Command::Config(ConfigCommand::Check { flags: flags.clone() })),
            ("config show -c x", Command::Config(ConfigCommand::Show { flags })),
            ("config default", Command::Config(ConfigCommand::Default)),
            (
                "cert self-signed --name a.example --name ::1 --out dir",
                Command::Cert(CertCommand::SelfSigned {
                    names: vec!["a.example".to_owned(), "::1".to_owned()],
                    directory: "dir".into(),
                }),
            ),
            ("completions zsh", Command::Completions { shell: Shell::Zsh }),
            ("man", Command::Man),
        ] {
            assert_eq!(parsed(line), command, "{line}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused_with_the_range_of_the_setting() {
        for (line, part) in [
            ("start -w 0", "expected \"auto\" or an integer from 1 to 1000, found \"0\""),
            ("start --workers many", "found \"many\""),
            ("start --listen 9501", "expected HOST:PORT"),
            ("start --listen :99999", "expected a port from 0 to 65535"),
            ("start --app ecko", "did you mean \"echo\"?"),
            ("start --log-level loud", "expected \"error\", \"warn\""),
            ("start --user a:b", "expected the name of a user"),
            ("start --pid-file /run/", "expected the path of a file"),
            ("stop --timeout 10x", "expected a duration from 100ms to 1h"),
            ("stop --timeout 0", "expected a duration from 100ms to 1h"),
            ("status --watch=0", "expected seconds from 0.1 to 3600"),
            ("top --interval soon", "expected seconds from 0.1 to 3600"),
            ("connections --channel=", "expected a name"),
            ("connections --sort pid", "[possible values: age, idle, queued, in, out, channels]"),
            ("client", "<URL>"),
            ("client ws://h -H a", "expected 'NAME: VALUE'"),
            ("client ws://h -H Upgrade:x", "Upgrade is a header of the handshake itself"),
            ("client ws://h --subprotocol a/b", "expected letters, digits"),
            ("client ws://h --exit-after 0", "0 is not in 1.."),
            ("client ws://h --once --exit-after 2", "cannot be used with"),
            ("strat", "start"),
            ("start --wrokers 4", "--workers"),
            ("config", "Usage: wsmaster config"),
            ("", "Usage: wsmaster"),
        ] {
            let error = refused(line);
            assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn help_and_version_are_no_errors() {
        for (line, part) in [
            ("--help", "Exit codes:"),
            ("start --help", "Examples:"),
            ("--version", concat!("wsmaster ", env!("CARGO_PKG_VERSION"))),
        ] {
            let answer = refused(line);
            assert_eq!(answer.exit_code(), 0, "{line}");
            assert!(answer.to_string().contains(part), "{line}: {answer}");
        }
    }

    #[test]
    fn the_pid_file_flag_needs_no_configuration() {
        let missing = Some(PathBuf::from("/nonexistent/wsmaster.toml"));
        let target = Target { config: missing.clone(), pid_file: Some("p.pid".to_owned()) };
        assert_eq!(target.pid_file(&[], 1000, 1), Ok(PathBuf::from("p.pid")));
        let target = Target { config: missing, pid_file: None };
        assert!(target.pid_file(&[], 1000, 1).is_err());
        let here = Target::default().pid_file(&[], 1000, 1);
        assert_eq!(here, Ok(PathBuf::from("/tmp/wsmaster-1000/wsmaster.pid")));
    }

    #[test]
    fn the_pages_know_every_command() {
        let page = man();
        for title in [
            "WSMASTER START",
            "WSMASTER STOP",
            "WSMASTER CONNECTIONS",
            "WSMASTER TOP",
            "WSMASTER CLIENT",
            "WSMASTER LOGS REOPEN",
            "WSMASTER DOCTOR",
            "WSMASTER CONFIG SHOW",
            "EXIT CODES",
        ] {
            assert!(page.contains(title), "{title} is not in the manual page");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            for word in
                ["reload", "connections", "top", "client", "no-close-on-eof", "reopen", "doctor"]
            {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
