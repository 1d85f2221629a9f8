//! One connection at a time: what was read from it is fed to it, and what it makes of that goes to the application.

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::deflate::Inflater;

use super::{
    budgets::{
        HELLOS_PER_TURN_MAX, INFLATED_BYTES_PER_TURN_MAX, MESSAGES_PER_TURN_MAX, READS_PER_TURN_MAX,
    },
    calls::Calls,
};
use crate::{
    conn_index::ConnIndex,
    connection::{Budget, Fed, as_message},
    handler::Handler,
};

/// The one buffer that all connections are read into, in bytes.
const RECEIVE_BYTES: usize = 64 * 1024;

/// What is used by one connection after the other, and what is left of a turn for all of them.
pub(crate) struct Buffers {
    /// What all connections are read into.
    receive: Vec<u8>,
    inflater: Inflater,
    /// Connections at which something may be overdue.
    pub(super) due: Vec<ConnIndex>,
    /// Connections whose first words of TLS may still be answered in this turn.
    hellos: usize,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            receive: vec![0; RECEIVE_BYTES],
            inflater: Inflater::new(),
            due: Vec::new(),
            hellos: 0,
        }
    }
}

impl<H: Handler> Calls<'_, H> {
    /// Serves the connections of which the poll has told, and then those that have work left.
    pub(crate) fn serve_all(&mut self, active: &mut Vec<ConnIndex>, buffers: &mut Buffers) {
        let again = self.state.fx.schedule.ready.len();
        buffers.hellos = HELLOS_PER_TURN_MAX;
        for index in active.drain(..) {
            self.serve(index, buffers);
        }
        for _ in 0..again {
            let Some(index) = self.state.fx.schedule.ready.pop_front() else { break };
            if let Some(connection) = self.state.connections.at_mut(index) {
                connection.flags.ready = false;
                self.serve(index, buffers);
            }
        }
        // The application is told of an end while the connection's facts are still there.
        self.run_callbacks();
        self.state.remove_closed();
    }

    /// Reads from a connection and handles what it has sent, as far as its share of the turn goes.
    pub(crate) fn serve(&mut self, index: ConnIndex, buffers: &mut Buffers) {
        let Some((connection, fx)) = self.state.lend(index) else { return };
        // TLS begins behind the header of a proxy.
        let awaits_hello = connection.stream.awaits_hello();
        if connection.flags.preface
            && !connection.incoming().take_proxy_header(&mut buffers.receive, fx)
        {
            self.run_callbacks();
            return;
        }
        if awaits_hello && buffers.hellos == 0 {
            connection.make_ready(&mut fx.schedule);
            return;
        }
        // What is sent to it waits for one write at the end of its service.
        self.state.fx.delivery.cork.begin(index);
        let mut budget =
            Budget::new(READS_PER_TURN_MAX, MESSAGES_PER_TURN_MAX, INFLATED_BYTES_PER_TURN_MAX);
        self.read_and_feed(index, &mut buffers.receive, &mut buffers.inflater, &mut budget);
        if awaits_hello && self.has_said_hello(index) {
            buffers.hellos -= 1;
        }
        self.end_service(index, &budget);
        if self.state.give_up_if_unfinished_full() {
            self.run_callbacks();
        }
    }

    fn read_and_feed(
        &mut self,
        index: ConnIndex,
        buffer: &mut [u8],
        inflater: &mut Inflater,
        budget: &mut Budget,
    ) {
        loop {
            let Some((connection, fx)) = self.state.lend(index) else { return };
            if connection.is_read_blocked(&fx.limits) {
                return;
            }
            if !connection.unparsed.is_empty() {
                let mut input = std::mem::take(&mut connection.unparsed);
                let used = self.feed(index, &mut input, inflater, budget);
                self.keep_rest(index, input, used);
            }
            let Some((connection, fx)) = self.state.lend(index) else { return };
            if budget.is_spent() || !connection.incoming().wants_input(fx) {
                return;
            }
            let Some(count) = connection.incoming().read(buffer, fx) else {
                self.run_callbacks();
                return;
            };
            budget.reads -= 1;
            if count == 0 {
                continue;
            }
            if connection.unparsed.is_empty() {
                let used = self.feed(index, &mut buffer[..count], inflater, budget);
                if used < count {
                    self.keep_rest(index, buffer[used..count].to_vec(), 0);
                }
            } else {
                connection.unparsed.extend_from_slice(&buffer[..count]);
            }
        }
    }

    fn has_said_hello(&self, index: ConnIndex) -> bool {
        self.state.connections.at(index).is_some_and(|it| !it.stream.awaits_hello())
    }

    /// Writes what the service has brought about, and puts the connection on the list of those with work left if it has some.
    fn end_service(&mut self, index: ConnIndex, budget: &Budget) {
        let Some((connection, fx)) = self.state.lend(index) else {
            self.state.fx.delivery.cork.clear();
            self.state.fx.delivery.cork.end();
            return;
        };
        let was_blocked = connection.is_read_blocked(&fx.limits);
        connection.flush(fx);
        fx.delivery.cork.end();
        connection.incoming().sum_up_unfinished(fx);
        if connection.incoming().has_work(was_blocked || budget.has_stopped(), fx) {
            connection.make_ready(&mut fx.schedule);
        }
    }

    fn keep_rest(&mut self, index: ConnIndex, input: Vec<u8>, used: usize) {
        if let Some(connection) = self.state.connections.at_mut(index) {
            connection.incoming().keep_rest(input, used);
        }
    }

    /// Handles input from its front, as far as the state of the connection and the budget allow. How many bytes are done
    /// with.
    fn feed(
        &mut self,
        index: ConnIndex,
        input: &mut [u8],
        inflater: &mut Inflater,
        budget: &mut Budget,
    ) -> usize {
        let mut at = 0;
        while at < input.len() && !budget.has_stopped() {
            let Some((connection, fx)) = self.state.lend(index) else { return input.len() };
            match connection.incoming().feed(&mut input[at..], inflater, budget, fx) {
                Fed::Handled(consumed) => at += consumed,
                Fed::Done => return input.len(),
                Fed::Wait(consumed) => return at + consumed,
                Fed::Message(consumed, event) => {
                    at += consumed;
                    self.state.lifecycle.count_message();
                    if let Some(message) = as_message(&event) {
                        self.call(Some(index), |handler, context| {
                            handler.on_message(context, message);
                        });
                    }
                }
                Fed::RequestHead(consumed) => {
                    self.on_request_head(index);
                    return at + consumed;
                }
                Fed::Request { consumed, head, body } => {
                    at += consumed;
                    self.on_request(index, head, body);
                }
            }
            self.take_inflation(inflater, budget);
            let Some((connection, fx)) = self.state.lend(index) else { return input.len() };
            if connection.is_cork_full(fx) {
                connection.flush(fx);
            }
            if connection.is_read_blocked(&fx.limits) {
                return at;
            }
        }
        at
    }

    /// Takes what decompression has cost out of the connection's share of the turn.
    #[inline]
    fn take_inflation(&mut self, inflater: &mut Inflater, budget: &mut Budget) {
        let work_bytes = inflater.take_work_bytes();
        if work_bytes > 0 {
            self.state.fx.stats.add(Counter::MessagesDecompressed, 1);
            budget.inflated_bytes = budget.inflated_bytes.saturating_sub(work_bytes);
        }
    }
}
