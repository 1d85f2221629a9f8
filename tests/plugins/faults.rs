//! Programs that do wrong. What they do is theirs: the workers and their clients go on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    puppet::{Puppet, shell, table, wait_process},
    support::{
        App, Client, PATIENCE, Server, Setup, Signal, cpu_ms, eventually, is_alive, rss_bytes,
        signal,
    },
};

/// Says that it is ready, and then runs the rest.
const READY: &str = r#"read -r _ <&3; printf '{"do":"ready","protocol":1}\n' >&4; "#;

/// The longest time that an echo takes, of ten.
#[track_caller]
fn slowest_echo(client: &mut Client) -> Duration {
    let echo = |number| {
        let begun = Instant::now();
        let text = format!("echo {number}");
        client.send_text(&text);
        client.expect_text(&text);
        begun.elapsed()
    };
    (0..10).map(echo).max().expect("ten")
}

#[track_caller]
fn expect_ended_and_back(server: &Server, puppet: &Puppet<'_>) {
    wait_process(server, &puppet.name, |process| {
        process["restarts"] == 1 && process["state"] == "ready"
    });
}

#[test]
fn events_for_a_program_that_does_not_read_are_dropped_and_counted() {
    let config = table("p", "events = [\"message\"]\nqueue_bytes_max = \"64KiB\"");
    let setup = Setup::default().workers(2).app(App::Echo).config_toml(&config);
    let server = Server::start(setup);
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::open(server.addr(), "/");
    client.send_text("the first");
    client.expect_text("the first");
    let connection = puppet.expect_event("message")["connection"].clone();
    puppet.order("#deaf");
    // Until it has heard that, it reads.
    let marked = json!({"do": "push", "connection": connection, "text": "deaf now"});
    puppet.order(&marked.to_string());
    client.expect_text("deaf now");

    let host_bytes_before = rss_bytes(puppet.host());
    let long = "x".repeat(10_000);
    const SENT: u64 = 1_000;
    for number in 1..=SENT {
        let text = format!("{number} {long}");
        client.send_text(&text);
        client.expect_text(&text);
    }
    assert!(slowest_echo(&mut client) < Duration::from_secs(1));
    // Its commands are read all the same, also those that are answered.
    for number in 0..100 {
        puppet.order(&json!({"do": "exists", "connection": connection, "id": number}).to_string());
    }
    puppet.order(&json!({"do": "push", "connection": connection, "text": "I speak"}).to_string());
    client.expect_text("I speak");
    let grown = rss_bytes(puppet.host()).saturating_sub(host_bytes_before);
    assert!(grown < 5_000_000, "10 MB of events that nobody reads took {grown} bytes");

    puppet.order("#hear");
    puppet.expect("the replies", |event| event["id"] == 99);
    client.send_text("the last");
    client.expect_text("the last");
    puppet.expect("the last message", |event| event["text"] == "the last");
    let events = puppet.events();
    let texts = |event: &Value| {
        let text = event["text"].as_str()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    // What is lost is told where it would have come: each number is the next one, with those counted that were left out.
    let mut next = 1;
    for event in &events {
        if let Some(number) = texts(event) {
            assert_eq!(number, next, "after what was lost was counted");
            next += 1;
        }
        next += event["count"].as_u64().unwrap_or(0);
    }
    let drops: Vec<u64> = events.iter().filter_map(|event| event["count"].as_u64()).collect();
    let messages = events.iter().filter(|event| event["event"] == "message").count() as u64;
    // The first, the last, ten echoes, and the thousand: each has come or is counted.
    assert_eq!(messages + drops.iter().sum::<u64>(), SENT + 12, "{drops:?}");
    assert!(drops.iter().sum::<u64>() > SENT / 2, "{drops:?}");
}

#[test]
fn a_flood_of_output_is_left_out_of_the_log_and_hurts_nobody() {
    let setup = Setup::default().app(App::Echo).config_toml(&table("p", ""));
    let server = Server::start(setup);
    let mut client = Client::open(server.addr(), "/");
    let puppet = Puppet::of(&server, "p");
    puppet.order("#flood 536870912");
    let mut slowest = Duration::ZERO;
    // The reply comes when all is written: the server has taken 1 GiB.
    puppet.order(r#"{"do":"exists","connection":1,"id":"flooded"}"#);
    eventually("the end of the flood", 12 * PATIENCE, || {
        slowest = slowest.max(slowest_echo(&mut client));
        puppet.events().iter().any(|event| event["id"] == "flooded").then_some(())
    });
    assert!(slowest < Duration::from_secs(1), "an echo took {slowest:?}");
    let log_bytes = server.log().len();
    assert!(log_bytes < 5_000_000, "{log_bytes} bytes of log");
    assert!(rss_bytes(puppet.host()) < 50_000_000);
    assert!(server.log().contains("INFO  p: yyyy"), "stdout is in the log with its name");
    assert!(server.log().contains("WARN  p: yyyy"), "stderr is in the log with its name");
    server.wait_log("output lines not logged: more than 250 a second");
    server.stop().expect_code(0);
}

#[test]
fn a_hundred_lines_that_are_no_commands_end_it() {
    let server = Server::start(Setup::default().config_toml(&table("p", "")));
    let puppet = Puppet::of(&server, "p");
    puppet.order(r#"{"do":"no such thing","id":"strange"}"#);
    let reply = puppet.expect("a refusal", |event| event["id"] == "strange");
    assert_eq!((&reply["success"], &reply["result"]), (&json!(false), &json!("invalid")));
    // 99 in a row, then a command: it may go on.
    for _ in 0..98 {
        puppet.order("this is no JSON");
    }
    assert_eq!(puppet.ask(json!({"do": "exists", "connection": 1}))["exists"], false);
    let refused = puppet.events().iter().filter(|event| event["result"] == "invalid").count();
    assert_eq!(refused, 99, "each gets its refusal");
    for _ in 0..99 {
        puppet.order("[]");
    }
    assert_eq!(puppet.ask(json!({"do": "exists", "connection": 1}))["exists"], false);
    assert!(!server.log().contains("are no commands"), "{server}");

    for _ in 0..100 {
        puppet.order("\u{1}");
    }
    server.wait_log("ERROR p: 100 invalid commands in a row; killing the side process");
    expect_ended_and_back(&server, &puppet);
}

#[test]
fn a_line_beyond_16_mib_ends_it() {
    let server = Server::start(Setup::default().config_toml(&table("p", "")));
    let puppet = Puppet::of(&server, "p");
    let mut client = Client::connect(&server);
    puppet.order("#long 20971520");
    client.expect_alive();
    server.wait_log("ERROR p: command longer than 16777216 bytes; killing the side process");
    expect_ended_and_back(&server, &puppet);
    client.expect_alive();
}

#[test]
fn a_program_that_is_never_ready_is_ended_after_10_s_and_the_server_serves_meanwhile() {
    let future =
        "[ -e p.0.mute ] && { printf '{\"do\":\"ready\",\"protocol\":2}\\n' >&4; sleep 1000; };";
    let config = table("p", "") + &shell("future", &format!("{future} {READY} read -r _ <&3"), "");
    let server = Server::start(Setup::default().config_toml(&config));
    let puppet = Puppet::of(&server, "p");
    puppet.be_mute();
    let begun = Instant::now();
    server.signal(Signal::Usr2);
    for name in ["p", "future"] {
        wait_process(&server, name, |process| process["state"] == "starting");
    }
    Client::connect(&server).expect_alive();
    // A command is no answer to `hello`, and its pipe is not what is watched.
    let process = wait_process(&server, "p", |process| process["restarts"] == 1);
    assert!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(process["last_exit"], "exit code 137");
    server.wait_log("ERROR p: not ready within 10s");
    server.wait_log("ERROR future: not ready within 10s");
    server.stop().expect_code(0);
}

#[test]
fn a_program_that_is_not_ready_yet_is_stopped_as_well() {
    let server = Server::start(Setup::default().config_toml(&table("p", "")));
    Puppet::of(&server, "p").be_mute();
    server.signal(Signal::Usr2);
    wait_process(&server, "p", |process| process["state"] == "starting");
    let begun = Instant::now();
    server.stop().expect_code(0);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_host_sleeps_although_a_tick_is_due_before_its_program_is_ready() {
    let setup = Setup::default().config_toml(&table("p", "tick = \"100ms\""));
    let server = Server::start(setup);
    Puppet::of(&server, "p").be_mute();
    server.signal(Signal::Usr2);
    let process = wait_process(&server, "p", |process| process["state"] == "starting");
    let host = process["pid"].as_u64().expect("a number") as u32;
    let begun = Instant::now();
    eventually("a tick to be due", PATIENCE, || {
        (begun.elapsed() > Duration::from_millis(300)).then_some(())
    });
    let (begun, before) = (Instant::now(), cpu_ms(host));
    eventually("a second", PATIENCE, || (begun.elapsed().as_secs() >= 1).then_some(()));
    let used = cpu_ms(host) - before;
    assert!(used < 300, "the host used {used} ms of a second, doing nothing");
    server.stop().expect_code(0);
}

#[test]
fn descriptors_that_a_program_closes_cost_nothing() {
    let wait = "exec sleep 1000";
    let config =
        shell("no-events", &format!("{READY} exec 3<&-; {wait}"), "events = [\"message\"]")
            + &shell("no-commands", &format!("{READY} exec 4>&-; {wait}"), "")
            + &shell("no-output", &format!("{READY} exec >&- 2>&-; {wait}"), "")
            + &shell("nothing", &format!("{READY} exec 3<&- 4>&- <&- >&- 2>&-; {wait}"), "");
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    let names = ["no-events", "no-commands", "no-output", "nothing"];
    let hosts = names.map(|name| Puppet::of(&server, name).host());
    let mut client = Client::open(server.addr(), "/");
    for _ in 0..100 {
        slowest_echo(&mut client);
    }
    let before = hosts.map(cpu_ms);
    let begun = Instant::now();
    eventually("a second", PATIENCE, || (begun.elapsed().as_secs() >= 1).then_some(()));
    for ((name, host), before) in names.into_iter().zip(hosts).zip(before) {
        let used = cpu_ms(host) - before;
        assert!(used < 300, "the host of {name} used {used} ms of a second, doing nothing");
        assert!(is_alive(host), "{name}");
    }
    server.stop().expect_code(0);
}

#[test]
fn a_host_that_stands_still_is_killed_at_the_end_and_its_program_with_it() {
    let config = "[server]\nstop_timeout = \"2s\"\n\n".to_owned()
        + &table("p", "events = [\"message\"]\nstop_timeout = \"1s\"");
    let setup = Setup::default().workers(2).app(App::Echo).config_toml(&config);
    let server = Server::start(setup);
    let puppet = Puppet::of(&server, "p");
    let (host, program) = (puppet.host(), puppet.pid());
    puppet.order("#start exec setsid sleep 1000");
    assert!(signal(host, Signal::Stop));
    let mut client = Client::open(server.addr(), "/");
    let long = "x".repeat(10_000);
    for _ in 0..1_000 {
        client.send_text(&long);
        client.expect_text(&long);
    }
    assert!(slowest_echo(&mut client) < Duration::from_secs(1), "its mailbox is full");
    client.close();
    let begun = Instant::now();
    server.stop();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(6), "{took:?}");
    eventually("the end of both", PATIENCE, || {
        (!is_alive(host) && !is_alive(program)).then_some(())
    });
}
