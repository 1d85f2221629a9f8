//! A secret is seen by whoever may read the file or the environment it came from, and by nobody else.

use std::fs;

use serde_json::json;

use crate::{
    FILE,
    place::Place,
    support::{Api, Client, PATIENCE, Server, Setup, Signal, cmdline, request},
};

/// A key that is easy to find wherever it should not be.
const KEY: &str = "recognisable-Key_0123456789.~+/=";

/// As little of it as must be found nowhere: a part may have been cut off, or escaped.
const PART: &str = "recognisable-Key_01";

#[test]
fn a_running_server_shows_it_nowhere() {
    let from_file = Setup::default().config_toml(&format!("[api]\nkey = \"{KEY}\"\n"));
    let from_variable = Setup::default().config_toml("").env("WSMASTER_API_KEY", KEY);
    for (source, setup) in [("file", from_file), ("variable", from_variable)] {
        let log = "server.log";
        let server =
            Server::start(setup.workers(2).arg("--log-file").arg(log).arg("--log-level=debug"));
        let mut seen = vec![("banner", server.stdout())];
        // It comes in by every way that a request has, for it and against it.
        let query = format!("/?token={KEY}&access_key={KEY}");
        let bearer = format!("Bearer {KEY}");
        let headers =
            [("Authorization", bearer.as_str()), ("Cookie", &bearer), ("Referer", &query)];
        let mut client = Client::open_with(server.addr(), &query, &headers);
        let id = &client.expect_json(PATIENCE)["connection_id"];
        let body = json!({"connection": id, "text": "x"}).to_string();
        let almost = format!("Bearer {PART}");
        for (what, method, path, authorization, status) in [
            ("push", "POST", "/api/push", &bearer, 200),
            ("info", "GET", &*format!("/api/connections/{id}"), &bearer, 200),
            ("another key", "POST", "/api/push", &almost, 401),
            ("no such call", "GET", &format!("/api/{KEY}"), &bearer, 404),
            ("no such path", "GET", &format!("/{KEY}"), &bearer, 404),
            ("a query", "GET", &format!("/health?key={KEY}"), &bearer, 200),
            ("a broken path", "GET", &format!("/%{KEY}"), &bearer, 400),
        ] {
            let headers = [("Authorization", authorization.as_str())];
            let reply = request(server.addr(), method, path, &headers, body.as_bytes());
            assert_eq!(reply.status, status, "{what}");
            seen.push((what, format!("{reply:?}\n{}", String::from_utf8_lossy(&reply.body))));
        }
        server.reload().expect_code(0);
        client.expect_close(1001);
        // A worker that falls over says what it can about it.
        let pid = server.kill_worker(0, Signal::Segv);
        server.wait_replaced(0, pid);
        for args in [&["status"][..], &["status", "--json"], &["reload"]] {
            seen.push(("command", server.cli(args).expect_code(0).to_string()));
        }
        for pid in server.living() {
            seen.push(("title", cmdline(pid)));
            let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            seen.push(("name", String::from_utf8_lossy(&file("comm")).into_owned()));
            if source == "file" {
                seen.push(("environ", String::from_utf8_lossy(&file("environ")).into_owned()));
            }
        }
        server.stop().expect_code(0);
        server.wait_exit();
        seen.push(("standard error", server.log()));
        for entry in fs::read_dir(server.directory()).expect("it is there").flatten() {
            if entry.file_name() != FILE {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                seen.push(("file", String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        let logged = seen.iter().any(|(what, text)| *what == "file" && text.contains("signal 11"));
        assert!(logged, "the log is not among what was looked at: {seen:?}");
        for (what, text) in seen {
            assert!(!text.contains(PART), "{source}, {what}: {text}");
        }
    }
}

#[test]
fn what_reads_the_configuration_does_not_show_it() {
    let good = format!("[api]\nkey = \"{KEY}\"\n");
    for (text, code) in [
        (good.clone(), 0),
        (format!("[api]\nkey = \"{KEY} \"\n[server]\nport = \"x\"\n"), 2),
        (format!("[api]\nkey = {KEY}\n"), 2),
        (format!("[api]\nkey = \"{KEY}\n"), 2),
        (format!("{good}key = \"{KEY}\"\n"), 2),
        (format!("[api.key]\nvalue = \"{KEY}\"\n"), 2),
        (format!("[api]\nkey = [\"{KEY}\"]\n"), 2),
        (format!("api = \"{KEY}\"\n"), 2),
        (format!("[api]\nkeys = \"{KEY}\"\n"), 2),
    ] {
        for by_variable in [None, Some(KEY.to_owned()), Some(format!("{KEY} "))] {
            let code = if by_variable.as_ref().is_some_and(|key| key != KEY) { 2 } else { code };
            let mut place = Place::new().file(FILE, &text);
            if let Some(key) = by_variable {
                place = place.variable("WSMASTER_API_KEY", key);
            }
            for command in ["check", "show"] {
                let output = place.run(&["config", command, "-c", FILE]);
                assert_eq!(output.code, code, "{text}: {output}");
                assert!(!output.to_string().contains(PART), "{text}: {output}");
            }
        }
    }
    let shown = Place::new().file(FILE, &good).run(&["config", "show", "-c", FILE]);
    assert!(shown.stdout.contains("\n# key is set (not shown) "), "{shown}");
}

#[test]
fn one_that_was_made_up_is_on_the_banner_alone() {
    let server = Server::start(Setup::default().arg("--log-level=debug"));
    let key = server.api_key();
    assert!(key.len() >= 32, "a short key");
    let api = Api::of(&server);
    api.broadcast_text("x").expect_status(200);
    for args in [&["status"][..], &["status", "--json"], &["reload"]] {
        let output = server.cli(args).expect_code(0);
        assert!(!output.to_string().contains(&key), "{output}");
    }
    for pid in server.living() {
        assert!(!cmdline(pid).contains(&key), "it is in a title");
    }
    // The same after a reload: programs that know it go on.
    api.broadcast_text("x").expect_status(200);
    assert!(!server.log().contains(&key), "{}", server.log());

    let other = Server::start(Setup::default());
    assert_ne!(other.api_key(), key, "two servers have made up the same key");
}
