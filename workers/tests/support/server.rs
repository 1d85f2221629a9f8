//! Workers in threads of this process, with everything that a master would give them. Each has a port of its own, so that
//! a test chooses the worker it connects to; mailboxes and board are shared as they are between processes.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    thread::{self, JoinHandle},
    time::{SystemTime, UNIX_EPOCH},
};

use wsmaster_workers::{
    HandshakeRules, Limits, ListenerRules, Listening, Proxies, Worker, WorkerSetup,
    ipc::{
        Handle, Slot,
        link::{self, MasterLink, Received, ToChild, ToMaster},
        mailbox::{Mailbox, MailboxPair},
        mailbox_sender::MailboxSender,
        relay,
        shared_state::{Counter, SerialClock, SharedState, WorkerStats},
        sys::{listener::Listener, memory::sealed_file, socket::listeners},
    },
    tls::{SealedCredentials, TicketKeys, TlsCredentials},
};

use super::{App, Client, Journal, WebSocket, eventually};

/// What one process lets wait for a mailbox that is full, in bytes.
const BACKLOG_BYTES_MAX: usize = 4 << 20;

/// A server whose workers are threads.
pub(crate) struct Server {
    pub(crate) shared_state: SharedState,
    pub(crate) journal: Journal,
    pub(crate) limits: Limits,
    /// What the workers that are started next encrypt with.
    pub(crate) tls: Option<(TlsCredentials, TicketKeys)>,
    places: Vec<Place>,
    workers: Vec<Running>,
}

/// What a slot keeps when its worker is replaced.
struct Place {
    listener: TcpListener,
    mailbox: MailboxPair,
    generation: u64,
}

/// One worker, seen from its master.
pub(crate) struct Running {
    pub(crate) slot: Slot,
    pub(crate) link: Option<MasterLink>,
    generation: u64,
    thread: Option<JoinHandle<io::Result<()>>>,
}

pub(crate) fn slot(number: u16) -> Slot {
    Slot::new(number).expect("a slot")
}

impl Server {
    /// A server with this many workers, all of them ready.
    pub(crate) fn start(workers: u16, limits: Limits) -> Self {
        let mut server = Self::empty(workers, limits);
        for number in 0..workers {
            server.start_worker(number);
        }
        server
    }

    /// A server with this many slots and nobody in them.
    pub(crate) fn empty(slots: u16, limits: Limits) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let shared_state = SharedState::new(
            slots,
            slots,
            SerialClock::new(wsmaster_workers::ipc::sys::clock::now().ms(), since_1970),
            42,
        )
        .expect("a shared_state");
        let place = || {
            let anywhere = "127.0.0.1:0".parse().expect("an address");
            let listener = listeners(anywhere, 4096, 1).expect("a listener").remove(0);
            let mailbox = MailboxPair::new().expect("a mailbox");
            Place { listener, mailbox, generation: 0 }
        };
        let places = (0..slots).map(|_| place()).collect();
        let journal = Journal::default();
        Self { shared_state, journal, limits, tls: None, places, workers: Vec::new() }
    }

    /// Puts a worker into a slot, or a successor beside one that is leaving, and waits until it is ready. Its place among
    /// [`Self::worker`].
    pub(crate) fn start_worker(&mut self, number: u16) -> usize {
        let handle = self.handle(number);
        let place = &mut self.places[usize::from(number)];
        let generation = place.generation;
        place.generation += 1;
        let listener = place.listener.try_clone().expect("a descriptor");
        let mailbox = place.mailbox.reader.try_clone().expect("a descriptor");
        let (link, child) = link::pair().expect("a line");
        let limits = self.limits.clone();
        let tls = self.tls.as_ref().map(|(credentials, keys)| SealedCredentials {
            credentials: sealed_file(&credentials.to_bytes()).expect("memory"),
            ticket_keys: sealed_file(keys.as_bytes()).expect("memory"),
        });
        let app = App::new(self.journal.clone());
        let slot = slot(number);
        let elder = self.join_to_elder(slot);
        let thread = thread::spawn(move || {
            let take_log = Box::new(drop);
            let seat = WorkerSetup {
                slot,
                generation,
                listeners: vec![Listening {
                    socket: Listener::Tcp(listener),
                    rules: ListenerRules { tls: tls.is_some(), ..ListenerRules::new(0, "main") },
                }],
                proxies: Proxies::default(),
                handshakes: HandshakeRules::default(),
                mailbox,
                link: child,
                handle,
                elder,
                limits,
                tls,
                connections: Vec::new(),
                take_log,
            };
            Worker::new(seat, app)?.run()
        });
        self.workers.push(Running { slot, link: Some(link), generation, thread: Some(thread) });
        let place = self.workers.len() - 1;
        self.expect_said(place, &ToMaster::Ready);
        place
    }

    /// As the master does: the line between the worker of this slot that was told to leave and its successor.
    fn join_to_elder(&self, slot: Slot) -> Option<OwnedFd> {
        let is_elder = |worker: &&Running| {
            worker.slot == slot && worker.thread.as_ref().is_some_and(|it| !it.is_finished())
        };
        let elder = self.workers.iter().rev().find(is_elder)?;
        let (writer, reader) = relay::pair().expect("a line");
        let said = elder.link.as_ref()?.send_with(&ToChild::Relay, reader.as_fd());
        said.then_some(writer)
    }

    /// A handle such as a process at this address has: of a worker, or of one that only sends.
    pub(crate) fn handle(&self, address: u16) -> Handle {
        let writers: Vec<OwnedFd> = self
            .places
            .iter()
            .map(|place| place.mailbox.writer.try_clone().expect("a descriptor"))
            .collect();
        let sender = MailboxSender::new(writers, BACKLOG_BYTES_MAX);
        Handle::new(slot(address).address(), self.shared_state.clone(), sender)
    }

    /// The mailbox of a slot that nobody is in, for a test that asks for itself.
    pub(crate) fn mailbox(&self, number: u16) -> Mailbox {
        let reader = &self.places[usize::from(number)].mailbox.reader;
        Mailbox::new(reader.try_clone().expect("a descriptor"))
    }

    pub(crate) fn address(&self, number: u16) -> SocketAddr {
        self.places[usize::from(number)].listener.local_addr().expect("an address")
    }

    /// A plain connection to the worker in a slot.
    #[track_caller]
    pub(crate) fn connect(&self, number: u16) -> Client {
        Client::connect(self.address(number))
    }

    /// A WebSocket on the worker in a slot, driven by an implementation that is not ours.
    #[track_caller]
    pub(crate) fn open(&self, number: u16) -> WebSocket {
        WebSocket::open(self.address(number), "/")
    }

    pub(crate) fn worker(&mut self, place: usize) -> &mut Running {
        &mut self.workers[place]
    }

    /// Tells a worker something, as its master.
    #[track_caller]
    pub(crate) fn say(&self, place: usize, message: &ToChild) {
        let link = self.workers[place].link.as_ref().expect("a line");
        assert!(link.send(message), "the line takes it");
    }

    /// Tells a worker something and hands it a duplicate of a descriptor, as its master.
    #[track_caller]
    pub(crate) fn say_with(&self, place: usize, message: &ToChild, descriptor: impl AsFd) {
        let link = self.workers[place].link.as_ref().expect("a line");
        assert!(link.send_with(message, descriptor.as_fd()), "the line takes it");
    }

    /// Waits for the next word of a worker.
    #[track_caller]
    pub(crate) fn expect_said(&self, place: usize, expected: &ToMaster) {
        eventually(&format!("the worker says {expected:?}"), || self.has_said(place, expected));
    }

    /// Whether a worker has said something, which must be this.
    #[track_caller]
    pub(crate) fn has_said(&self, place: usize, expected: &ToMaster) -> bool {
        let link = self.workers[place].link.as_ref().expect("a line");
        match link.receive() {
            Received::Message(message) => {
                assert_eq!(message, *expected);
                true
            }
            Received::Empty => false,
            Received::Malformed | Received::Closed => panic!("the worker does not speak"),
        }
    }

    /// Waits until a worker has returned from its loop.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, place: usize) {
        let thread = self.workers[place].thread.take().expect("not waited for yet");
        eventually("the worker ends", || thread.is_finished());
        thread.join().expect("no panic").expect("no error");
    }

    pub(crate) fn is_running(&self, place: usize) -> bool {
        self.workers[place].thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(crate) fn cell(&self, place: usize) -> WorkerStats {
        let worker = &self.workers[place];
        self.shared_state.worker_stats(worker.slot, worker.generation)
    }

    /// A counter of the worker that was started first.
    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.cell(0).read(counter)
    }

    #[track_caller]
    pub(crate) fn eventually_counts(&self, counter: Counter, expected: u64) {
        let end = std::time::Instant::now() + super::DEADLINE;
        while self.count(counter) != expected {
            let count = self.count(counter);
            assert!(
                std::time::Instant::now() < end,
                "{counter:?} is {count} and should be {expected}"
            );
            thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    /// A worker whose master is gone ends; one that does not is a fault of every test.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.link = None;
        }
        if thread::panicking() {
            return;
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                eventually("an orphan ends", || thread.is_finished());
                thread.join().expect("no panic").expect("no error");
            }
        }
        for number in 0..self.places.len() as u16 {
            for generation in 0..2 {
                let bytes = self
                    .shared_state
                    .worker_stats(slot(number), generation)
                    .read(Counter::OutboxBytes);
                assert!(bytes < 1 << 40, "a gauge went below zero: {bytes}");
            }
        }
    }
}
