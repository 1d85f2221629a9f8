//! Answers to HTTP requests.

use wsmaster_ipc::shared_state::Counter;
use wsmaster_protocol::{
    handshake::Upgrade,
    http::{HttpError, Response},
    session::Extension,
};

use super::{Http, LAST, State};
use crate::{
    admit::come_back,
    close_reason::CloseReason,
    effects::Effects,
    http1::{RequestState, ResponseOptions},
};

/// When clients that are refused are told to come back, in seconds.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 2..=8;

impl Http<'_> {
    /// Answers the request with this number. `false`: it waits for no such answer any more.
    pub(crate) fn respond(&mut self, number: u32, response: &Response, fx: &mut Effects) -> bool {
        let Some(options) = self.0.state.awaits_answer(number) else { return false };
        let keep_alive = options.keep_alive && !fx.drain.is_leaving;
        fx.stats.add(Counter::Requests, 1);
        self.write_response(response, ResponseOptions { keep_alive, ..options }, fx);
        if keep_alive {
            self.0.state = State::Http(RequestState::next());
            if self.0.has_input() && !fx.delivery.cork.is_of(self.0.key.index) {
                self.0.make_ready(&mut fx.schedule);
            }
            self.0.timers().restart(fx);
        } else {
            self.0.linger(fx);
        }
        true
    }

    /// Agrees with its client on compression, as far as it offers any and there is room for contexts.
    pub(crate) fn agree_on_extension(
        &mut self,
        upgrade: &mut Upgrade<'_>,
        fx: &mut Effects,
    ) -> Extension {
        let Some(compressor) = &mut fx.delivery.compressor else { return Extension::None };
        let rules = fx.rules.listeners.rules(self.0.info.listener);
        if rules.is_some_and(|rules| !rules.compression) {
            return Extension::None;
        }
        match compressor.agree(upgrade) {
            Some(agreement) => self.0.info.extension = Extension::Deflate(agreement),
            None if upgrade.offers_deflate() => fx.stats.add(Counter::CompressionDeclined, 1),
            None => {}
        }
        self.0.info.extension
    }

    /// Writes the answer that makes a WebSocket of it.
    pub(crate) fn write_upgrade(&mut self, answer: &[u8], fx: &mut Effects) {
        let cork = &mut fx.delivery.cork;
        match cork.of(self.0.key.index) {
            Some(bytes) => {
                bytes.extend_from_slice(answer);
                cork.becomes_websocket();
            }
            None => self.0.enqueue(fx, |outbox| outbox.push_plain(answer)),
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
        log::debug!("{}: is answered {}", self.0.info.peer, response.status());
        let later = (response.status() == 503).then(|| with_retry_after(response, &mut fx.random));
        let response = later.as_ref().unwrap_or(response);
        let unix_seconds = Effects::unix_ms() / 1000;
        match fx.delivery.cork.of(self.0.key.index) {
            Some(cork) => response.encode_dated(unix_seconds, keep_alive, head_only, cork),
            None => {
                let mut out = Vec::new();
                response.encode_dated(unix_seconds, keep_alive, head_only, &mut out);
                self.0.enqueue(fx, |outbox| outbox.push_plain(&out));
            }
        }
    }

    /// A further request has begun, and is not complete: from now on its time runs, and it counts among those that have not
    /// been asked wholly. `false`: there is no room for it, and it was told so.
    #[cold]
    pub(super) fn begin_request(&mut self, fx: &mut Effects) -> bool {
        match fx.admission.asks_again(&mut self.0.ticket, &fx.limits) {
            Ok(()) => {
                self.0.timers().restart(fx);
                true
            }
            Err(reached) => {
                let sentence = fx.count_limit_reached(reached, self.0.info.peer);
                self.write_response(&come_back(sentence), LAST, fx);
                self.0.linger(fx);
                false
            }
        }
    }

    pub(super) fn request_late(&mut self, fx: &mut Effects) {
        fx.stats.add(Counter::HandshakeTimeouts, 1);
        let does = "sent no whole request in time";
        fx.warn_client(self.0.info.peer, Counter::HandshakeTimeouts, does);
        if self.0.stream.is_handshaking() {
            // No words of ours would be understood.
            self.0.abort(CloseReason::TlsTimeout, fx);
            return;
        }
        self.write_response(&HttpError::Timeout.response(), LAST, fx);
        self.0.linger(fx);
    }

    pub(super) fn answer_late(&mut self, fx: &mut Effects) {
        let mut options = LAST;
        if let State::Http(RequestState::Answering { options: asked, .. }) = &self.0.state {
            options.head_only = asked.head_only;
        }
        let response = Response::error(503, "the server did not answer in time");
        self.write_response(&response, options, fx);
        self.0.linger(fx);
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
