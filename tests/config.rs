//! The configuration from outside: what an operator writes, and what an operator is told.
//!
//! The refused files stand in `config_cases/refused.txt`, each with the exact lines it is answered
//! with. `UPDATE_DOCS=1` rewrites those answers and `docs/configuration.md`; read the difference
//! before it is kept.

#[path = "config_cases/listeners.rs"]
mod listeners;
#[path = "config_cases/processes.rs"]
mod processes;
#[path = "config_cases/routes.rs"]
mod routes;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wsmaster::config::{
    App, ClientAuth, Config, CpuAffinity, DescriptorLimit, FileMask, LogLevel, Machine, Overrides,
    Secret, SlowClient, Takeover, TlsVersion, default_toml, reference_markdown,
};

const NAME: &str = "wsmaster.toml";

fn machine() -> Machine {
    Machine { uid: 1000, cpus: 6, runtime_dir: None }
}

#[track_caller]
fn accepted(text: &str) -> Config {
    match Config::from_toml(text, NAME, &machine()) {
        Ok(config) => config,
        Err(errors) => panic!("refused:\n{text}\n{errors}"),
    }
}

#[track_caller]
fn refused(text: &str) -> String {
    match Config::from_toml(text, NAME, &machine()) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a file of the repository with what it should be, or rewrites it.
#[track_caller]
fn assert_file(path: &str, expected: &str) {
    let file = repository(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, expected).expect("the repository is writable");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{path}:{}, see UPDATE_DOCS", number + 1);
    }
    assert_eq!(found.len(), expected.len(), "{path} has another length, see UPDATE_DOCS");
}

#[test]
fn refused_files_are_answered_with_exactly_these_lines() {
    let path = "tests/config_cases/refused.txt";
    let cases = fs::read_to_string(repository(path)).expect("the cases are there");
    let mut answered = String::new();
    let mut count = 0;
    for case in cases.split("--- ").skip(1) {
        let (title, rest) = case.split_once('\n').expect("a title");
        let (text, _) = rest.split_once("=>\n").expect("an answer");
        answered.push_str(&format!("--- {title}\n{text}=>\n{}\n", refused(text)));
        count += 1;
    }
    assert!(count >= 80, "only {count} cases");
    assert_file(path, &answered);
}

#[test]
fn the_default_file_reads_back_to_the_defaults() {
    let text = default_toml();
    let config = accepted(&text);
    let defaults = Config::defaults(&machine());
    assert_eq!(
        (&config.server, &config.limits, &config.compression, &config.api, &config.channels),
        (
            &defaults.server,
            &defaults.limits,
            &defaults.compression,
            &defaults.api,
            &defaults.channels,
        ),
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "a line is too long");
    // Nothing is left out: taken out of its comments, every key of `show` is there.
    for line in defaults.show().lines().filter(|line| line.contains(" = ")) {
        let key = line.split(" = ").next().expect("a line has a start");
        assert!(text.contains(&format!("\n{key} = ")), "{key} is missing");
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let Config {
        server,
        tls,
        limits,
        compression,
        api,
        channels,
        processes,
        listeners,
        routes,
        sources,
    } = Config::defaults(&machine());
    assert_eq!((server.host.as_str(), server.port, server.workers), ("127.0.0.1", 9501, 6));
    assert_eq!((server.app, server.backlog, server.tcp_nodelay), (App::Channels, 4096, true));
    assert_eq!((server.log_file, server.log_level), (None, LogLevel::Info));
    assert_eq!((server.daemonize, server.user, server.group), (false, None, None));
    assert_eq!((server.umask, server.chroot, server.nice), (None, None, None));
    assert_eq!((server.rlimit_nofile, server.oom_score_adj), (DescriptorLimit::Hard, None));
    assert_eq!(server.cpu_affinity, CpuAffinity::Unchanged);
    assert_eq!((server.log_rotate_bytes, server.log_rotate_keep), (None, 5));
    assert_eq!(server.stop_timeout, Duration::from_secs(10));
    assert_eq!(server.reconnect_spread, Duration::from_secs(5));
    assert_eq!((server.max_request, limits.connections_max), (0, 100_000));
    assert_eq!((server.max_request_spread, server.worker_memory_max), (0, 0));
    assert_eq!((server.restarts_max, server.restarts_window), (10, Duration::from_secs(60)));
    assert_eq!((limits.head_bytes_max, limits.headers_max), (16 << 10, 100));
    assert_eq!((limits.body_bytes_max, limits.message_bytes_max), (1 << 20, 256 << 10));
    assert_eq!((limits.frame_bytes_max, limits.fragments_max), (256 << 10, 1024));
    assert_eq!((limits.outbox_bytes_max, limits.slow_client), (1 << 20, SlowClient::Close));
    assert_eq!(limits.handshake_timeout, Duration::from_secs(10));
    assert_eq!(limits.ping_interval, Some(Duration::from_secs(25)));
    assert_eq!(limits.pong_timeout, Duration::from_secs(20));
    assert_eq!(limits.message_timeout, Some(Duration::from_secs(60)));
    assert_eq!((limits.idle_timeout, limits.close_timeout), (None, Duration::from_secs(5)));
    assert_eq!((limits.subscriptions_max, limits.channel_bytes_max), (128, 128));
    assert_eq!(limits.backlog_bytes_max, 32 << 20);
    assert!(!compression.enabled);
    assert_eq!((compression.level, compression.message_bytes_min), (1, 256));
    assert_eq!((compression.context_takeover, compression.window_bits), (Takeover::None, 15));
    assert_eq!(compression.context_bytes_max, 16 << 20);
    assert!(api.enabled && api.key.is_empty());
    assert_eq!(channels.heartbeat_interval, Duration::from_secs(30));
    assert_eq!((processes, listeners, routes), (vec![], vec![], vec![]));
    assert!(!tls.is_on() && tls.client_ca_file.is_none());
    assert_eq!((tls.client_auth, tls.version_min), (ClientAuth::Required, TlsVersion::Tls12));
    assert_eq!(sources.to_string(), "built-in defaults");
}

#[test]
fn the_pid_file_has_a_place_for_everybody() {
    for (uid, runtime_dir, expected) in [
        (0, None, "/run/wsmaster/wsmaster.pid"),
        (0, Some("/run/user/0"), "/run/wsmaster/wsmaster.pid"),
        (1000, Some("/run/user/1000"), "/run/user/1000/wsmaster/wsmaster.pid"),
        (1000, Some("relative"), "/tmp/wsmaster-1000/wsmaster.pid"),
        (1000, Some(""), "/tmp/wsmaster-1000/wsmaster.pid"),
        (33, None, "/tmp/wsmaster-33/wsmaster.pid"),
    ] {
        let env = runtime_dir.map(|directory| ("XDG_RUNTIME_DIR", directory));
        let machine = Machine::new(&self::env(env.as_slice()), uid, 1);
        let found = Config::defaults(&machine).server.pid_file;
        assert_eq!(found, Path::new(expected), "{uid} {runtime_dir:?}");
    }
}

#[test]
fn automatic_values_follow_what_they_depend_on() {
    for (cpus, workers) in [(0, 1), (1, 1), (64, 64), (5000, 1000)] {
        let config = Config::defaults(&Machine { cpus, ..machine() });
        assert_eq!(config.server.workers, workers, "{cpus} CPUs");
    }
    let config = accepted("[server]\nworkers = \"auto\"\n[limits]\nmessage_bytes_max = 1000");
    assert_eq!((config.server.workers, config.limits.frame_bytes_max), (6, 1000));
    assert_eq!(accepted("max_request = 10001").server.max_request_spread, 5_000);
}

#[test]
fn the_names_of_swoole_work_in_the_server_section_and_at_the_top() {
    type Check = fn(&Config) -> bool;
    let cases: &[(&str, Check)] = &[
        ("worker_num = 3", |c| c.server.workers == 3),
        ("host = \"0.0.0.0\"", |c| c.server.host == "0.0.0.0"),
        ("port = 9600", |c| c.server.port == 9600),
        ("max_request = 10000", |c| c.server.max_request == 10_000),
        ("max_request_grace = 300", |c| c.server.max_request_spread == 300),
        ("pid_file = \"x.pid\"", |c| c.server.pid_file == Path::new("x.pid")),
        ("log_file = \"x.log\"", |c| c.server.log_file.as_deref() == Some(Path::new("x.log"))),
        ("log_level = 0", |c| c.server.log_level == LogLevel::Debug),
        ("log_level = 1", |c| c.server.log_level == LogLevel::Trace),
        ("log_level = 2", |c| c.server.log_level == LogLevel::Info),
        ("log_level = 3", |c| c.server.log_level == LogLevel::Warn),
        ("log_level = 4", |c| c.server.log_level == LogLevel::Warn),
        ("log_level = 5", |c| c.server.log_level == LogLevel::Error),
        ("log_level = 6", |c| c.server.log_level == LogLevel::Off),
        ("daemonize = true", |c| c.server.daemonize),
        ("user = \"www-data\"", |c| c.server.user.as_deref() == Some("www-data")),
        ("group = \"www-data\"", |c| c.server.group.as_deref() == Some("www-data")),
        ("chroot = \"/srv/jail\"", |c| c.server.chroot.as_deref() == Some(Path::new("/srv/jail"))),
        ("backlog = 512", |c| c.server.backlog == 512),
        ("websocket_compression = true", |c| c.compression.enabled),
        ("package_max_length = 65536", |c| c.limits.message_bytes_max == 65_536),
        ("heartbeat_idle_time = 600", |c| c.limits.idle_timeout == Some(Duration::from_secs(600))),
        ("socket_buffer_size = 8388608", |c| c.limits.outbox_bytes_max == 8 << 20),
        ("max_conn = 1000", |c| c.limits.connections_max == 1000),
        ("max_connection = 1000", |c| c.limits.connections_max == 1000),
        ("max_wait_time = 3", |c| c.server.stop_timeout == Duration::from_secs(3)),
        ("open_tcp_nodelay = false", |c| !c.server.tcp_nodelay),
        ("connectionTimeout = 300", |c| c.limits.idle_timeout == Some(Duration::from_secs(300))),
        ("heartbeatInterval = 45", |c| c.channels.heartbeat_interval == Duration::from_secs(45)),
        ("maxConnections = 1000", |c| c.limits.connections_max == 1000),
    ];
    for (line, check) in cases {
        for text in [(*line).to_owned(), format!("[server]\n{line}")] {
            assert!(check(&accepted(&text)), "{text} had no effect");
        }
        assert!(!check(&Config::defaults(&machine())) || *line == "log_level = 2", "{line}");
    }
}

#[test]
fn the_surroundings_of_processes_are_read_and_shown() {
    let text = "[server]\numask = \"027\"\nrlimit_nofile = 65536\nnice = -5\noom_score_adj = 300\n\
                cpu_affinity = \"6,0-3\"\nlog_rotate_bytes = \"10MiB\"\n";
    let config = accepted(text);
    let server = &config.server;
    assert_eq!(server.umask.map(FileMask::bits), Some(0o27));
    assert_eq!(server.rlimit_nofile, DescriptorLimit::Number(65_536));
    assert_eq!((server.nice, server.oom_score_adj), (Some(-5), Some(300)));
    assert_eq!(server.cpu_affinity, CpuAffinity::List(vec![0, 1, 2, 3, 6]));
    assert_eq!(server.log_rotate_bytes, Some(10 << 20));
    assert_eq!(accepted(&config.show()).server, config.server, "{}", config.show());
    for line in ["umask = \"027\"", "nice = -5", "cpu_affinity = \"0-3,6\""] {
        assert!(config.show().contains(line), "{line}");
    }
    let defaults = Config::defaults(&machine());
    assert_eq!(accepted(&defaults.show()).server, defaults.server, "{}", defaults.show());
    let env = env(&[("WSMASTER_SERVER_NICE", "-7"), ("WSMASTER_SERVER_RLIMIT_NOFILE", "hard")]);
    let config = Config::from_layers(None, &env, &Overrides::default(), &machine());
    assert_eq!(config.expect("they are good").server.nice, Some(-7));
}

#[test]
fn files_of_all_kinds_are_read() {
    for text in [
        "",
        "\n\n# nothing\n",
        "\u{feff}[server]\nport = 9600\n",
        "[server]\r\nport = 9600\r\n",
        "server.port = 9600",
        "server = { port = 9600 }",
        "[server]\n\"port\" = 0x2580",
        "[server]\nport = 9_600",
    ] {
        let port = accepted(text).server.port;
        assert_eq!(port, if text.contains("port") { 9600 } else { 9501 }, "{text:?}");
    }
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let file = "[server]\nport = 1\nbacklog = 1\nworkers = 1\n";
    let env = env(&[("WSMASTER_SERVER_BACKLOG", "2"), ("WSMASTER_SERVER_WORKERS", "2")]);
    let mut flags = Overrides::default();
    flags.set("--workers", "server.workers", "3");
    let config = Config::from_layers(Some((NAME, file)), &env, &flags, &machine())
        .expect("every layer is valid");
    let server = &config.server;
    assert_eq!((server.port, server.backlog, server.workers), (1, 2, 3));
    assert_eq!(
        config.sources.to_string(),
        "wsmaster.toml, WSMASTER_SERVER_BACKLOG, WSMASTER_SERVER_WORKERS, --workers",
    );
    for (path, origin) in [
        ("server.host", "default"),
        ("server.port", "wsmaster.toml:2"),
        ("server.backlog", "WSMASTER_SERVER_BACKLOG"),
        ("server.workers", "--workers"),
    ] {
        assert_eq!(config.origin(path).map(ToString::to_string).as_deref(), Some(origin));
    }
    assert_eq!(config.origin("server.nothing"), None);
}

#[test]
fn every_variable_is_checked() {
    let refused = |name: &str, value: &str| {
        let env = env(&[("PATH", "/bin"), (name, value)]);
        let found = Config::from_layers(None, &env, &Overrides::default(), &machine());
        found.expect_err(name).to_string()
    };
    for (name, value, answer) in [
        ("WSMASTER_SERVER_PROT", "1", "unknown variable; did you mean WSMASTER_SERVER_PORT?"),
        ("WSMASTER_PORT", "1", "unknown variable; did you mean WSMASTER_SERVER_PORT?"),
        ("WSMASTER_WORKER_NUM", "1", "unknown variable; did you mean WSMASTER_SERVER_WORKERS?"),
        ("WSMASTER_CONFG", "x", "unknown variable; did you mean WSMASTER_CONFIG?"),
        ("WSMASTER_", "x", "unknown variable"),
        ("WSMASTER_XYZZY", "x", "unknown variable"),
        ("WSMASTER_SERVER_PORT", "abc", "expected an integer from 0 to 65535, found \"abc\""),
        ("WSMASTER_SERVER_PORT", "+80", "expected an integer from 0 to 65535, found \"+80\""),
        ("WSMASTER_SERVER_PORT", "", "expected an integer from 0 to 65535, found \"\""),
        ("WSMASTER_SERVER_DAEMONIZE", "yes", "expected true or false, found \"yes\""),
    ] {
        assert_eq!(refused(name, value), format!("environment: {name}: {answer}"));
    }
    let answer = refused("WSMASTER_API_KEY", "hunter2");
    assert!(answer.ends_with("found one of 7 characters (not shown)"), "{answer}");
}

#[test]
fn variables_need_no_quotes() {
    let env = env(&[
        ("WSMASTER_SERVER_DAEMONIZE", "1"),
        ("WSMASTER_SERVER_TCP_NODELAY", "false"),
        ("WSMASTER_SERVER_LOG_LEVEL", "5"),
        ("WSMASTER_SERVER_WORKERS", "auto"),
        ("WSMASTER_SERVER_LOG_FILE", ""),
        ("WSMASTER_LIMITS_PING_INTERVAL", "0"),
        ("WSMASTER_LIMITS_BODY_BYTES_MAX", "2M"),
        ("WSMASTER_API_KEY", "0123456789abcdef"),
        // A side process may run `wsmaster` itself: what it was given is no setting.
        ("WSMASTER_PLUGIN_NAME", "queue"),
    ]);
    let config = Config::from_layers(None, &env, &Overrides::default(), &machine())
        .expect("all of them are valid");
    assert!(config.server.daemonize && !config.server.tcp_nodelay);
    assert_eq!((config.server.log_level, config.server.workers), (LogLevel::Error, 6));
    assert_eq!((config.server.log_file, config.limits.ping_interval), (None, None));
    assert_eq!(config.limits.body_bytes_max, 2 << 20);
    assert_eq!(config.api.key, Secret::new("0123456789abcdef"));
}

#[test]
fn all_sources_are_checked_in_one_go_and_against_each_other() {
    let mut flags = Overrides::default();
    flags.set("--workers", "server.workers", "0");
    flags.set("--nothing", "server.nothing", "0");
    let env = env(&[("WSMASTER_LIMITS_OUTBOX_BYTES_MAX", "2k"), ("WSMASTER_SERVER_PORT", "x")]);
    let found = Config::from_layers(Some((NAME, "[server]\nprot = 1")), &env, &flags, &machine());
    assert_eq!(
        found.expect_err("there are five errors").to_string(),
        "wsmaster.toml:2:1: server.prot: unknown key; did you mean \"port\"?\n\
         environment: WSMASTER_SERVER_PORT: expected an integer from 0 to 65535, found \"x\"\n\
         environment: limits.outbox_bytes_max: expected at least limits.message_bytes_max + 14 \
         bytes, found 2KiB (WSMASTER_LIMITS_OUTBOX_BYTES_MAX); limits.message_bytes_max is 256KiB \
         (default)\n\
         command line: --nothing: there is no setting server.nothing\n\
         command line: --workers: expected \"auto\" or an integer from 1 to 1000, found \"0\"",
    );
}

#[test]
fn show_is_a_file_with_the_effective_values_and_their_origins() {
    let file = "[server]\nworkers = \"auto\"\nlog_file = \"a \\\"b\\\".log\"\n\
                [limits]\nframe_bytes_max = 1000\n[api]\nkey = \"0123456789abcdef\"";
    let env = env(&[("WSMASTER_SERVER_PORT", "9600")]);
    let config = Config::from_layers(Some((NAME, file)), &env, &Overrides::default(), &machine())
        .expect("it is valid");
    let shown = config.show();
    for line in [
        "# From: wsmaster.toml, WSMASTER_SERVER_PORT",
        "host = \"127.0.0.1\"                       # default",
        "port = 9600                              # WSMASTER_SERVER_PORT",
        "workers = 6                              # wsmaster.toml:2: \"auto\", one for each CPU",
        "frame_bytes_max = 1000                   # wsmaster.toml:5",
        "# key is set (not shown)                 # wsmaster.toml:7",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n is not in\n{shown}");
    }
    assert!(!shown.contains("0123456789abcdef"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let again = accepted(&shown);
    assert_eq!((&again.server, &again.limits), (&config.server, &config.limits));
}

#[test]
fn the_file_is_named_by_the_flag_or_else_by_the_variable() {
    let directory = tempfile::tempdir().expect("a directory");
    let (one, two) = (directory.path().join("one.toml"), directory.path().join("two.toml"));
    fs::write(&one, "port = 1").expect("the directory is writable");
    fs::write(&two, "port = 2").expect("the directory is writable");
    let load = |flag: Option<&Path>, variable: Option<&Path>| {
        let variable = variable.map(|path| path.to_string_lossy().into_owned());
        let env = env(variable.as_deref().map(|path| ("WSMASTER_CONFIG", path)).as_slice());
        let flags = Overrides::of_file(flag.map(Path::to_path_buf));
        Config::load(&flags, &env, 1000, 1).expect("both files are valid")
    };
    assert_eq!(load(None, None).server.port, 9501);
    assert_eq!(load(None, Some(Path::new(""))).server.port, 9501);
    assert_eq!(load(None, Some(&two)).server.port, 2);
    let config = load(Some(&one), Some(&two));
    assert_eq!(config.server.port, 1);
    assert_eq!(config.sources.file.as_deref(), one.to_str());
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a\nb.toml");
    let load = |path: &Path| {
        let found = Config::load(&Overrides::of_file(Some(path.to_path_buf())), &[], 1000, 1);
        found.expect_err("it cannot be read").to_string()
    };
    let name = format!("{}/a\\nb.toml", directory.path().display());
    assert_eq!(load(&path), format!("{name}: cannot be read: no such file or directory"));
    let directory_name = directory.path().display();
    assert_eq!(load(directory.path()), format!("{directory_name}: cannot be read: is a directory"));
    for (bytes, answer) in [
        (&b"a = 1\nb = \"\xff\""[..], "is not UTF-8: line 2, offset 11"),
        (&b"\x7fELF\x01\0\0"[..], "is not a text file: it has a zero byte at offset 5"),
        (&[b'#'; (1 << 20) + 1][..], "is larger than 1048576 bytes"),
    ] {
        fs::write(&path, bytes).expect("the directory is writable");
        assert_eq!(load(&path), format!("{name}: {answer}"));
    }
}

#[test]
fn the_host_becomes_an_authority() {
    for (host, authority, is_loopback) in [
        ("127.0.0.1", "127.0.0.1:80", true),
        ("127.8.9.1", "127.8.9.1:80", true),
        ("localhost", "localhost:80", true),
        ("::1", "[::1]:80", true),
        ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80", true),
        ("0.0.0.0", "0.0.0.0:80", false),
        ("::", "[::]:80", false),
        ("10.0.0.1", "10.0.0.1:80", false),
        ("localhost.example", "localhost.example:80", false),
    ] {
        let server = accepted(&format!("port = 80\nhost = \"{host}\"")).server;
        assert_eq!(server.authority(), authority);
        assert_eq!(server.is_loopback(), is_loopback, "{host}");
    }
}

#[test]
fn the_reference_of_the_documentation_is_up_to_date() {
    assert_file("docs/configuration.md", &reference_markdown());
}

#[test]
fn deep_and_long_files_are_answered_too() {
    let deep = 100_000;
    let mut texts = vec![
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        format!("{} = 1", "port".repeat(deep)),
        format!("port = {}", "9".repeat(deep)),
        format!("host = \"{}\"", "x".repeat(deep)),
    ];
    texts.push((0..20_000).map(|number| format!("prot{number} = 1\n")).collect());
    texts.push((0..2_000).map(|number| format!("prot{number} =\n")).collect());
    for text in texts {
        let answer = refused(&text);
        assert!(answer.lines().count() <= 101 && answer.len() < 100_000);
    }
}

/// Damages the default file in many small ways: nothing may panic, and every answer must be lines
/// that a terminal can show.
#[test]
fn damaged_files_are_accepted_or_answered() {
    let originals = [
        default_toml(),
        processes::EVERYTHING.to_owned(),
        listeners::EVERYTHING.to_owned(),
        routes::EVERYTHING.to_owned(),
    ];
    let pieces =
        ["=", "\"", "\"\"\"", "'", "[", "]", "{", "}", "\n", "#", ".", "\u{1b}", "é", "9", ""];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap_or(0) % below
    };
    let mut answered = 0;
    for round in 0..1_500 {
        let original = &originals[round % originals.len()];
        let mut characters: Vec<char> = original.chars().collect();
        for _ in 0..=next(3) {
            let (at, length) = (next(characters.len()), next(4));
            let end = (at + length).min(characters.len());
            characters.splice(at..end, pieces[next(pieces.len())].chars());
        }
        let text: String = characters.into_iter().collect();
        let Err(errors) = Config::from_toml(&text, NAME, &machine()) else { continue };
        answered += 1;
        for error in &errors {
            let line = error.to_string();
            assert!(!line.contains(char::is_control), "round {round}: {line:?}");
            assert!(line.starts_with("wsmaster.toml:"), "round {round}: {line:?}");
        }
    }
    assert!(answered > 300, "only {answered} of the damaged files were refused");
}
