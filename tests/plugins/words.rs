//! Events and commands, as docs/plugins.md has them.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::{Value, json};
use tungstenite::Message;

use crate::{
    puppet::{PROGRAMS, Puppet, table},
    support::{
        App, Client, PATIENCE, Server, Setup, Signal, eventually, in_time, is_alive, signal,
    },
};

/// What no line of a text can be mistaken for: quotes, ends of lines, all planes of Unicode.
const AWKWARD: &str = "a \"quote\", a \\, \u{0}, \n, \u{2028}, é, 💡 and {\"connection\":1}";

fn names(event: &Value) -> BTreeSet<&str> {
    event.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Whether a line is of this kind, as a program sees that does not parse.
fn begins_as(line: &str, kind: &str) -> bool {
    line.starts_with(&format!("{{\"event\":\"{kind}\","))
}

#[test]
fn the_shell_program_of_the_documentation_answers() {
    let page = include_str!("../../docs/plugins.md");
    let (_, rest) = page.split_once("```bash\n").expect("the page begins with a program");
    let (program, rest) = rest.split_once("```\n").expect("it ends");
    let (_, rest) = rest.split_once("```toml\n").expect("and its configuration");
    let (config, _) = rest.split_once("```\n").expect("it ends");
    let directory = tempfile::tempdir().expect("a directory for the test");
    let file = directory.path().join("time.sh");
    fs::write(&file, program).expect("the directory is ours");
    // `sh -c` and not the call: permissions are set by whoever follows the page, too.
    let made = std::process::Command::new("chmod").arg("+x").arg(&file).status();
    assert!(made.expect("coreutils").success());
    let config = config.replace("./time.sh", &file.to_string_lossy());

    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    Puppet::of(&server, "time");
    for _ in 0..5 {
        let mut client = Client::open(server.addr(), "/");
        client.send_text(AWKWARD);
        let mut texts = [client.expect_any(PATIENCE), client.expect_any(PATIENCE)]
            .map(|message| message.into_text().expect("text").to_string());
        texts.sort();
        let [time, echo] = texts;
        assert_eq!(echo, AWKWARD);
        let clock = time.strip_prefix("It is ").and_then(|rest| rest.strip_suffix('.'));
        let parts: Vec<&str> = clock.expect("the sentence").split(':').collect();
        assert!(parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok()), "{time}");
        client.close();
    }
    server.stop().expect_code(0);
}

#[test]
fn hello_is_the_first_line_and_says_all_that_the_page_says() {
    let config = table("p", "events = [\"message\", \"open\"]\ntick = \"1h\"\ninstances = 2");
    let server = Server::start(Setup::default().workers(3).config_toml(&config));
    let version = env!("CARGO_PKG_VERSION");
    let line = Puppet::instance(&server, "p", 1).lines()[0].clone();
    assert_eq!(
        line,
        format!(
            r#"{{"event":"hello","protocol":1,"server":"wsmaster {version}","name":"p","instance":1,"instances":2,"workers":3,"events":["message","open"],"tick_ms":3600000,"line_bytes_max":16777216}}"#
        )
    );
}

#[test]
fn a_connection_is_told_from_its_open_to_its_close() {
    let config = table("p", "events = [\"open\", \"message\", \"close\"]");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::open_with(
        server.addr(),
        "/chat?x=1&y=%22",
        &[("X-Odd", "\"quoted\""), ("Cookie", "a=b")],
    );
    let welcome = client.expect_json(PATIENCE);
    let (id, worker) = (welcome["connection_id"].clone(), welcome["worker"].clone());
    let local = client.local_addr();

    let open = puppet.expect_event("open");
    let fields = [
        "event",
        "connection",
        "worker",
        "address",
        "port",
        "target",
        "path",
        "query",
        "headers",
        "time",
    ];
    assert_eq!(names(&open), fields.into());
    assert_eq!((&open["connection"], &open["worker"]), (&id, &worker));
    assert_eq!(open["address"], local.ip().to_string());
    assert_eq!(open["port"], local.port());
    assert_eq!(open["target"], "/chat?x=1&y=%22");
    assert_eq!((&open["path"], &open["query"]), (&json!("/chat"), &json!("x=1&y=%22")));
    assert_eq!(open["headers"]["host"], server.addr().to_string());
    assert_eq!(open["headers"]["x-odd"], "\"quoted\"");
    assert_eq!(open["headers"]["cookie"], "a=b");
    assert_eq!(open["headers"]["sec-websocket-version"], "13");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let age = now.expect("after 1970").as_secs_f64() - open["time"].as_f64().expect("seconds");
    assert!((0.0..30.0).contains(&age), "{open}");

    client.send_text(AWKWARD);
    client.send(Message::binary(vec![0_u8, 1, 2]));
    client.send_text("");
    client.send(Message::binary(vec![255_u8; 4]));
    client.close();
    let close = puppet.expect_event("close");
    assert_eq!(
        close,
        json!({"event": "close", "connection": id, "code": 1000, "reason": "", "by": "peer"})
    );
    // The lines themselves: a program that does not parse relies on them.
    let awkward = serde_json::to_string(AWKWARD).expect("text").replace('\u{2028}', "\\u2028");
    let lines = puppet.lines();
    let of_client: Vec<&String> = lines.iter().filter(|line| begins_as(line, "message")).collect();
    assert_eq!(of_client.len(), 4, "{lines:?}");
    let first: Value = serde_json::from_str(of_client[0]).expect("JSON");
    assert_eq!(first["text"], AWKWARD);
    assert!(
        of_client[0].starts_with(&format!(r#"{{"event":"message","connection":{id},"text":""#))
    );
    assert_eq!(of_client[0].len(), of_client[2].len() + awkward.len() - 2, "{}", of_client[0]);
    assert_eq!(
        of_client[1],
        &format!(r#"{{"event":"message","connection":{id},"binary":"AAEC"}}"#)
    );
    assert_eq!(of_client[2], &format!(r#"{{"event":"message","connection":{id},"text":""}}"#));
    assert_eq!(
        of_client[3],
        &format!(r#"{{"event":"message","connection":{id},"binary":"/////w=="}}"#)
    );
    let kinds: Vec<String> = puppet
        .events()
        .iter()
        .map(|event| event["event"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(kinds, ["hello", "open", "message", "message", "message", "message", "close"]);
}

#[test]
fn a_close_says_who_closed() {
    let server = Server::start(Setup::default().config_toml(&table("p", "events = [\"close\"]")));
    let puppet = Puppet::of(&server, "p");
    let close_of = |id: u64| {
        let event = puppet
            .expect("its close", |event| event["event"] == "close" && event["connection"] == id);
        (event["by"].clone(), event["code"].clone(), event["reason"].clone())
    };
    let lost = Client::connect(&server);
    let id = lost.id();
    drop(lost);
    let (by, code, _) = close_of(id);
    assert_eq!((by, code), (json!("lost"), json!(null)));
    let mut client = Client::connect(&server);
    let id = client.id();
    let reply =
        puppet.ask(json!({"do": "disconnect", "connection": id, "code": 4000, "reason": "enough"}));
    assert_eq!(reply, json!({"success": true, "result": "delivered"}));
    assert_eq!(client.expect_close(4000), "enough");
    assert_eq!(close_of(id), (json!("server"), json!(4000), json!("enough")));
}

#[test]
fn all_events_of_one_connection_go_to_one_of_three_instances_and_in_order() {
    let config = table("p", "events = [\"open\", \"message\", \"close\"]\ninstances = 3");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppets = [0, 1, 2].map(|instance| Puppet::instance(&server, "p", instance));
    const CLIENTS: usize = 24;
    const MESSAGES: u64 = 50;
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::open(server.addr(), "/")).collect();
    for number in 0..MESSAGES {
        for client in &mut clients {
            client.send_text(&number.to_string());
        }
    }
    for mut client in clients {
        for number in 0..MESSAGES {
            client.expect_text(&number.to_string());
        }
        client.close();
    }
    let closes = || {
        let of = |puppet: &Puppet<'_>| {
            puppet.events().iter().filter(|event| event["event"] == "close").count()
        };
        puppets.iter().map(of).sum::<usize>()
    };
    eventually("all closes", PATIENCE, || (closes() == CLIENTS).then_some(()));
    let mut whole = 0;
    for puppet in &puppets {
        let events = puppet.events();
        let ids: BTreeSet<u64> =
            events.iter().filter_map(|event| event["connection"].as_u64()).collect();
        assert!(!ids.is_empty(), "{} of {CLIENTS} connections has none", puppet.name);
        for id in &ids {
            let heard: Vec<Value> = events
                .iter()
                .filter(|event| event["connection"] == *id)
                .map(|event| event.get("text").unwrap_or(&event["event"]).clone())
                .collect();
            let texts = (0..MESSAGES).map(|number| json!(number.to_string()));
            let expected: Vec<Value> =
                [json!("open")].into_iter().chain(texts).chain([json!("close")]).collect();
            assert_eq!(heard, expected, "connection {id} at {}", puppet.name);
            whole += 1;
        }
    }
    assert_eq!(whole, CLIENTS, "each is at one of them");
}

#[test]
fn commands_reach_every_connection_and_are_answered() {
    let server = Server::start(Setup::default().workers(2).config_toml(&table("p", "")));
    let puppet = Puppet::of(&server, "p");
    let mut one = Client::connect_to_worker(&server, 0);
    let mut other = Client::connect_to_worker(&server, 1);
    let no_such = json!({"success": false, "result": "no_such_connection", "error": "no connection has this id"});

    for client in [&mut one, &mut other] {
        let id = client.id();
        let push = |body: Value| {
            let mut command = json!({"do": "push", "connection": id});
            command
                .as_object_mut()
                .expect("an object")
                .extend(body.as_object().expect("as well").clone());
            puppet.ask(command)
        };
        let delivered = json!({"success": true, "result": "delivered"});
        assert_eq!(push(json!({"text": AWKWARD})), delivered);
        assert_eq!(push(json!({"binary": "AAEC/w=="})), delivered);
        assert_eq!(push(json!({"json": {"a": [1, null]}})), delivered);
        client.expect_text(AWKWARD);
        assert_eq!(client.expect_any(PATIENCE), Message::binary(vec![0_u8, 1, 2, 255]));
        assert_eq!(client.expect_json(PATIENCE), json!({"a": [1, null]}));
        assert_eq!(push(json!({"text": "a", "json": 1}))["result"], "invalid");
        assert_eq!(push(json!({}))["result"], "invalid");
        assert_eq!(push(json!({"binary": "no base64"}))["result"], "invalid");
        let exists = puppet.ask(json!({"do": "exists", "connection": client.id()}));
        assert_eq!(exists, json!({"success": true, "exists": true}));
        let info = puppet.ask(json!({"do": "info", "connection": client.id()}));
        assert_eq!(info["success"], true);
        assert_eq!(info["info"]["connection"], client.id());
        assert_eq!(info["info"]["worker"], client.worker());
        assert_eq!(info["info"]["port"], client.local_addr().port());
    }

    let id = one.id();
    assert_eq!(
        puppet.ask(json!({"do": "broadcast", "text": "all"})),
        json!({"success": true, "delivered": 2, "dropped": 0})
    );
    one.expect_text("all");
    other.expect_text("all");
    assert_eq!(
        puppet.ask(json!({"do": "broadcast", "text": "most", "exclude": id})),
        json!({"success": true, "delivered": 1, "dropped": 0})
    );
    other.expect_text("most");

    one.subscribe("chat.room");
    other.subscribe("chat.room");
    let publish = json!({"do": "publish", "channel": "chat.room", "message": {"hi": "all"}});
    assert_eq!(puppet.ask(publish), json!({"success": true, "delivered": 2, "dropped": 0}));
    for client in [&mut one, &mut other] {
        let message = client.expect_message("chat.room");
        assert_eq!(
            (&message["message"], &message["sender"]),
            (&json!({"hi": "all"}), &json!(null))
        );
        assert_eq!(names(&message), ["action", "channel", "sender", "message", "time"].into());
    }
    let publish = json!({"do": "publish", "channel": "chat.room", "text": "plain", "exclude": id});
    assert_eq!(puppet.ask(publish)["delivered"], 1);
    other.expect_text("plain");
    assert_eq!(
        puppet.ask(json!({"do": "publish", "channel": "nobody", "message": 1}))["delivered"],
        0
    );
    assert_eq!(
        puppet.ask(json!({"do": "publish", "channel": "", "message": 1}))["result"],
        "invalid"
    );
    one.expect_alive();
    one.expect_silence(Duration::from_millis(50));

    one.close();
    eventually("its end", PATIENCE, || {
        (puppet.ask(json!({"do": "exists", "connection": id}))["exists"] == false).then_some(())
    });
    assert_eq!(puppet.ask(json!({"do": "push", "connection": id, "text": "late"})), no_such);
    assert_eq!(puppet.ask(json!({"do": "disconnect", "connection": id})), no_such);
    assert_eq!(puppet.ask(json!({"do": "info", "connection": id})), no_such);
    for nonsense in [0, 1023, (1_u64 << 53) - 1] {
        assert_eq!(
            puppet.ask(json!({"do": "push", "connection": nonsense, "text": "late"})),
            no_such
        );
    }
    other.expect_alive();
}

#[test]
fn processes_send_to_one_another_and_to_themselves_and_log() {
    let config = table("a", "") + &table("b", "instances = 2");
    let server = Server::start(Setup::default().config_toml(&config));
    let a = Puppet::of(&server, "a");
    let b = [0, 1].map(|instance| Puppet::instance(&server, "b", instance));
    let sent = json!({"success": true});
    assert_eq!(a.ask(json!({"do": "send", "process": "b", "text": AWKWARD})), sent);
    assert_eq!(
        b[0].expect_event("process"),
        json!({"event": "process", "from": "a", "text": AWKWARD})
    );
    assert_eq!(a.ask(json!({"do": "send", "process": "b/1", "binary": "AAEC"})), sent);
    assert_eq!(
        b[1].expect_event("process"),
        json!({"event": "process", "from": "a", "binary": "AAEC"})
    );
    assert_eq!(a.ask(json!({"do": "send", "process": "a", "text": "to myself"})), sent);
    assert_eq!(
        a.expect_event("process"),
        json!({"event": "process", "from": "a", "text": "to myself"})
    );
    assert_eq!(b[1].ask(json!({"do": "send", "process": "a", "text": "back"})), sent);
    a.expect("the second's word", |event| event["from"] == "b/1" && event["text"] == "back");
    for nobody in ["nobody", "b/2", ""] {
        let reply = a.ask(json!({"do": "send", "process": nobody, "text": "lost"}));
        assert_eq!(reply["result"], "no_such_process", "{nobody:?}: {reply}");
    }
    assert_eq!(
        a.ask(json!({"do": "send", "worker": 9, "text": "lost"}))["result"],
        "no_such_process"
    );
    assert_eq!(a.ask(json!({"do": "send", "worker": 0, "text": "kept"}))["success"], true);

    assert_eq!(
        b[1].ask(json!({"do": "log", "level": "warn", "text": "the spool\nis \u{1b}[31mfull"})),
        sent
    );
    server.wait_log("WARN  b/1: the spool\\u{a}is \\u{1b}[31mfull\n");
}

#[test]
fn the_server_tells_of_workers_and_reloads() {
    let config = table(
        "all",
        "events = [\"worker_start\", \"worker_stop\", \"worker_error\", \"reload_start\", \"reload_end\"]\ninstances = 2",
    ) + &table("none", "");
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let all = [0, 1].map(|instance| Puppet::instance(&server, "all", instance));
    let none = Puppet::of(&server, "none");
    let killed = server.kill_worker(1, Signal::Kill);
    let successor = server.wait_replaced(1, killed);
    server.reload().expect_code(0);
    let fresh = server.worker_pids();
    for puppet in &all {
        puppet.expect("the end of the reload", |event| event["event"] == "reload_end");
        puppet.expect("the death", |event| {
            *event == json!({"event": "worker_error", "worker": 1, "pid": killed, "how": "signal 9 (SIGKILL)", "signal": 9})
        });
        puppet.expect("the successor", |event| {
            *event == json!({"event": "worker_start", "worker": 1, "pid": successor})
        });
        puppet.expect("its orderly end", |event| {
            *event == json!({"event": "worker_stop", "worker": 1, "pid": successor, "reason": "reload"})
        });
        for (slot, pid) in fresh.iter().enumerate() {
            puppet.expect("a fresh one", |event| {
                *event == json!({"event": "worker_start", "worker": slot, "pid": pid})
            });
        }
        puppet.expect("the reload", |event| *event == json!({"event": "reload_start"}));
        puppet
            .expect("its end", |event| *event == json!({"event": "reload_end", "complete": true}));
    }
    assert_eq!(none.lines().len(), 1, "it has asked for nothing: {:?}", none.lines());
}

#[test]
fn ticks_come_one_after_the_other_and_a_program_can_ask_for_less() {
    let config = table("p", "tick = \"50ms\"\nevents = [\"open\", \"message\"]");
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    puppet.expect("the fifth tick", |event| event["number"] == 5);
    let events = puppet.events();
    let ticks = events.iter().filter(|event| event["event"] == "tick");
    for (tick, number) in ticks.zip(1..) {
        assert_eq!(*tick, json!({"event": "tick", "number": number}));
    }
    // `ready` may come again, and asks for fewer; never for more.
    puppet.order(r#"{"do":"ready","protocol":1,"events":["message","close"]}"#);
    assert_eq!(puppet.ask(json!({"do": "exists", "connection": 1}))["exists"], false);
    let mut client = Client::open(server.addr(), "/");
    client.send_text("hello");
    client.expect_text("hello");
    client.close();
    puppet.expect_event("message");
    let eighth = |event: &Value| event["event"] == "tick" && event["number"].as_u64() > Some(8);
    puppet.expect("more ticks", eighth);
    let events = puppet.events();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of("open"), of("message"), of("close")), (0, 1, 0), "{events:?}");
}

#[test]
fn a_program_on_stdio_made_with_the_python_file_answers_and_prints() {
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/plugins/python");
    let config = format!(
        "[[process]]\nname = \"echo\"\ncommand = \"python3\"\nargs = [\"{PROGRAMS}/echo.py\"]\nstdio = true\nevents = [\"open\", \"message\", \"close\"]\nenv = {{ PYTHONPATH = \"{sdk}\", PYTHONDONTWRITEBYTECODE = \"1\" }}\n"
    );
    let server =
        Server::start(Setup::default().workers(2).app(App::Broadcast).config_toml(&config));
    let puppet = Puppet::of(&server, "echo");
    let mut client = Client::open(server.addr(), "/");
    client.send_text(AWKWARD);
    let said = |client: &mut Client, text: &str| {
        // The application sends what it gets to everybody; between that comes the answer.
        in_time(PATIENCE, || {
            let message = client.expect_any(PATIENCE);
            (message == Message::text(text)).then_some(())
        })
        .unwrap_or_else(|| panic!("no {text:?}"));
    };
    said(&mut client, &format!("delivered: {AWKWARD}"));
    client.send(Message::binary(vec![7_u8; 3]));
    said(&mut client, "delivered: 3 bytes");
    server.wait_log("echo: printed, and no command");
    let pid = puppet.pid();
    assert!(signal(pid, Signal::Term));
    eventually("its end", PATIENCE, || (!is_alive(pid)).then_some(()));
    eventually("its successor", PATIENCE, || (puppet.pid() != pid).then_some(()));
    client.send_text("again");
    said(&mut client, "delivered: again");
}
