//! The server's HTTP interface under `/api`, in its own words. The replies are for the test to judge.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{
    http::{Reply, request},
    server::Server,
};

/// The interface, with a key.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    addr: SocketAddr,
    key: String,
}

impl Api {
    /// That of a server, with the right key.
    #[track_caller]
    pub(crate) fn of(server: &Server) -> Self {
        Self { addr: server.addr(), key: server.api_key() }
    }

    /// The same at another listener.
    pub(crate) fn at(&self, addr: SocketAddr) -> Self {
        Self { addr, key: self.key.clone() }
    }

    /// The same with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { addr: self.addr, key: key.to_owned() }
    }

    /// Sends a JSON value, as a text, to one connection.
    #[track_caller]
    pub(crate) fn push(&self, connection: u64, value: &Value) -> Reply {
        self.post("push", &json!({"connection": connection, "json": value}))
    }

    /// Sends a text to one connection.
    #[track_caller]
    pub(crate) fn push_text(&self, connection: u64, text: &str) -> Reply {
        self.post("push", &json!({"connection": connection, "text": text}))
    }

    /// Sends a JSON value, as a text, to every connection.
    #[track_caller]
    pub(crate) fn broadcast(&self, value: &Value) -> Reply {
        self.post("broadcast", &json!({"json": value}))
    }

    /// Sends a text to every connection.
    #[track_caller]
    pub(crate) fn broadcast_text(&self, text: &str) -> Reply {
        self.post("broadcast", &json!({"text": text}))
    }

    /// Sends a message to the subscribers of a channel, who get it as one of the channel's, without a sender.
    #[track_caller]
    pub(crate) fn publish(&self, channel: &str, message: &Value) -> Reply {
        self.post("publish", &json!({"channel": channel, "message": message}))
    }

    /// Closes a connection.
    #[track_caller]
    pub(crate) fn disconnect(&self, connection: u64, code: u16, reason: &str) -> Reply {
        self.post("disconnect", &json!({"connection": connection, "code": code, "reason": reason}))
    }

    /// What its owner knows of a connection.
    #[track_caller]
    pub(crate) fn connection(&self, connection: u64) -> Reply {
        self.call("GET", &format!("/api/connections/{connection}"), b"")
    }

    /// Any command with any body.
    #[track_caller]
    pub(crate) fn post(&self, command: &str, body: &Value) -> Reply {
        self.call("POST", &format!("/api/{command}"), body.to_string().as_bytes())
    }

    /// Any request, with the key.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        request(self.addr, method, path, &headers, body)
    }
}
