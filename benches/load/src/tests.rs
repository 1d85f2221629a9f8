//! Whole scenarios against small servers made with tungstenite, one thread for each connection; good and bad ones.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::arguments::{Churn, Echo, Fanout, Idle, Push, Server, Window};
use crate::error::LoadError;
use crate::{churn, echo, fanout, idle, push};

const WINDOW: Window =
    Window { seconds: Duration::from_millis(200), warmup: Duration::from_millis(20) };

/// A server that lives until the tests end; this process is the one whose CPU time counts.
fn serve(serve_one: impl Fn(WebSocket<TcpStream>) + Clone + Send + 'static) -> Server {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let addr = listener.local_addr().expect("the address bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve_one = serve_one.clone();
            thread::spawn(move || tungstenite::accept(stream).map(serve_one).is_ok());
        }
    });
    Server { addr, pids: vec![std::process::id()], tls: false, resume: false }
}

/// Answers each message with what `reply` makes of it.
fn answer(reply: fn(Message) -> Message) -> Server {
    serve(move |mut socket| {
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(reply(message)).is_err() {
                break;
            }
        }
    })
}

/// As [`answer`] with what came, in TLS.
fn secure_echo(resume: bool) -> Server {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a certificate and its key");
    let config = Arc::new(config);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let addr = listener.local_addr().expect("the address bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = ServerConnection::new(config.clone()).expect("a configuration");
            thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(StreamOwned::new(session, stream)) else {
                    return;
                };
                while let Ok(message) = socket.read() {
                    if message.is_text() && socket.send(message).is_err() {
                        break;
                    }
                }
            });
        }
    });
    Server { addr, pids: vec![std::process::id()], tls: true, resume }
}

fn echo_of(bytes: u64, burst: u32) -> Echo {
    Echo { connections: 4, bytes, burst, window: WINDOW }
}

#[test]
fn echo_counts_whole_bursts_of_any_size() {
    let server = answer(|message| message);
    for (bytes, burst) in [(1, 1), (20, 16), (125, 1), (126, 3), (70_000, 2)] {
        let report = echo::run(&server, &echo_of(bytes, burst)).expect("an echo server");
        assert!(report.figure("messages") > 0.0, "{bytes} bytes");
        assert!(report.figure("burst_p99_us") >= report.figure("burst_p50_us"), "{bytes} bytes");
    }
}

#[test]
fn echo_counts_the_same_in_tls() {
    let server = secure_echo(false);
    for (bytes, burst) in [(1, 1), (20, 16), (70_000, 3)] {
        let report = echo::run(&server, &echo_of(bytes, burst)).expect("an echo server");
        assert!(report.figure("messages") > 0.0, "{bytes} bytes");
    }
    let result = echo::run(&Server { tls: false, ..server }, &echo_of(20, 1));
    assert!(result.is_err(), "in the clear: {result:?}");
}

#[test]
fn churn_tells_full_handshakes_from_resumed_ones() {
    let churn_of = Churn { rate: 100, bytes: 20, window: WINDOW };
    for (resume, share) in [(false, 0.0..=0.0), (true, 0.5..=1.0)] {
        let report = churn::run(&secure_echo(resume), &churn_of).expect("an echo server");
        assert!(report.figure("connections") > 0.0);
        let resumed = report.figure("tls_resumed_share");
        assert!(share.contains(&resumed), "{resumed} with resume {resume}");
    }
}

#[test]
fn echo_finds_a_server_that_answers_wrongly() {
    let wrong: [fn(Message) -> Message; 3] = [
        |_| Message::text("something else of 20"),
        |message| Message::text(message.into_text().unwrap_or_default()[1..].to_owned()),
        |message| Message::text(format!("{message}.")),
    ];
    for reply in wrong {
        let result = echo::run(&answer(reply), &echo_of(20, 2));
        assert!(matches!(result, Err(LoadError::Message { .. })), "{result:?}");
    }
    let result = echo::run(&answer(|_| Message::Close(None)), &echo_of(20, 1));
    assert!(matches!(result, Err(LoadError::Closed { .. })), "{result:?}");
}

#[test]
fn echo_tells_when_nobody_listens() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let addr = listener.local_addr().expect("the address bound");
    drop(listener);
    let result =
        echo::run(&Server { addr, pids: vec![], tls: false, resume: false }, &echo_of(20, 1));
    assert!(matches!(result, Err(LoadError::Connection { .. })), "{result:?}");
}

#[test]
fn churn_visits_at_the_rate_asked_for() {
    let arguments = Churn { rate: 200, bytes: 20, window: WINDOW };
    let report = churn::run(&answer(|message| message), &arguments).expect("an echo server");
    let visits = report.figure("connections");
    assert!((10.0..=60.0).contains(&visits), "{visits} visits in 0.2 s");
}

#[test]
fn idle_asks_some_whether_they_live() {
    let arguments = Idle { connections: 40, hold: Duration::from_millis(10) };
    let report = idle::run(&answer(|message| message), &arguments).expect("a server");
    assert_eq!(report.figure("pongs"), 16.0);
    assert!(report.figure("rss_bytes_after") > 0.0);
}

/// What a message makes a room say: first to its sender alone, then to everyone.
type Say = fn(&str) -> (Option<&'static str>, Vec<String>);

/// A server in which all connections hear each other.
fn room(say: Say) -> Server {
    let (tell, told) = channel::<(usize, Told)>();
    thread::spawn(move || {
        let mut members = HashMap::new();
        for (from, told) in told {
            let text = match told {
                Told::Joins(stream) => {
                    members.insert(from, WebSocket::from_raw_socket(stream, Role::Server, None));
                    continue;
                }
                Told::Says(text) => text,
            };
            let (reply, spread) = say(&text);
            // A client that has left receives nothing; that is no failure.
            if let (Some(reply), Some(member)) = (reply, members.get_mut(&from)) {
                let _ = member.send(Message::text(reply));
            }
            for text in spread {
                for member in members.values_mut() {
                    let _ = member.send(Message::text(text.clone()));
                }
            }
        }
    });
    let members = Arc::new(AtomicUsize::new(0));
    serve(move |mut socket| {
        let id = members.fetch_add(1, Ordering::Relaxed);
        let Ok(stream) = socket.get_ref().try_clone() else { return };
        let mut next = Some(Told::Joins(stream));
        while let Some(message) = next.take() {
            if tell.send((id, message)).is_err() {
                return;
            }
            next = loop {
                match socket.read() {
                    Ok(Message::Text(text)) => break Some(Told::Says(text.to_string())),
                    // The pings of listeners that have nothing to say.
                    Ok(_) => {}
                    Err(_) => break None,
                }
            };
        }
    })
}

enum Told {
    Joins(TcpStream),
    Says(String),
}

fn fanout_to(receivers: u32, channels: bool) -> Fanout {
    Fanout { receivers, bytes: 128, burst: 4, channels, window: WINDOW }
}

#[test]
fn fanout_counts_what_listeners_hear() {
    let server = room(|text| (None, vec![text.to_owned()]));
    let report = fanout::run(&server, &fanout_to(5, false)).expect("a broadcast server");
    assert!(report.figure("deliveries") > 0.0);
    assert_eq!(report.figure("delivered_bytes"), 128.0);
}

#[test]
fn fanout_finds_a_server_that_doubles_or_changes() {
    let wrong: [Say; 2] = [
        |text| (None, vec![text.to_owned(), text.to_owned()]),
        |text| (None, vec![format!("{text}!")]),
    ];
    for say in wrong {
        let result = fanout::run(&room(say), &fanout_to(3, false));
        assert!(matches!(result, Err(LoadError::Message { .. })), "{result:?}");
    }
}

/// The channel protocol, as far as one room needs it.
fn channel_room(text: &str) -> (Option<&'static str>, Vec<String>) {
    let message = text.split(r#""message":"#).nth(1).unwrap_or_default().trim_end_matches('}');
    match text {
        r#"{"action":"subscribe","data":{"channel":"bench.room"}}"# => {
            (Some(r#"{"success":true,"action":"subscribe","channel":"bench.room"}"#), vec![])
        }
        _ => (
            Some(r#"{"success":true,"action":"message_sent","channel":"bench.room"}"#),
            vec![format!(r#"{{"action":"message","sender":1,"message":{message},"time":1.5}}"#)],
        ),
    }
}

#[test]
fn fanout_speaks_the_channel_protocol() {
    let report = fanout::run(&room(channel_room), &fanout_to(5, true)).expect("a channel server");
    assert!(report.figure("deliveries") > 0.0);
    assert_eq!(report.figure("delivered_bytes"), 128.0);
}

#[test]
fn fanout_tells_a_refusal() {
    let server = room(|_| (Some(r#"{"success":false,"code":"forbidden"}"#), vec![]));
    let result = fanout::run(&server, &fanout_to(3, true));
    assert!(matches!(&result, Err(LoadError::Message { what, .. }) if what.contains("forbidden")));
}

/// A server that pushes rounds of texts to all but who asks for them; `text` writes the one with a number.
fn pusher(text: fn(u64) -> String) -> Server {
    let members = Arc::new(Mutex::new(HashMap::new()));
    let (next, number) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    serve(move |mut socket| {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let Ok(stream) = socket.get_ref().try_clone() else { return };
        let member = WebSocket::from_raw_socket(stream, Role::Server, None);
        members.lock().expect("no panic").insert(id, member);
        while let Ok(message) = socket.read() {
            let Ok(order) = message.into_text() else { continue };
            let mut members = members.lock().expect("no panic");
            let others = members.len() - 1;
            let answer = match order.split(' ').collect::<Vec<_>>().as_slice() {
                ["list"] => format!("{others} connections"),
                ["round", each, _] => {
                    for _ in 0..each.parse().expect("a number") {
                        let text = text(number.fetch_add(1, Ordering::Relaxed) as u64 + 1);
                        for (_, member) in members.iter_mut().filter(|(other, _)| **other != id) {
                            let _ = member.send(Message::text(text.clone()));
                        }
                    }
                    format!("pushed {each}")
                }
                _ => continue,
            };
            if socket.send(Message::text(answer)).is_err() {
                return;
            }
        }
    })
}

const PUSH: Push =
    Push { connections: 3, bytes: 32, burst: 4, every: Duration::ZERO, window: WINDOW };

#[test]
fn push_counts_what_arrives_and_how_long_it_took() {
    let server = pusher(|number| format!("{number:010} 1760000000123456 ...."));
    let report = push::run(&server, &PUSH).expect("a pushing server");
    assert!(report.figure("messages") > 0.0);
    assert!(report.figure("push_p99_us") > 1e6, "the texts say that they were written long ago");
}

#[test]
fn push_finds_a_server_that_loses_doubles_or_changes() {
    let wrong: [fn(u64) -> String; 3] = [
        |number| format!("{:010} 1760000000123456 ....", number * 2),
        |number| format!("{:010} 1760000000123456 ....", number.div_ceil(2)),
        |number| format!("{number:010} 1760000000123456 ..,."),
    ];
    for text in wrong {
        let result = push::run(&pusher(text), &PUSH);
        assert!(matches!(result, Err(LoadError::Message { .. })), "{result:?}");
    }
}

#[test]
fn push_keeps_to_its_pace() {
    let server = pusher(|number| format!("{number:010} 1760000000123456 ...."));
    let paced = Push { every: Duration::from_millis(50), ..PUSH };
    let messages = push::run(&server, &paced).expect("a pushing server").figure("messages");
    // At most five rounds begin within 200 ms, and the one before.
    assert!((12.0..=72.0).contains(&messages), "{messages}");
}
