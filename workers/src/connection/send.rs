//! Messages into the outbox, and what happens when there is no room.

use bytes::Bytes;
use wsmaster_ipc::{Outcome, shared_state::Counter};
use wsmaster_protocol::frame::{encode_compressed, encode_message, header_len};

use super::{Outgoing, State};
use crate::{
    close_reason::CloseReason,
    delivery::{Delivery, Fanout, Form, message_kind},
    effects::Effects,
    limits::SlowClient,
    outbox::Outbox,
    stats::Stats,
    vocabulary::Message,
};

impl Outgoing<'_> {
    /// Puts a message into its outbox.
    #[inline]
    pub(crate) fn send(&mut self, message: Message<'_>, fx: &mut Effects) -> Outcome {
        let payload = message.payload();
        if fx.delivery.compresses(payload.len())
            && let Some(outcome) = self.send_compressed(message, fx)
        {
            return outcome;
        }
        if let Err(outcome) = self.admit(header_len(payload.len()) + payload.len(), fx) {
            return outcome;
        }
        let kind = message_kind(message.kind());
        match fx.delivery.cork.of(self.0.key.index) {
            Some(cork) => encode_message(kind, payload, cork),
            None => {
                let mut frame = std::mem::take(&mut fx.delivery.scratch);
                frame.clear();
                encode_message(kind, payload, &mut frame);
                self.0.enqueue(fx, |outbox| outbox.push_copy(&frame));
                fx.delivery.scratch = frame;
            }
        }
        Outcome::Delivered
    }

    /// Puts a message that others get too into its outbox. `compresses`: the message is one that [is
    /// compressed](Delivery::compresses).
    #[inline]
    pub(crate) fn send_fanout(
        &mut self,
        fanout: &mut Fanout<'_>,
        compresses: bool,
        fx: &mut Effects,
    ) -> Outcome {
        match if compresses { self.0.state.form() } else { Form::Plain } {
            Form::Plain => self.send_shared(fanout.plain(&fx.delivery.shared), fx),
            form @ (Form::Alone(_) | Form::InContext) => self.send_form(form, fanout, fx),
        }
    }

    #[inline(never)]
    fn send_form(&mut self, form: Form, fanout: &mut Fanout<'_>, fx: &mut Effects) -> Outcome {
        match form {
            Form::InContext => self.send(fanout.message, fx),
            Form::Plain => self.send_shared(fanout.plain(&fx.delivery.shared), fx),
            Form::Alone(window) => match fanout.alone(window, &mut fx.delivery, &fx.stats) {
                Some(frame) => {
                    let outcome = self.send_shared(&frame, fx);
                    if outcome == Outcome::Delivered {
                        count_compressed(fanout.message.payload().len(), frame.len(), &fx.stats);
                    }
                    outcome
                }
                None => self.send_shared(fanout.plain(&fx.delivery.shared), fx),
            },
        }
    }

    /// Puts a frame that many connections get into its outbox.
    #[inline]
    fn send_shared(&mut self, frame: &Bytes, fx: &mut Effects) -> Outcome {
        if let Err(outcome) = self.admit(frame.len(), fx) {
            return outcome;
        }
        match fx.delivery.cork.of(self.0.key.index) {
            Some(cork) => cork.extend_from_slice(frame),
            None => self.0.enqueue(fx, |outbox| outbox.push_shared(frame)),
        }
        Outcome::Delivered
    }

    /// Compresses a message for this connection alone and puts it into its outbox. `None` when it has to be sent as it is.
    #[inline(never)]
    fn send_compressed(&mut self, message: Message<'_>, fx: &mut Effects) -> Option<Outcome> {
        let agreement = self.0.state.agreement()?;
        let payload = message.payload();
        let State::WebSocket(session) = &self.0.state else { return None };
        fx.stats.add(Counter::Compressions, 1);
        let Delivery { compressor, scratch, .. } = &mut fx.delivery;
        let compressor = compressor.as_mut()?;
        let compressed =
            compressor.deflate(payload, agreement.server_window, session.sent_context())?;
        scratch.clear();
        encode_compressed(message_kind(message.kind()), compressed, scratch);
        let frame = std::mem::take(scratch);
        let outcome = self.send_frame(&frame, fx);
        if outcome == Outcome::Delivered {
            count_compressed(payload.len(), frame.len(), &fx.stats);
            if let State::WebSocket(session) = &mut self.0.state {
                session.sent_compressed(payload);
            }
        }
        fx.delivery.scratch = frame;
        Some(outcome)
    }

    /// Puts a frame of this connection alone into its outbox.
    fn send_frame(&mut self, frame: &[u8], fx: &mut Effects) -> Outcome {
        match self.admit(frame.len(), fx) {
            Ok(()) => {
                self.put_frame(frame, fx);
                Outcome::Delivered
            }
            Err(outcome) => outcome,
        }
    }

    /// Puts a frame, which nothing keeps out, behind what waits.
    pub(super) fn put_frame(&mut self, frame: &[u8], fx: &mut Effects) {
        match fx.delivery.cork.of(self.0.key.index) {
            Some(cork) => cork.extend_from_slice(frame),
            None => self.0.enqueue(fx, |outbox| outbox.push_copy(frame)),
        }
    }

    /// Whether a message of this many bytes may go to it, and counts the message.
    #[inline]
    fn admit(&mut self, bytes: usize, fx: &mut Effects) -> Result<(), Outcome> {
        if !self.0.state.can_send() {
            return Err(Outcome::Closing);
        }
        let corked = fx.delivery.cork.len_of(self.0.key.index);
        if self.0.waiting_bytes() + corked + bytes > fx.limits.outbox_bytes_max {
            self.make_room(bytes, fx)?;
        }
        self.0.messages_out += 1;
        fx.stats.add(Counter::MessagesOut, 1);
        Ok(())
    }

    /// Tries the socket before a message is refused: what waits may be no more than what this turn has gathered.
    #[cold]
    fn make_room(&mut self, bytes: usize, fx: &mut Effects) -> Result<(), Outcome> {
        let most = fx.limits.outbox_bytes_max;
        if bytes > most {
            fx.stats.add(Counter::DroppedTooLarge, 1);
            let does = format_args!(
                "was not sent a message of {bytes} bytes: larger than limits.outbox_bytes_max"
            );
            fx.warn_client(self.0.info.peer, Counter::DroppedTooLarge, does);
            return Err(Outcome::TooLarge);
        }
        self.0.flush(fx);
        if !self.0.state.can_send() {
            return Err(Outcome::Closing);
        }
        if self.0.waiting_bytes() + bytes <= most {
            return Ok(());
        }
        let missing = (self.0.waiting_bytes() + bytes).saturating_sub(most);
        let dropped = match fx.limits.slow_client {
            SlowClient::DropOldest => self.drop_messages(missing, fx),
            SlowClient::KeepLatest => self.drop_messages(usize::MAX, fx),
            SlowClient::DropNewest => 0,
            SlowClient::Close => {
                self.close_slow(CloseReason::SlowReader, fx);
                0
            }
        };
        // What a frame that has begun to leave and control frames take up stays.
        let has_room = self.0.state.can_send() && self.0.waiting_bytes() + bytes <= most;
        let lost = if has_room { dropped } else { dropped + 1 };
        fx.stats.add(Counter::DroppedOutboxFull, lost);
        fx.warn_client(
            self.0.info.peer,
            Counter::DroppedOutboxFull,
            "reads too slowly: its outbox is full, and messages for it are lost",
        );
        if has_room { Ok(()) } else { Err(Outcome::OutboxFull) }
    }

    /// Throws its oldest unsent messages away until there is this much room. How many.
    fn drop_messages(&mut self, room_bytes: usize, fx: &mut Effects) -> u64 {
        self.0.with_outbox(fx, |outbox| outbox.drop_oldest(room_bytes).messages)
    }

    /// Closes it for what waits for it, which is thrown away.
    pub(crate) fn close_slow(&mut self, reason: CloseReason, fx: &mut Effects) {
        self.0.with_outbox(fx, Outbox::drop_unsent);
        self.0.close(reason, fx);
    }
}

fn count_compressed(payload_bytes: usize, frame_bytes: usize, stats: &Stats) {
    let plain_bytes = header_len(payload_bytes) + payload_bytes;
    stats.add(Counter::MessagesCompressed, 1);
    stats.add(Counter::CompressionSavedBytes, (plain_bytes - frame_bytes) as u64);
}
