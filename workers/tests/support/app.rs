//! An application that does as it is told. A message is echoed unless it is an order: `!` and a word, with its arguments
//! behind it. What the worker tells it goes into a journal that the test reads.

use std::{
    panic::resume_unwind,
    sync::{Arc, Mutex},
    time::Duration,
};

use wsmaster_workers::{
    Closed, ClosedBy, Context, Handler, HttpRequest, JobOrder, Message, RequestError, Responder,
    TimerId, USER_KEY, Undecided, Verdict,
    ipc::{
        Address, ConnectionId, EventCode, EventHeader, LeaveReason, LifeEvent, Outcome,
        PayloadKind, handle::Publication,
    },
    protocol::{
        close::CloseCode,
        http::{RequestHead, Response},
    },
};

/// What a worker told its application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Open(u64),
    /// With whether the connection's facts could still be looked at.
    Closed {
        id: u64,
        by: ClosedBy,
        code: Option<u16>,
        facts: bool,
    },
    Request(String),
    Process(String),
    /// What a job has come to, and whether its connection was still there.
    Job(String, bool),
    Life(LifeEvent),
    Leaves(LeaveReason),
    Stops(LeaveReason),
}

/// What all workers of a server told, in the order of each.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Told>>>);

impl Journal {
    fn write(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }

    pub(crate) fn read(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    /// How each WebSocket ended, in the order of their ends.
    pub(crate) fn ends(&self) -> Vec<(ClosedBy, Option<u16>)> {
        let ends = self.read().into_iter().filter_map(|told| match told {
            Told::Closed { by, code, .. } => Some((by, code)),
            Told::Open(_)
            | Told::Request(_)
            | Told::Process(_)
            | Told::Job(..)
            | Told::Life(_)
            | Told::Leaves(_)
            | Told::Stops(_) => None,
        });
        ends.collect()
    }

    /// What the jobs have come to, in the order in which it was told.
    pub(crate) fn jobs(&self) -> Vec<(String, bool)> {
        let jobs = self.read().into_iter().filter_map(|told| match told {
            Told::Job(result, present) => Some((result, present)),
            Told::Open(_)
            | Told::Request(_)
            | Told::Process(_)
            | Told::Closed { .. }
            | Told::Life(_)
            | Told::Leaves(_)
            | Told::Stops(_) => None,
        });
        jobs.collect()
    }

    pub(crate) fn requests(&self) -> usize {
        self.read().iter().filter(|told| matches!(told, Told::Request(_))).count()
    }

    /// Waits for so many ends, and checks that each connection that was opened ended at most once, with its facts at hand.
    #[track_caller]
    pub(crate) fn expect_ends(&self, count: usize) -> Vec<(ClosedBy, Option<u16>)> {
        super::eventually("the application is told", || self.ends().len() >= count);
        assert_eq!(self.ends().len(), count, "told too often");
        let mut open = std::collections::HashSet::new();
        for told in self.read() {
            match told {
                Told::Open(id) => assert!(open.insert(id), "{id} opened twice"),
                Told::Closed { id, facts, .. } => {
                    assert!(open.remove(&id), "{id} ended without being open");
                    assert!(facts, "the facts of {id} were gone");
                }
                Told::Request(_)
                | Told::Process(_)
                | Told::Job(..)
                | Told::Life(_)
                | Told::Leaves(_)
                | Told::Stops(_) => {}
            }
        }
        self.ends()
    }
}

/// See the module.
pub(crate) struct App {
    journal: Journal,
    kept: Vec<Responder>,
    undecided: Vec<Undecided>,
    /// Timers, whom they belong to, and how often they still come.
    timers: Vec<(TimerId, ConnectionId, u32)>,
}

impl App {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, kept: Vec::new(), undecided: Vec::new(), timers: Vec::new() }
    }
}

/// A panic without a word on the test's error output.
fn panic_quietly() -> ! {
    resume_unwind(Box::new("as told"))
}

fn id(word: &str) -> ConnectionId {
    ConnectionId::try_from(word.parse::<u64>().expect("a number")).expect("an id")
}

fn outcome(result: Result<Outcome, RequestError>) -> String {
    match result {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// Says to a connection of this worker what came of something.
fn tell(context: &mut Context<'_>, to: ConnectionId, text: &str) {
    context.push(to, Message::Text(text)).expect("own connections have no mailbox");
}

impl Handler for App {
    fn on_handshake(&mut self, context: &mut Context<'_>, head: &RequestHead) -> Verdict {
        assert!(context.current().is_some());
        match head.path() {
            "/reject" => {
                Verdict::Reject(Response::error(403, "not you").header("X-Why", "because"))
            }
            "/handshake-panic" => panic_quietly(),
            "/undecided" => {
                self.undecided.extend(context.undecided());
                Verdict::Later
            }
            "/accepted-in-800-ms" => {
                self.undecided.extend(context.undecided());
                context.after(Duration::from_millis(800)).expect("room for a timer");
                Verdict::Later
            }
            "/decided-at-once" => {
                let undecided = context.undecided().expect("a handshake");
                context.decide(undecided, Verdict::accept());
                Verdict::Later
            }
            "/chat" => Verdict::Accept {
                subprotocol: Some("chat".into()),
                headers: vec![("X-Extra".into(), "yes".into())],
            },
            _ => Verdict::accept(),
        }
    }

    fn on_open(&mut self, context: &mut Context<'_>) {
        let connection = context.connection().expect("its facts");
        let id = connection.id.as_u64();
        let path = connection.head.as_ref().expect("its request").path().to_owned();
        self.journal.write(Told::Open(id));
        match path.as_str() {
            "/open-panic" => panic_quietly(),
            "/open-close" => context.close(CloseCode::Away, "not now"),
            "/open-greet" => {
                context.reply(Message::Text("welcome"));
            }
            _ => {}
        }
    }

    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        match message {
            Message::Text(text) => match text.strip_prefix('!') {
                Some(order) => self.obey(context, order),
                None => {
                    context.reply(message);
                }
            },
            Message::Binary(_) => {
                context.reply(message);
            }
        }
    }

    fn on_timer(&mut self, context: &mut Context<'_>, timer: TimerId) {
        let Some(entry) = self.timers.iter_mut().find(|(known, ..)| *known == timer) else {
            for undecided in self.undecided.drain(..) {
                context.decide(undecided, Verdict::accept());
            }
            return;
        };
        entry.2 -= 1;
        let (_, to, left) = *entry;
        let _ = context.push(to, Message::Text(&format!("time, {left} left")));
        if left == 0 {
            let was_running = context.clear(timer);
            let _ = context.push(to, Message::Text(&format!("cleared: {was_running}")));
        }
    }

    fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        self.journal.write(Told::Closed {
            id: closed.id.as_u64(),
            by: closed.by,
            code: closed.code.map(u16::from),
            facts: context.current() == Some(closed.id),
        });
        let text = format!("left {}", closed.id);
        context.publish(&Publication {
            channel: "leavers",
            kind: PayloadKind::Text,
            payload: text.as_bytes(),
            exclude: None,
            only: &[],
        });
        if context.value("panic").is_some() {
            panic_quietly();
        }
    }

    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: HttpRequest,
        responder: Responder,
    ) {
        let path = request.head.path().to_owned();
        self.journal.write(Told::Request(path.clone()));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["hello"] => context.respond(responder, &Response::new(200).text("hello")),
            ["echo"] => {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                context.respond(responder, &Response::new(200).text(body));
            }
            ["bytes", count] => {
                let body = "b".repeat(count.parse().expect("a number"));
                context.respond(responder, &Response::new(200).text(body));
            }
            ["number", number] => {
                context.respond(responder, &Response::new(200).text(*number));
            }
            ["never"] => {}
            ["later"] => self.kept.push(responder),
            ["panic"] => panic_quietly(),
            ["late-panic"] => {
                context.respond(responder, &Response::new(200).text("before"));
                panic_quietly();
            }
            ["job", ms, text] => {
                let (ms, text) = (ms.parse().expect("a time"), (*text).to_owned());
                context.run_job(JobOrder::Any, slow(ms, text), |context, result| {
                    let text = result.expect("it does not fail");
                    context.respond(responder, &Response::new(200).text(text));
                });
            }
            ["push", to, text] => {
                context.push_ack(id(to), Message::Text(text), move |context, result| {
                    context.respond(responder, &Response::new(200).text(outcome(result)));
                });
            }
            _ => context.respond(responder, &Response::error(404, "nothing here")),
        }
    }

    fn on_life(&mut self, _: &mut Context<'_>, event: LifeEvent) {
        self.journal.write(Told::Life(event));
    }

    fn on_leave(&mut self, context: &mut Context<'_>, reason: LeaveReason) {
        self.journal.write(Told::Leaves(reason));
        assert!(context.is_serving(), "its connections are open yet");
        // Those that want to know have subscribed.
        context.publish(&Publication {
            channel: "farewells",
            kind: PayloadKind::Text,
            payload: b"farewell",
            exclude: None,
            only: &[],
        });
    }

    fn on_stop(&mut self, _: &mut Context<'_>, reason: LeaveReason) {
        self.journal.write(Told::Stops(reason));
    }

    fn on_process_message(&mut self, _: &mut Context<'_>, _: Address, message: Message<'_>) {
        match message {
            Message::Text("panic") => panic_quietly(),
            Message::Text(text) => self.journal.write(Told::Process(text.to_owned())),
            Message::Binary(_) => {}
        }
    }
}

impl App {
    fn obey(&mut self, context: &mut Context<'_>, order: &str) {
        let own = context.current().expect("a message has a connection");
        let words: Vec<&str> = order.split(' ').collect();
        match words.as_slice() {
            ["id"] => {
                context.reply(Message::Text(&own.to_string()));
            }
            ["user", name] => {
                context.keep(USER_KEY, (*name).into());
                context.reply(Message::Text("kept"));
            }
            ["tls"] => {
                let tls = context.connection().and_then(|connection| connection.tls.clone());
                let text = serde_json::to_string(&tls).expect("facts are JSON");
                context.reply(Message::Text(&text));
            }
            ["close", code] => {
                let code = code.parse::<u16>().expect("a code");
                context.close(code.into(), "as told");
            }
            ["after", ms] | ["tick", ms, _] => {
                let time = Duration::from_millis(ms.parse().expect("a time"));
                let (timer, times) = match words.last() {
                    Some(times) if words.len() == 3 => {
                        (context.tick(time), times.parse().expect("a number"))
                    }
                    _ => (context.after(time), 1),
                };
                self.timers.push((timer.expect("room for a timer"), own, times));
            }
            ["job", order, ms, text] => {
                let order = match *order {
                    "any" => JobOrder::Any,
                    "ordered" => JobOrder::OfConnection,
                    other => panic!("not an order of jobs: {other}"),
                };
                let (ms, text) = (ms.parse().expect("a time"), (*text).to_owned());
                let journal = self.journal.clone();
                context.run_job(order, slow(ms, text), move |context, result| {
                    let text = match result {
                        Ok(text) => text,
                        Err(error) => format!("{error:?}"),
                    };
                    context.reply(Message::Text(&text));
                    journal.write(Told::Job(text, context.current() == Some(own)));
                });
            }
            ["pause"] => context.pause(),
            ["resume", of] => context.resume(id(of)),
            ["decide", word] => {
                for undecided in self.undecided.drain(..) {
                    let verdict = match *word {
                        "accept" => Verdict::Accept {
                            subprotocol: Some("chat".into()),
                            headers: vec![("X-Extra".into(), "yes".into())],
                        },
                        "again" => Verdict::Later,
                        _ => Verdict::Reject(Response::error(403, "not you")),
                    };
                    context.decide(undecided, verdict);
                }
                context.reply(Message::Text("decided"));
            }
            ["ask", process, ms] => {
                let process = Address(process.parse().expect("a number"));
                let timeout = Duration::from_millis(ms.parse().expect("a time"));
                let header = EventHeader::Line { code: EventCode(0), connection: None };
                context.ask(process, header, b"a question", timeout, move |context, result| {
                    let text = match result {
                        Ok(said) => String::from_utf8(said).expect("text"),
                        Err(error) => format!("{error:?}"),
                    };
                    tell(context, own, &text);
                    true
                });
            }
            ["panic"] => panic_quietly(),
            ["sleep", ms] => std::thread::sleep(Duration::from_millis(ms.parse().expect("a time"))),
            ["panic-at-close"] => context.keep("panic", true.into()),
            ["flood", count, bytes] => {
                let body = vec![b'f'; bytes.parse().expect("a number")];
                for _ in 0..count.parse().expect("a number") {
                    context.reply(Message::Binary(&body));
                }
            }
            ["answer"] => {
                for responder in self.kept.drain(..) {
                    context.respond(responder, &Response::new(200).text("at last"));
                }
                context.reply(Message::Text("answered"));
            }
            ["answer", bytes] => {
                let body = "l".repeat(bytes.parse().expect("a number"));
                for responder in self.kept.drain(..) {
                    context.respond(responder, &Response::new(200).text(body.clone()));
                }
                context.reply(Message::Text("answered"));
            }
            ["subscribe", channel] => {
                let result = format!("{:?}", context.subscribe(channel));
                context.reply(Message::Text(&result));
            }
            ["unsubscribe", channel] => {
                let result = context.unsubscribe(channel).to_string();
                context.reply(Message::Text(&result));
            }
            ["push", to, text] => {
                context.push(id(to), Message::Text(text)).expect("room");
            }
            ["push-many", to, count] => {
                for number in 0..count.parse().expect("a number") {
                    let text = format!("{number}");
                    context.push(id(to), Message::Text(&text)).expect("room");
                }
            }
            ["push-bytes", to, bytes] => {
                let body = vec![b'p'; bytes.parse().expect("a number")];
                let said = format!("{:?}", context.push(id(to), Message::Binary(&body)));
                context.reply(Message::Text(&said));
            }
            ["push-ack", to, text] => {
                context.push_ack(id(to), Message::Text(text), move |context, result| {
                    tell(context, own, &outcome(result));
                });
            }
            ["disconnect", to, code, reason] => {
                let code = code.parse().expect("a code");
                context.disconnect_ack(id(to), code, reason, move |context, result| {
                    tell(context, own, &outcome(result));
                });
            }
            ["info", of] => context.info(id(of), move |context, result| {
                let text = match result {
                    Ok(Some(json)) => String::from_utf8(json).expect("JSON is text"),
                    Ok(None) => "nobody".to_owned(),
                    Err(error) => format!("{error:?}"),
                };
                tell(context, own, &text);
            }),
            ["broadcast", text] => {
                context.broadcast(Message::Text(text), Some(own));
            }
            ["broadcast-ack", text] => {
                context.broadcast_ack(Message::Text(text), Some(own), move |context, result| {
                    tell(context, own, &tally(result));
                });
            }
            ["publish", channel, text, only @ ..] => {
                let only: Vec<_> = only.iter().map(|word| id(word)).collect();
                context.publish(&publication(channel, text, Some(own), &only));
            }
            ["publish-ack", channel, text, only @ ..] => {
                let only: Vec<_> = only.iter().map(|word| id(word)).collect();
                let publication = publication(channel, text, Some(own), &only);
                context.publish_ack(&publication, move |context, result| {
                    tell(context, own, &tally(result));
                });
            }
            ["process", to, text] => {
                let to = Address(to.parse().expect("a number"));
                let sent = context.handle().send_to_process(to, PayloadKind::Text, text.as_bytes());
                sent.expect("room");
            }
            ["push-from-a-thread", to, text] => {
                let (handle, to, text) = (context.handle().clone(), id(to), (*text).to_owned());
                std::thread::spawn(move || {
                    // The loop that gave the handle has gone to sleep by then.
                    std::thread::sleep(Duration::from_millis(50));
                    handle.push(to, PayloadKind::Text, text.as_bytes()).expect("room");
                });
            }
            _ => panic!("not an order: {order}"),
        }
    }
}

/// A job that takes its time and returns its text; or panics, if that is its text.
fn slow(ms: u64, text: String) -> impl FnOnce() -> String + Send + 'static {
    move || {
        std::thread::sleep(Duration::from_millis(ms));
        if text == "panic" { panic_quietly() } else { text }
    }
}

fn tally(result: Result<wsmaster_workers::DeliveryCount, RequestError>) -> String {
    match result {
        Ok(tally) => {
            let silent: Vec<u16> = tally.unanswered.iter().map(|slot| slot.number()).collect();
            format!("{} {} {silent:?}", tally.delivered, tally.dropped)
        }
        Err(error) => format!("{error:?}"),
    }
}

fn publication<'a>(
    channel: &'a str,
    text: &'a str,
    exclude: Option<ConnectionId>,
    only: &'a [ConnectionId],
) -> Publication<'a> {
    Publication { channel, kind: PayloadKind::Text, payload: text.as_bytes(), exclude, only }
}
