//! Clients that connect, say hello and leave, again and again, while something is done to the server.

#![allow(
    dead_code,
    reason = "each test program compiles this module for itself and uses its part of it"
)]

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tungstenite::{Error, HandshakeError, Message, WebSocket, client::IntoClientRequest};

/// How long one client waits for each of its steps: a queue in front of a worker that is being replaced takes its time.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of one attempt.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Landing {
    /// The welcome came.
    Served,
    /// A close frame came where the welcome was expected, or an answer with this code: told to come back.
    ToldToComeBack(u16),
    /// The kernel refused or reset the connection before there was one.
    Refused(String),
    /// The connection broke before its first message, and nobody said why.
    Broken(String),
}

/// Threads that connect until they are told to stop.
#[derive(Debug)]
pub(crate) struct Storm {
    stop: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<Landing>>>,
}

/// What came of all attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Landings(pub(crate) BTreeMap<Landing, usize>);

impl Storm {
    /// Begins, with so many clients at a time.
    pub(crate) fn begin(addr: SocketAddr, clients: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let attempts = Arc::new(AtomicUsize::new(0));
        let threads = (0..clients)
            .map(|_| {
                let (stop, attempts) = (stop.clone(), attempts.clone());
                thread::spawn(move || {
                    let mut landings = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        landings.push(visit(addr));
                        attempts.fetch_add(1, Ordering::Relaxed);
                    }
                    landings
                })
            })
            .collect();
        Self { stop, attempts, threads }
    }

    /// Attempts so far.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Ends, and tells what came of it.
    #[track_caller]
    pub(crate) fn end(self) -> Landings {
        self.stop.store(true, Ordering::Relaxed);
        let mut landings = BTreeMap::new();
        for thread in self.threads {
            for landing in thread.join().expect("a client does not panic") {
                *landings.entry(landing).or_default() += 1;
            }
        }
        Landings(landings)
    }
}

impl Landings {
    /// How many attempts are as wanted.
    pub(crate) fn count(&self, wanted: impl Fn(&Landing) -> bool) -> usize {
        self.0.iter().filter(|(landing, _)| wanted(landing)).map(|(_, count)| count).sum()
    }

    /// Attempts that the kernel refused.
    pub(crate) fn refused(&self) -> usize {
        self.count(|landing| matches!(landing, Landing::Refused(_)))
    }

    /// Attempts that broke after the connection was made.
    pub(crate) fn broken(&self) -> usize {
        self.count(|landing| matches!(landing, Landing::Broken(_)))
    }
}

fn visit(addr: SocketAddr) -> Landing {
    let stream = match TcpStream::connect_timeout(&addr, PATIENCE) {
        Ok(stream) => stream,
        Err(error) => return Landing::Refused(error.to_string()),
    };
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    if let Err(error) = prepared {
        return Landing::Broken(error.to_string());
    }
    let request = format!("ws://{addr}/").into_client_request().expect("a good address");
    let mut socket = match tungstenite::client(request, stream) {
        Ok((socket, _)) => socket,
        Err(HandshakeError::Failure(Error::Http(answer))) => {
            return Landing::ToldToComeBack(answer.status().as_u16());
        }
        Err(error) => return Landing::Broken(format!("handshake: {error}")),
    };
    let landing = match socket.read() {
        Ok(Message::Text(_)) => Landing::Served,
        Ok(Message::Close(Some(frame))) => Landing::ToldToComeBack(frame.code.into()),
        Ok(other) => Landing::Broken(format!("{other:?} instead of a welcome")),
        Err(error) => Landing::Broken(format!("welcome: {error}")),
    };
    leave(socket);
    landing
}

/// Says good-bye. What comes of it is not this client's business any more.
fn leave(mut socket: WebSocket<TcpStream>) {
    let _ = socket.close(None);
    while socket.read().is_ok() {}
}
