//! Programs as applications: what they hear of their connections, and what happens when they do not keep up.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tungstenite::{Error, Message};

use crate::{
    puppet::{Puppet, application, table, wait_process},
    support::{
        App, Client, PATIENCE, Server, Setup, Signal, Swarm, eventually, request, rss_bytes, signal,
    },
};

/// The sum of a counter of all workers.
fn counted(server: &Server, counter: &str) -> u64 {
    server.status()["totals"][counter].as_u64().expect("a counter")
}

/// The status that a WebSocket is refused with.
#[track_caller]
fn refused(server: &Server, path: &str) -> u16 {
    match Client::try_open(server.addr(), path, &[]) {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{path} was accepted"),
    }
}

#[test]
fn a_connection_belongs_to_the_application_of_its_path() {
    let config = application("p", "events = [\"message\"]") + &table("ear", "events = [\"open\"]");
    let config = config + "[[route]]\npath = \"/chat\"\napp = \"channels\"\n";
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let ear = Puppet::of(&server, "ear");
    let mut own = Client::open(server.addr(), "/p/a%20b?x=1");
    own.send_text("hello");
    own.expect_text("0 hello");
    own.send(Message::binary(vec![0_u8, 255]));
    assert_eq!(own.expect_any(PATIENCE), Message::binary(vec![0_u8, 255]));
    let mut echo = Client::open(server.addr(), "/pp");
    echo.send_text("not for it");
    echo.expect_text("not for it");
    let mut channels = Client::open(server.addr(), "/chat");
    assert_eq!(channels.expect_json(PATIENCE)["action"], "welcome");
    own.send_text("the last");
    own.expect_text("0 the last");
    own.close();

    let close = puppet.expect_event("close");
    let open = puppet.expect_event("open");
    assert_eq!((&open["path"], &open["query"]), (&json!("/p/a b"), &json!("x=1")));
    assert_eq!(open.get("again"), None);
    assert_eq!((&close["connection"], &close["code"]), (&open["connection"], &json!(1000)));
    // As `message` is among its events it hears that of the others too, but nothing twice; and it hears only of its own
    // connections that they open.
    let heard: Vec<Value> = puppet
        .events()
        .iter()
        .filter(|event| event["event"] != "hello")
        .map(|event| event.get("text").or(event.get("binary")).unwrap_or(&event["event"]).clone())
        .collect();
    let mut expected = vec!["open", "hello", "AP8=", "not for it", "the last", "close"];
    expected.sort_unstable();
    let mut sorted: Vec<&str> = heard.iter().filter_map(Value::as_str).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "{heard:?}");
    let hello = &puppet.events()[0];
    assert_eq!(hello["events"], json!(["message", "open", "close", "request"]));
    // Whoever wants to hear of all connections hears of these as well.
    ear.expect("three", |_| {
        ear.events().iter().filter(|event| event["event"] == "open").count() == 3
    });
    assert_eq!(ear.events()[0]["events"], json!(["open"]), "it is no application");
    let process = wait_process(&server, "p", |_| true);
    assert_eq!(process["application"], true, "{process}");
    assert_eq!(server.status()["routes"][0], json!({"path": "/p/*", "app": "plugin:p"}));
}

#[test]
fn the_application_of_the_server_has_all_paths() {
    let config = table("p", "env = { PUPPET_APP = \"1\" }");
    let setup = Setup::default().workers(2).app(App::Plugin("p")).config_toml(&config);
    let server = Server::start(setup);
    let puppet = Puppet::of(&server, "p");
    for path in ["/", "/any/where"] {
        let mut client = Client::open(server.addr(), path);
        client.send_text("hello");
        client.expect_text("0 hello");
    }
    assert_eq!(
        request(server.addr(), "GET", "/other", &[], b"").expect_status(200).text(),
        "found"
    );
    assert_eq!(request(server.addr(), "GET", "/health", &[], b"").status, 200);
    assert_eq!(request(server.addr(), "POST", "/api/push", &[], b"").status, 401);
    assert_eq!(server.status()["app"], "plugin:p");
    assert!(server.stdout().contains("plugin:p"), "{}", server.stdout());
    puppet.expect_event("open");
}

#[test]
fn connections_are_spread_over_instances_and_each_stays_in_order() {
    const CLIENTS: usize = 40;
    const MESSAGES: usize = 50;
    let config = table("p", "env = { PUPPET_APP = \"1\" }\ninstances = 3");
    let setup = Setup::default().workers(2).app(App::Plugin("p")).config_toml(&config);
    let server = Server::start(setup);
    let puppets = [0, 1, 2].map(|instance| Puppet::instance(&server, "p", instance));
    let mut swarm = Swarm::open(server.addr(), CLIENTS);
    for number in 0..MESSAGES {
        swarm.send_all(|_| number.to_string());
    }
    swarm.expect_each(MESSAGES, PATIENCE);
    let mut used = BTreeSet::new();
    for member in 0..CLIENTS {
        let texts = swarm.texts(member);
        let instance = texts[0].split(' ').next().expect("an instance").to_owned();
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(*text, format!("{instance} {number}"), "member {member}");
        }
        used.insert(instance);
    }
    assert_eq!(used.len(), 3, "all instances have some of them");
    let opened = |puppet: &Puppet<'_>| {
        puppet.events().iter().filter(|event| event["event"] == "open").count()
    };
    let all: usize = puppets.iter().map(opened).sum();
    assert_eq!(all, CLIENTS, "each is at one of them");
}

#[test]
fn what_a_deaf_application_does_not_take_waits_in_order_and_nothing_is_lost() {
    const CLIENTS: usize = 60;
    // All answers to one client together have room in its outbox (1 MiB): however late this test reads them, no client is
    // a slow reader.
    const MESSAGES: usize = 90;
    let config = application("p", "queue_bytes_max = \"64KiB\"\nanswer_timeout = \"5m\"");
    let server = Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::open(server.addr(), "/p/")).collect();
    for client in &mut clients {
        client.send_text("there");
        client.expect_text("0 there");
    }
    puppet.order("#deaf");
    eventually("it to be deaf", PATIENCE, || {
        clients[0].send_text("are you?");
        let queued = wait_process(&server, "p", |_| true)["events"].as_u64();
        (queued.is_some() && counted(&server, "messages_in") > 0).then_some(())
    });
    let bytes_before = [puppet.host(), server.worker_pid(0), server.worker_pid(1)].map(rss_bytes);
    let long = "x".repeat(10_000);
    // 54 MB: what the server does not take waits in the kernel, and then in these threads.
    std::thread::scope(|scope| {
        for client in &mut clients {
            let long = &long;
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    client.send_text(&format!("{number} {long}"));
                }
            });
        }
        let status = server.wait_until("clients to wait", PATIENCE, |status| {
            status["processes"][0]["full"] == true && status["totals"]["held"].as_u64() >= Some(1)
        });
        assert!(status["processes"][0]["queued_bytes"].as_u64() >= Some(32 << 10), "{status}");
        // Nobody else notices.
        let mut echo = Client::open(server.addr(), "/");
        for number in 0..100 {
            echo.send_text(&number.to_string());
            echo.expect_text(&number.to_string());
        }
        let pids = [puppet.host(), server.worker_pid(0), server.worker_pid(1)];
        for (pid, before) in pids.into_iter().zip(bytes_before) {
            let grown = rss_bytes(pid).saturating_sub(before);
            assert!(grown < 20_000_000, "{grown} bytes more in process {pid}");
        }
        // Somebody new would only wait.
        assert_eq!(refused(&server, "/p/"), 503);
        assert_eq!(request(server.addr(), "GET", "/p/echo", &[], b"").status, 503);
        puppet.order("#hear");
    });
    for client in &mut clients {
        for number in 0..MESSAGES {
            let wanted = |message: &Message| {
                message.to_text().is_ok_and(|text| text.starts_with("0 ") && text.len() > 10_000)
            };
            let text = eventually("its answer", PATIENCE, || {
                Some(client.expect_any(PATIENCE)).filter(|message| wanted(message))
            });
            let text = text.into_text().expect("text");
            assert_eq!(text.split(' ').nth(1), Some(number.to_string().as_str()), "in order");
        }
    }
    let status = server.wait_until("nobody to wait", PATIENCE, |status| {
        status["processes"][0]["full"] == false && status["totals"]["held"] == 0
    });
    assert_eq!(status["processes"][0]["dropped_events"], 0);
    assert_eq!(status["totals"]["dropped_by_handler"], 0);
    let mut late = Client::open(server.addr(), "/p/");
    late.send_text("welcome back");
    late.expect_text("0 welcome back");
}

#[test]
fn a_host_takes_no_more_mail_than_its_program_may_be_behind() {
    const CLIENTS: usize = 40;
    const MESSAGES: usize = 3;
    let config = table(
        "p",
        "env = { PUPPET_APP = \"1\" }\nqueue_bytes_max = \"64KiB\"\nanswer_timeout = \"5m\"",
    );
    let setup = Setup::default().workers(2).app(App::Plugin("p")).config_toml(&config);
    let server = Server::start(setup);
    let puppet = Puppet::of(&server, "p");
    let mut swarm = Swarm::open(server.addr(), CLIENTS);
    puppet.order("#deaf");
    // While its host stands still it cannot tell anybody to wait: 24 MB lie in its mailbox and in the workers.
    let host = puppet.host();
    assert!(signal(host, Signal::Stop));
    let long = "x".repeat(200_000);
    for number in 0..MESSAGES {
        swarm.send_all(|_| format!("{number} {long}"));
    }
    let all = (CLIENTS * MESSAGES) as u64;
    eventually("all to be read", PATIENCE, || {
        swarm.run_for(Duration::from_millis(20));
        (counted(&server, "messages_in") == all).then_some(())
    });
    assert!(signal(host, Signal::Cont));
    let process = wait_process(&server, "p", |process| process["full"] == true);
    assert!(process["queued_bytes"].as_u64() < Some(1 << 20), "{process}");
    puppet.order("#hear");
    swarm.expect_each(MESSAGES, 3 * PATIENCE);
    for member in 0..CLIENTS {
        for (number, text) in swarm.texts(member).iter().enumerate() {
            assert!(text.starts_with(&format!("0 {number} ")), "{}", &text[..20]);
        }
    }
}

#[test]
fn a_client_whose_message_is_not_taken_in_time_is_closed_and_the_message_counted() {
    let config = application("p", "queue_bytes_max = \"64KiB\"\nanswer_timeout = \"1s\"");
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    let mut silent = Client::open(server.addr(), "/p/silent");
    silent.send_text("there");
    silent.expect_text("0 there");
    let mut client = Client::open(server.addr(), "/p/");
    client.send_text("there");
    client.expect_text("0 there");
    puppet.order("#deaf");
    let long = "x".repeat(10_000);
    let begun = Instant::now();
    eventually("somebody to wait", PATIENCE, || {
        client.send_text(&long);
        (counted(&server, "held") == 1).then_some(())
    });
    let reason = client.expect_close(1013);
    assert_eq!(reason, "the application does not take messages");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(counted(&server, "dropped_by_handler"), 1);
    // Who says nothing does not wait for anything.
    puppet.order("#hear");
    puppet.expect("its end", |event| event["event"] == "close" && event["code"] == 1013);
    silent.send_text("still here");
    let answer = silent.expect_any(PATIENCE);
    assert_eq!(answer, Message::text("0 still here"));
}

#[test]
fn the_channel_application_tells_of_what_its_clients_do_and_leaves_the_rest_to_who_reads_it() {
    let events = "events = [\"subscribe\", \"unsubscribe\", \"publish\"]";
    let server = Server::start(Setup::default().workers(2).config_toml(&table("p", events)));
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::connect(&server);
    client.subscribe("chat.room");
    client.publish("chat.room", &json!({"a": [1, null]}));
    client.unsubscribe("chat.room");
    let id = client.id();
    for expected in [
        json!({"event": "subscribe", "connection": id, "channel": "chat.room"}),
        json!({"event": "publish", "connection": id, "channel": "chat.room", "message": {"a": [1, null]}}),
        json!({"event": "unsubscribe", "connection": id, "channel": "chat.room"}),
    ] {
        puppet.expect("it", |event| *event == expected);
    }
    // Refused ones are no events, and nobody reads what is no request: it gets its error.
    client.send_json(&json!({"action": "subscribe", "data": {"channel": "..bad"}}));
    client.expect_error("invalid_channel");
    client.send_text(r#"{"event":"CONNECT","data":{"user_id":500}}"#);
    client.expect_error("invalid_request");
    client.send(Message::binary(vec![1_u8]));
    client.expect_error("invalid_request");
    let kinds = |puppet: &Puppet<'_>| puppet.events().len();
    assert_eq!(kinds(&puppet), 4);
    server.stop().expect_code(0);

    let server = Server::start(Setup::default().config_toml(&table("p", "events = [\"message\"]")));
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::connect(&server);
    for text in [r#"{"event":"CONNECT","data":{"user_id":500}}"#, "no JSON", "[]", "{\"action\":5}"]
    {
        client.send_text(text);
        puppet.expect("it", |event| event["text"] == text);
    }
    client.send(Message::binary(vec![1_u8]));
    puppet.expect("the bytes", |event| event["binary"] == "AQ==");
    // What begins as a request is one, and a wrong one gets its error.
    client.send_json(&json!({"action": "subscibe", "data": {"channel": "a"}}));
    client.expect_error("unknown_action");
    client.expect_alive();
    client.expect_silence(Duration::from_millis(50));
}

#[test]
fn the_server_tells_that_it_has_started_and_that_it_stops() {
    let events = "events = [\"server_start\", \"server_stop\"]\ninstances = 2";
    let server = Server::start(Setup::default().workers(2).config_toml(&table("p", events)));
    let puppets = [0, 1].map(|instance| Puppet::instance(&server, "p", instance));
    for puppet in &puppets {
        puppet.expect("the start", |event| *event == json!({"event": "server_start"}));
    }
    server.stop().expect_code(0);
    for puppet in &puppets {
        let kinds: Vec<Value> =
            puppet.events().iter().map(|event| event["event"].clone()).collect();
        assert_eq!(kinds, ["hello", "server_start", "server_stop", "stop"]);
    }
}

#[test]
fn a_route_of_all_below_a_path_has_the_path_too_unless_another_one_is_exact() {
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&application("p", "")));
    Puppet::of(&server, "p");
    for path in ["/p", "/p/", "/p/a", "/p?a=b"] {
        let mut own = Client::open(server.addr(), path);
        own.send_text("hello");
        own.expect_text("0 hello");
    }
    let mut echo = Client::open(server.addr(), "/pp");
    echo.send_text("hello");
    echo.expect_text("hello");

    let config = application("p", "") + "[[route]]\npath = \"/p\"\napp = \"channels\"\n";
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    Puppet::of(&server, "p");
    assert_eq!(Client::open(server.addr(), "/p").expect_json(PATIENCE)["action"], "welcome");
    let mut own = Client::open(server.addr(), "/p/");
    own.send_text("hello");
    own.expect_text("0 hello");
}
