//! New certificates: under load, without closing a connection; and what a reload of everything means for TLS.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    client::{Secure, Way, echo},
    kernel,
    place::Place,
    support::{PATIENCE, Server, eventually},
};

/// The certificate that a client is shown.
fn shown(way: &Way, server: &Server) -> Vec<u8> {
    let fresh = Way { config: Arc::new((*way.config).clone()), ..way.clone() };
    let mut config = (*fresh.config).clone();
    config.resumption = rustls::client::Resumption::disabled();
    let tls = Way { config: Arc::new(config), ..fresh }.connect(server.addr()).expect("it serves");
    tls.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[test]
fn certificates_are_exchanged_under_load_and_nobody_notices() {
    const EXCHANGES: usize = 10;
    let place = Place::new();
    let server = Server::start(place.setup("").workers(2));
    let pids = server.worker_pids();
    let way = place.way();
    let mut old: Vec<Secure> = (0..8).map(|_| way.open(server.addr())).collect();

    let addr = server.addr();
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Some resume and some do not.
                let (mut way, mut number) = (place.way(), 0);
                while !stop.load(Ordering::Relaxed) {
                    if number % 5 == 0 {
                        way = place.way();
                    }
                    let mut socket = way.open(addr);
                    echo(&mut socket, format!("message {number}"));
                    number += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for exchange in 0..EXCHANGES {
            let new = place.authority.server(&["localhost"]);
            new.write(place.path(), "own");
            let output = server.reload().expect_code(0);
            assert!(output.stdout.contains("the certificate was exchanged"), "{output}");
            eventually("the new certificate", PATIENCE, || {
                (shown(&way, &server) == new.certificate.der().to_vec()).then_some(())
            });
            for socket in &mut old {
                echo(socket, format!("still here after {exchange}"));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(done.load(Ordering::Relaxed) > EXCHANGES, "there was no load to speak of");
    assert_eq!(server.worker_pids(), pids, "no worker was replaced");
    assert_eq!(server.status()["totals"]["tls_failures"], 0);
}

#[test]
fn what_is_wrong_with_new_files_is_told_and_the_old_ones_stay() {
    let place = Place::new();
    let server = place.serve();
    let way = place.way();
    let before = shown(&way, &server);
    let mut socket = way.open(server.addr());
    let other = Place::new();
    for (what, file, text) in [
        ("does not belong to the certificate", "own.key", other.own.key_pem()),
        ("expected a certificate in PEM form", "own.pem", "nothing".to_owned()),
        ("expected PEM", "own.pem", "-----BEGIN CERTIFICATE-----\nMII\n".to_owned()),
    ] {
        let path = place.at(file);
        let good = std::fs::read(&path).expect("it is there");
        std::fs::write(&path, text).expect("it is ours");
        for arguments in [&["reload"][..], &["reload", "--certificates"]] {
            let output = server.cli(arguments).expect_code(2);
            assert!(output.stderr.contains(what), "{arguments:?}: {output}");
            assert!(output.stderr.contains(": tls."), "{output}");
        }
        assert_eq!(shown(&way, &server), before);
        std::fs::write(&path, good).expect("it is ours");
    }
    std::fs::remove_file(place.at("own.key")).expect("it is there");
    server.signal(crate::support::Signal::Hup);
    server.wait_log("own.key cannot be read: No such file");
    assert_eq!(shown(&way, &server), before);
    echo(&mut socket, "as it was");
}

#[test]
fn a_reload_of_certificates_alone_replaces_nobody_even_if_nothing_is_new() {
    let place = Place::new();
    let server = place.serve();
    let pid = server.worker_pid(0);
    let output = server.cli(&["reload", "--certificates"]).expect_code(0);
    assert!(output.stdout.contains("are those that are shown already"), "{output}");
    assert_eq!(server.worker_pid(0), pid);

    // Whereas everything is what a reload is asked for without that.
    let mut socket = place.way().open(server.addr());
    let reload = server.cli_begin(&["reload"]);
    match socket.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Away),
        other => panic!("expected a close with 1001, found {other:?}"),
    }
    reload.wait().expect_code(0);
    server.wait_replaced(0, pid);
    echo(&mut place.way().open(server.addr()), "the successor");
}

#[test]
fn tls_can_be_turned_on_and_off_by_a_reload() {
    let place = Place::new();
    let server = place.serve();
    let pid = server.worker_pid(0);
    server.rewrite_config("");
    server.reload().expect_code(0);
    let plain = server.wait_replaced(0, pid);
    crate::support::Client::open(server.addr(), "/").close();
    server.rewrite_config(&place.section(""));
    server.reload().expect_code(0);
    server.wait_replaced(0, plain);
    echo(&mut place.way().open(server.addr()), "on again");
}

#[test]
fn a_killed_worker_is_replaced_by_one_that_speaks_tls() {
    let place = Place::new();
    let server = Server::start(place.setup("").workers(2));
    let new = place.authority.server(&["localhost"]);
    new.write(place.path(), "own");
    server.cli(&["reload", "--certificates"]).expect_code(0);
    for slot in 0..2 {
        let pid = server.kill_worker(slot, crate::support::Signal::Kill);
        server.wait_replaced(slot, pid);
    }
    for _ in 0..20 {
        assert_eq!(shown(&place.way(), &server), new.certificate.der().to_vec());
    }
    assert!(kernel::send(server.pid(), "HUP"));
}
