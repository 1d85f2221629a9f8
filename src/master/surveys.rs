//! Questions of the command line to a worker: what connections and channels it has. The master passes a question on to the
//! worker's mailbox and the answer back to the caller. It holds one part of a list for each caller, and waits for nobody.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

use mio::{Interest, Registry, unix::SourceFd};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wsmaster_ipc::{
    Handle, Moment, Request, Slot,
    inbox::{Inbox, Incoming},
    sys::clock,
};
use wsmaster_workers::{
    Handler, inspect,
    pending::Reply,
    requester::{Requested, Requester},
};

use super::{Master, token::Source};
use crate::worker_info::WorkerInfo;

/// How long a worker may take to answer.
const ANSWER_TIMEOUT_MS: u64 = 2_000;
/// Packets taken from the mailbox in one turn.
const PACKETS_PER_TURN_MAX: usize = 64;

/// The answer to [`Question::Survey`](super::Question::Survey): a part, or why there is none. The master does not look into
/// a part; to it, `P` is JSON.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct SurveyAnswer<P> {
    /// What the worker says.
    #[serde(skip_serializing_if = "Option::is_none", default = "nothing")]
    pub(crate) part: Option<P>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none", default = "nothing")]
    pub(crate) problem: Option<SurveyProblem>,
}

fn nothing<T>() -> Option<T> {
    None
}

/// Why a worker says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SurveyProblem {
    /// There is no slot with this number.
    NoSuchWorker,
    /// No answer came in time: it is very busy, hangs, or is being replaced.
    Unanswered,
    /// Its mailbox is full: it does not keep up.
    MailboxFull,
}

impl std::fmt::Display for SurveyProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoSuchWorker => "there is no such worker",
            Self::Unanswered => "it did not answer in time",
            Self::MailboxFull => "it does not keep up: its mailbox is full",
        })
    }
}

/// The master's mailbox, and the questions whose answers are to come into it. Each belongs to a caller.
#[derive(Debug)]
pub(super) struct Surveys {
    requester: Requester<u32>,
    inbox: Inbox,
}

impl Surveys {
    /// `handle` has the master's address; `first` is the number of the first question.
    pub(super) fn new(handle: &Handle, inbox: Inbox, first: u64) -> Self {
        let requester = Requester::new(handle.for_a_loop(), first, ANSWER_TIMEOUT_MS);
        Self { requester, inbox }
    }

    pub(super) fn register(&self, registry: &Registry) -> io::Result<()> {
        let descriptor = self.inbox.as_fd().as_raw_fd();
        let token = Source::Mailbox.token();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)
    }

    /// Something has come.
    pub(super) fn arrived(&mut self) {
        self.inbox.set_has_mail(true);
    }

    /// When there is something to do without an event, with this moment of the master's clock.
    pub(super) fn wake_at(&self, started: Moment, now: Moment) -> Option<Moment> {
        if self.inbox.has_mail() {
            return Some(now);
        }
        self.requester.next_ms().map(|at_ms| started + Duration::from_millis(at_ms))
    }

    /// The answers that are complete, and those that will not come, with the callers they are for.
    fn take(&mut self, now_ms: u64) -> Vec<(u32, Reply)> {
        let mut answers = Vec::new();
        let Self { requester, inbox } = self;
        // The master keeps both ends of each mailbox: its own is never closed.
        let _ = inbox.take(PACKETS_PER_TURN_MAX, false, |incoming| match incoming {
            // The master does nothing for anybody but the command line.
            Incoming::Command(command) => answers.extend(requester.take(command).ok().flatten()),
            // An answer that is lost with its body: its question's deadline tells it.
            Incoming::Bodiless(_) | Incoming::Bad => {}
        });
        while let Some(expired) = self.requester.expire(now_ms) {
            answers.push(expired);
        }
        answers
    }
}

impl<F, H> Master<F>
where
    H: Handler,
    F: Fn(&WorkerInfo) -> H,
{
    /// Passes a caller's question on.
    pub(super) fn inspect(&mut self, caller: u32, slot: u16, question: &inspect::InspectRequest) {
        let asked = match (Slot::new(slot), serde_json::to_vec(question)) {
            (Some(slot), Ok(json)) => {
                let now_ms = (clock::now() - self.started).as_millis() as u64;
                let request = Request::Inspect { question: &json };
                self.surveys.requester.request_of(slot, request, now_ms, caller)
            }
            (None, _) | (_, Err(_)) => {
                Requested::Known(caller, Reply::One(wsmaster_ipc::Outcome::NoSuchConnection))
            }
        };
        match asked {
            Requested::Waiting => {}
            Requested::Known(caller, reply) => self.answer_survey(caller, reply),
        }
    }

    /// Passes on what workers have answered.
    pub(super) fn answer_surveys(&mut self) {
        let now_ms = (clock::now() - self.started).as_millis() as u64;
        for (caller, reply) in self.surveys.take(now_ms) {
            self.answer_survey(caller, reply);
        }
    }

    fn answer_survey(&mut self, caller: u32, reply: Reply) {
        let (part, problem) = match reply {
            Reply::Info(json) => match String::from_utf8(json).map(RawValue::from_string) {
                Ok(Ok(part)) => (Some(part), None),
                Ok(Err(_)) | Err(_) => (None, Some(SurveyProblem::Unanswered)),
            },
            Reply::One(_) | Reply::Many(_) | Reply::Task(_) => {
                (None, Some(SurveyProblem::NoSuchWorker))
            }
            Reply::Unanswered | Reply::NoRoom => (None, Some(SurveyProblem::Unanswered)),
            Reply::MailboxFull | Reply::Busy => (None, Some(SurveyProblem::MailboxFull)),
        };
        let answer = SurveyAnswer { part, problem };
        self.answer(caller, &answer);
    }
}
