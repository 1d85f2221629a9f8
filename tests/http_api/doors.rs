//! The HTTP interface by way of a chosen worker: the kernel chooses who gets a connection, so connections are opened
//! until each worker has answered on one.

use serde_json::Value;

use crate::support::{Deadline, KeepAlive, PATIENCE, Reply, Server};

/// One kept-alive connection to each worker.
#[derive(Debug)]
pub(crate) struct Doors {
    authorization: String,
    /// In the order of the slots.
    open: Vec<KeepAlive>,
}

impl Doors {
    #[track_caller]
    pub(crate) fn open(server: &Server, workers: u16) -> Self {
        let mut found: Vec<Option<KeepAlive>> = (0..workers).map(|_| None).collect();
        let deadline = Deadline::after(PATIENCE);
        while found.iter().any(Option::is_none) {
            assert!(!deadline.has_passed(), "a worker never answered: {found:?}");
            let (worker, door) = Self::any(server);
            let place = found.get_mut(usize::from(worker)).expect("a slot of this server");
            place.get_or_insert(door);
        }
        let open = found.into_iter().flatten().collect();
        Self { authorization: format!("Bearer {}", server.api_key()), open }
    }

    /// A connection, and the worker it came to.
    #[track_caller]
    pub(crate) fn any(server: &Server) -> (u16, KeepAlive) {
        let mut door = KeepAlive::open(server.addr());
        let health = door.request("GET", "/health", &[], b"").expect_status(200).json();
        (health["worker"].as_u64().and_then(|slot| slot.try_into().ok()).expect("a slot"), door)
    }

    /// The slots behind the doors.
    pub(crate) fn slots(&self) -> std::ops::Range<usize> {
        0..self.open.len()
    }

    /// Sends a command and waits for its answer.
    #[track_caller]
    pub(crate) fn post(&mut self, door: usize, command: &str, body: &Value) -> Reply {
        self.begin(door, command, body);
        self.open[door].receive("POST")
    }

    /// As [`Self::post`], for an answer that must be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, door: usize, command: &str, body: &Value, answer: &Answer<'_>) {
        let reply = self.post(door, command, body);
        let shown = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status, answer.status, "{command} at door {door}: {shown}");
        let found = reply.json();
        for (field, value) in answer.fields.as_object().expect("the fields of an object") {
            assert_eq!(&found[field], value, "field {field} of {found}");
        }
    }

    /// Sends a command and does not wait.
    #[track_caller]
    pub(crate) fn begin(&mut self, door: usize, command: &str, body: &Value) {
        let headers = [("Authorization", self.authorization.as_str())];
        let path = format!("/api/{command}");
        self.open[door].send("POST", &path, &headers, body.to_string().as_bytes());
    }

    /// Waits for the answer to a command that was begun.
    #[track_caller]
    pub(crate) fn receive(&mut self, door: usize) -> Reply {
        self.open[door].receive("POST")
    }

    /// Sends any request and waits for its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, door: usize, method: &str, path: &str, body: &[u8]) -> Reply {
        let headers = [("Authorization", self.authorization.as_str())];
        self.open[door].request(method, path, &headers, body)
    }
}

/// What is expected of an answer: its status, and some fields of its body.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) fields: &'a Value,
}
