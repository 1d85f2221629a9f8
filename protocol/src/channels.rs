//! The JSON messages of the built-in channel application.
//!
//! This module owns the text of that protocol in both directions: it reads requests and writes replies. It never knows
//! who is subscribed to what, never sends anything and never looks at a clock.
//!
//! # Requests
//!
//! To add an action, add its row in `action.rs`, with a reader for each new field of `data`, and its effect in the application.
//!
//! One WebSocket text message is one JSON object (RFC 8259):
//!
//! ```json
//! {"action": "message",
//!  "data": {"channel": "chat.room.1", "message": {"any": "JSON value"}, "recipients": [11, 12]},
//!  "id": 7}
//! ```
//!
//! | `action` | in `data` | answer |
//! |---|---|---|
//! | `subscribe` | `channel` | success; subscribing twice is a success too |
//! | `unsubscribe` | `channel` | success |
//! | `message` | `channel`, `message`, optional `recipients` | success, and a delivery to each receiver |
//! | `ping` | nothing | `pong` |
//! | `pong` | nothing | none |
//!
//! `id` is optional: a string or a number of the client's choice, returned unchanged in the answer. `null` for a field
//! means that it is absent, except for `message`, where `null` is a value. Fields with other names are ignored. A field
//! of these names that is given twice is refused, because two readers of one text must not see two different requests.
//!
//! # Replies
//!
//! | what | text |
//! |---|---|
//! | [`welcome`](reply::welcome) | `{"action":"welcome","heartbeat_interval":30,"connection_id":1,"authenticated":false,"worker":2}` |
//! | [`success`](reply::success) | `{"success":true,"action":"subscribe","channel":"chat.room.1","id":7}` |
//! | [`success`](reply::success) of a `message` | `{"success":true,"action":"message_sent","channel":"chat.room.1","id":7}` |
//! | [`delivery`](reply::delivery) | `{"action":"message","channel":"chat.room.1","sender":1,"message":"hi","time":1760000000.123}` |
//! | [`error`](reply::error) | `{"success":false,"action":"error","code":"not_subscribed","error":"…","request_action":"message","channel":"chat.room.1","id":7}` |
//! | [`ping`](reply::ping), [`pong`](reply::pong) | `{"action":"ping"}`, `{"action":"pong","id":7}` |
//!
//! Every reply has an `action`, so that a client can tell them apart with one `switch`; for an error it is `error`, and
//! what was asked stands in `request_action`. Clients decide on `code`, which is stable; `error` is for people.

mod action;
mod depth;
mod error;
mod error_code;
mod fields;
mod id;
mod limits;
mod name;
#[cfg(test)]
mod properties;
pub mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use action::{Action, ActionName};
pub use error::ProtocolError;
pub use error_code::ErrorCode;
pub use id::RequestId;
pub use limits::ChannelLimits;
pub use name::{check_name, needs_permission};
pub use request::{Request, parse};
