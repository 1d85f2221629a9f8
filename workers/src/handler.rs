//! What an application is told. It is called on the worker's loop, so nothing it does may block.

use wsmaster_ipc::{Address, LeaveReason, LifeEvent};
use wsmaster_protocol::http::{RequestHead, Response};

pub use crate::vocabulary::{
    Closed, ClosedBy, HttpHead, HttpRequest, Message, Responder, Undecided, Verdict,
};
use crate::{context::Context, timers::TimerId};

/// An application. Each worker has one of its own, made after the fork.
///
/// During `on_open`, `on_message`, `on_close` and `on_handshake` the context's [`Context::current`] is the connection in
/// question. A panic is caught and counted; it costs the connection it happened on and nothing else.
pub trait Handler {
    /// The worker is about to serve.
    fn on_start(&mut self, _context: &mut Context<'_>) {}

    /// A client asks to become a WebSocket; its request is valid. Any other answer can be given before it is one. Who has to
    /// ask somebody first takes [`Context::undecided`] along and answers [`Verdict::Later`].
    fn on_handshake(&mut self, _context: &mut Context<'_>, _head: &RequestHead) -> Verdict {
        Verdict::accept()
    }

    /// The connection is a WebSocket now.
    fn on_open(&mut self, _context: &mut Context<'_>) {}

    /// A message came. Text is valid UTF-8.
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>);

    /// The WebSocket is over: called exactly once for each `on_open`, whatever ended it, as long as the worker lives.
    fn on_close(&mut self, _context: &mut Context<'_>, _closed: &Closed) {}

    /// The head of a request came, and not yet all of its body. An answer refuses the request: it is given before the client is
    /// asked to go on (`Expect: 100-continue`) and before any more of the body is taken, and ends the connection. `None` has
    /// the body taken and [`Self::on_request`] called.
    ///
    /// What can be refused for its head alone should be refused here, so that nobody makes the server hold a body that it
    /// will not look at; and in `on_request` too, since a body that came together with its head is not asked about.
    fn on_request_head(
        &mut self,
        _context: &mut Context<'_>,
        _head: &HttpHead<'_>,
    ) -> Option<Response> {
        None
    }

    /// An ordinary HTTP request came. It is answered with [`Context::respond`], now or later.
    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        _request: HttpRequest,
        responder: Responder,
    ) {
        context.respond(responder, &Response::error(404, "there is nothing here"));
    }

    /// A timer has come that was started with [`Context::after`] or [`Context::tick`].
    fn on_timer(&mut self, _context: &mut Context<'_>, _timer: TimerId) {}

    /// Something happened to the server or to one of its workers, this one or another.
    ///
    /// Nothing of an application runs in the master, where it could hold up every other worker: what Swoole calls in its
    /// manager (`onWorkerError`, `onBeforeReload`, `onAfterReload`) is told to each worker instead, this one included. Whoever
    /// acts on it for the server as a whole chooses one worker for that, or does so in a side process.
    fn on_life(&mut self, _context: &mut Context<'_>, _event: LifeEvent) {}

    /// The worker begins to leave. Its connections are open and have not been told: what is sent to them here still comes
    /// before the close frame. New clients are its successor's from now on, or nobody's when the server stops.
    fn on_leave(&mut self, _context: &mut Context<'_>, _reason: LeaveReason) {}

    /// The last call of a worker that leaves: its connections are gone, each with its `on_close`, or have had their time.
    /// What is kept in memory can be put away here, within two seconds. A worker that dies is not asked; the others hear
    /// of it as [`LifeEvent::WorkerError`].
    fn on_stop(&mut self, _context: &mut Context<'_>, _reason: LeaveReason) {}

    /// Another process of the server sent a message. While a worker leaves, its successor is told.
    fn on_process_message(
        &mut self,
        _context: &mut Context<'_>,
        _from: Address,
        _message: Message<'_>,
    ) {
    }
}
