//! Answers to HTTP requests.

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{handshake::Upgrade, http::Response, session::Extension};

use super::{Connection, State};
use crate::{
    effects::Effects,
    http1::{RequestState, ResponseOptions},
};

/// When clients that are refused are told to come back, in seconds.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 2..=8;

impl Connection {
    /// Answers the request with this number. `false`: it waits for no such answer any more.
    pub(crate) fn respond(&mut self, number: u32, response: &Response, fx: &mut Effects) -> bool {
        let Some(options) = self.awaits_answer(number) else { return false };
        let keep_alive = options.keep_alive && !fx.drain.is_leaving;
        fx.stats.add(Counter::Requests, 1);
        self.write_response(response, ResponseOptions { keep_alive, ..options }, fx);
        if keep_alive {
            self.state = State::Http(RequestState::next());
            if self.has_input() && !fx.delivery.cork.is_of(self.key.index) {
                self.make_ready(&mut fx.schedule);
            }
            self.restart_timeout(fx);
        } else {
            self.linger(fx);
        }
        true
    }

    /// The options of the answer to the request with this number, if it waits for one.
    pub(crate) fn awaits_answer(&self, number: u32) -> Option<ResponseOptions> {
        match &self.state {
            State::Http(RequestState::Answering { number: awaited, options }) => {
                (*awaited == number).then_some(*options)
            }
            State::Http(_) | State::WebSocket(_) | State::Lingering { .. } => None,
        }
    }

    /// Whether its client waits for the handshake with this number to be decided.
    pub(crate) fn awaits_verdict(&self, number: u32) -> bool {
        match &self.state {
            State::Http(RequestState::Undecided { number: awaited, .. }) => *awaited == number,
            State::Http(_) | State::WebSocket(_) | State::Lingering { .. } => false,
        }
    }

    /// Agrees with its client on compression, as far as it offers any and there is room for contexts.
    pub(crate) fn agree_on_extension(
        &mut self,
        upgrade: &mut Upgrade<'_>,
        fx: &mut Effects,
    ) -> Extension {
        let Some(compressor) = &mut fx.delivery.compressor else { return Extension::None };
        let rules = fx.rules.listeners.rules(self.info.listener);
        if rules.is_some_and(|rules| !rules.compression) {
            return Extension::None;
        }
        match compressor.agree(upgrade) {
            Some(agreement) => self.info.extension = Extension::Deflate(agreement),
            None if upgrade.offers_deflate() => fx.stats.add(Counter::CompressionDeclined, 1),
            None => {}
        }
        self.info.extension
    }

    /// Writes the answer that makes a WebSocket of it.
    pub(crate) fn write_upgrade(&mut self, answer: &[u8], fx: &mut Effects) {
        let cork = &mut fx.delivery.cork;
        match cork.of(self.key.index) {
            Some(bytes) => {
                bytes.extend_from_slice(answer);
                cork.becomes_websocket();
            }
            None => self.enqueue(fx, |outbox| outbox.push_plain(answer)),
        }
    }

    /// Writes an HTTP answer.
    pub(crate) fn write_response(
        &mut self,
        response: &Response,
        options: ResponseOptions,
        fx: &mut Effects,
    ) {
        let ResponseOptions { keep_alive, head_only } = options;
        log::debug!("{}: is answered {}", self.info.peer, response.status());
        let later = (response.status() == 503).then(|| with_retry_after(response, &mut fx.random));
        let response = later.as_ref().unwrap_or(response);
        let unix_seconds = Effects::unix_ms() / 1000;
        match fx.delivery.cork.of(self.key.index) {
            Some(cork) => response.encode_dated(unix_seconds, keep_alive, head_only, cork),
            None => {
                let mut out = Vec::new();
                response.encode_dated(unix_seconds, keep_alive, head_only, &mut out);
                self.enqueue(fx, |outbox| outbox.push_plain(&out));
            }
        }
    }
}

/// An answer 503 with the time after which it is worth to try again, where the application has not named one. The time is
/// a random one: clients that are refused together would else come back together.
#[cold]
fn with_retry_after(response: &Response, random: &mut fastrand::Rng) -> Response {
    let response = response.clone();
    if response.has_header("Retry-After") {
        return response;
    }
    response.header("Retry-After", &random.u64(RETRY_AFTER_S).to_string())
}
