//! What programs say to the clients when the server stops arrives before the clients are closed, and holds nobody up who says
//! nothing.

use std::time::{Duration, Instant};

use crate::{
    puppet::shell,
    support::{App, Client, Closing, End, PATIENCE, Running, Server, Setup, Swarm},
};

/// Without it the close frames are spread over this time anyway, and some come late by chance.
const AT_ONCE: &str = "[server]\nreconnect_spread = 0\n";

fn start(process: &str) -> Server {
    let config = format!("{AT_ONCE}{process}");
    Server::start(Setup::default().workers(2).app(App::Echo).config_toml(&config))
}

fn stopping(server: &Server) -> (Running, Instant) {
    (server.cli_begin(&["stop"]), Instant::now())
}

#[test]
fn what_programs_say_at_a_stop_reaches_every_client() {
    const CLIENTS: usize = 200;
    // The first word as soon as it hears of the stop, the second with its last breath.
    let program = r#"read -r _ <&3
        printf '{"do":"ready","protocol":1}\n' >&4
        while IFS= read -r event <&3; do
            case $event in
                '{"event":"server_stop"'*) printf '{"do":"broadcast","text":"we stop"}\n' >&4 ;;
                '{"event":"stop",'*) printf '{"do":"broadcast","text":"goodbye"}\n' >&4; exit 0 ;;
            esac
        done"#;
    let process = shell("farewell", program, "events = [\"server_stop\"]");
    let server = start(&process);
    let mut swarm = Swarm::open(server.addr(), CLIENTS);
    let (stop, begun) = stopping(&server);
    swarm.until("all to be closed", PATIENCE, |swarm| swarm.ends().count() == CLIENTS);
    for member in 0..CLIENTS {
        assert_eq!(swarm.texts(member), ["we stop", "goodbye"], "member {member}");
    }
    assert!(swarm.ends().all(|(_, end)| matches!(end, End::Closed(1001, _))));
    stop.wait().expect_code(0);
    // The program has ended at once, and nobody has waited for more.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn a_program_that_does_not_end_holds_the_clients_for_a_moment_only() {
    let program = r#"read -r _ <&3
        printf '{"do":"ready","protocol":1}\n' >&4
        trap '' TERM
        while :; do sleep 1; done"#;
    let process = shell("stubborn", program, "stop_timeout = \"8s\"");
    let server = start(&process);
    let mut client = Client::open(server.addr(), "/");
    let (stop, begun) = stopping(&server);
    // Connected, and served.
    client.send_text("still there?");
    client.expect_text("still there?");
    assert!(matches!(client.expect_end(PATIENCE), Closing::Frame(1001, _)));
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(6), "closed after {waited:?}, with the program's end");
    stop.wait().expect_code(0);
}
