//! A server whose side processes do what a client tells them, so that the tests of side processes can.
//!
//! ```text
//! SIDE_PROCESSES=NAME,NAME side_harness LISTEN PID_FILE WORKERS
//! ```
//!
//! A client's text `@NAME words` goes to the process NAME as `ID words`, where ID is the client's connection. A binary
//! message goes to the process `mirror` and comes back. `id` is answered with the id, everything else with itself.

use std::{
    env, fs,
    io::Write,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use wsmaster::{
    Address, ConnectionId, Context, Handle, Handler, Message, Outcome, PayloadKind, Publication,
    SendError, Server,
    side::{Ended, Process, ProcessContext, ProcessMessage, Wait},
    supervisor::RestartPolicy,
};

/// No test waits this long.
const LONG: Duration = Duration::from_secs(600);

struct App {
    processes: Vec<(String, Address)>,
}

impl App {
    fn process(&self, name: &str) -> Option<Address> {
        self.processes.iter().find(|(known, _)| known == name).map(|(_, address)| *address)
    }

    fn forward(
        &self,
        context: &Context<'_>,
        to: &str,
        message: Message<'_>,
    ) -> Result<(), SendError> {
        let to = self.process(to).ok_or(SendError::NoSuchProcess)?;
        context.handle().send_to_process(to, message.kind(), message.payload())
    }
}

impl Handler for App {
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let Some(id) = context.current() else { return };
        let sent = match message {
            Message::Text("id") => {
                context.reply(Message::Text(&id.to_string()));
                Ok(())
            }
            Message::Text(text) => match text.strip_prefix('@').and_then(|it| it.split_once(' ')) {
                Some(("channel", channel)) => {
                    let subscribed = context.subscribe(channel);
                    context.reply(Message::Text(&format!("{subscribed:?}")));
                    Ok(())
                }
                Some((to, words)) => {
                    self.forward(context, to, Message::Text(&format!("{id} {words}")))
                }
                None => {
                    context.reply(message);
                    Ok(())
                }
            },
            Message::Binary(bytes) => {
                let stamped = [&id.as_u64().to_be_bytes(), bytes].concat();
                self.forward(context, "mirror", Message::Binary(&stamped))
            }
        };
        if let Err(error) = sent {
            context.reply(Message::Text(&error.to_string()));
        }
    }

    fn on_process_message(
        &mut self,
        context: &mut Context<'_>,
        _from: Address,
        message: Message<'_>,
    ) {
        let to = match message {
            Message::Text(text) => text
                .split_once(' ')
                .and_then(|(id, text)| Some((id.parse().ok()?, Message::Text(text)))),
            Message::Binary(bytes) => bytes
                .split_first_chunk()
                .map(|(id, bytes)| (u64::from_be_bytes(*id), Message::Binary(bytes))),
        };
        if let Some((id, message)) = to
            && let Ok(id) = ConnectionId::try_from(id)
        {
            // A full mailbox shows in the test as an answer that does not come.
            let _ = context.push(id, message);
        }
    }
}

/// Waits for words of clients and answers each with what `act` says of it, until it is time to go.
fn serve(
    context: &mut ProcessContext,
    mut act: impl FnMut(&mut ProcessContext, &ProcessMessage, Option<ConnectionId>, &str) -> String,
) -> Ended {
    while context.wait(LONG) != Wait::Stop {
        let messages: Vec<ProcessMessage> = context.messages().collect();
        for message in messages {
            let text = String::from_utf8_lossy(&message.payload);
            let (id, words) = text.split_once(' ').unwrap_or_default();
            let id = id.parse().ok().and_then(|id: u64| ConnectionId::try_from(id).ok());
            let answer = act(context, &message, id, words);
            if let (Some(id), false) = (id, answer.is_empty()) {
                // Without waiting: what became of it would come behind all that waits in the mailbox.
                context.handle().push(id, PayloadKind::Text, answer.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Does with connections what it is told.
fn hands(context: &mut ProcessContext) -> Ended {
    serve(context, |context, _, requester, words| {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        let number: u64 = first.parse().unwrap_or_default();
        let id = ConnectionId::try_from(number).ok();
        match (verb, id) {
            ("push", Some(id)) => format!("{:?}", context.push(id, Message::Text(second))),
            ("fill", Some(id)) => fill(context, id),
            ("exists", Some(id)) => format!("{:?}", context.exists(id)),
            ("disconnect", Some(id)) => format!("{:?}", context.disconnect(id, 4001, second)),
            ("info", Some(id)) => match context.info(id) {
                Ok(info) => serde_json::json!(info).to_string(),
                Err(error) => error.to_string(),
            },
            ("connections", _) => format!("{:?}", context.connections()),
            ("broadcast", _) => format!("{:?}", context.broadcast(Message::Text(rest), requester)),
            ("publish", _) => {
                let (kind, payload) = (PayloadKind::Text, second.as_bytes());
                let publication =
                    Publication { channel: first, kind, payload, exclude: requester, only: &[] };
                format!("{:?}", context.publish(&publication))
            }
            ("flood", _) => flood(context, requester, number, Way::Answered),
            ("blast", _) => flood(context, requester, number, Way::AtOnce),
            ("gather", _) => flood(context, requester, number, Way::Gathered),
            ("send", _) => send_numbers(context, first, second.parse().unwrap_or_default()),
            ("mirror", _) => mirrored(context, number as usize),
            _ => format!("not understood: {words}"),
        }
    })
}

/// How messages are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One after the other, each with its answer.
    Answered,
    /// Without an answer, each in a packet of its own.
    AtOnce,
    /// Without an answer, many in a packet.
    Gathered,
}

/// Sends so many numbered messages to every connection but the requester's, waiting for the answer to each or not. Says how
/// many were taken, how long it took, and the answer's time that 99 of 100 were below.
fn flood(
    context: &mut ProcessContext,
    requester: Option<ConnectionId>,
    each: u64,
    way: Way,
) -> String {
    let ids = match context.connections() {
        Ok(ids) => ids,
        Err(error) => return error.to_string(),
    };
    let ids: Vec<ConnectionId> = ids.into_iter().filter(|id| Some(*id) != requester).collect();
    let (begun, mut taken, mut times_us) = (Instant::now(), 0_u64, Vec::new());
    for number in 1..=each {
        let text = number.to_string();
        for id in &ids {
            let begun = Instant::now();
            let push = |handle: &Handle| handle.push(*id, PayloadKind::Text, text.as_bytes());
            let sent = match way {
                Way::Answered => context
                    .push(*id, Message::Text(&text))
                    .map_err(|_| SendError::Full)
                    .and_then(|outcome| match outcome {
                        Outcome::Delivered => Ok(()),
                        _ => Err(SendError::Full),
                    }),
                Way::AtOnce => push(context.handle()),
                Way::Gathered => push(context.gathering_handle()),
            };
            if sent.is_err() && way != Way::Answered {
                // Full is an answer: what is under way leaves first.
                while push(context.gathering_handle()).is_err() {
                    thread::sleep(Duration::from_millis(1));
                    context.wait(Duration::ZERO);
                }
            }
            taken += u64::from(sent.is_ok() || way != Way::Answered);
            times_us.push(begun.elapsed().as_micros());
        }
    }
    context.gathering_handle().flush();
    let took = begun.elapsed();
    times_us.sort_unstable();
    let p99_us = times_us.get(times_us.len() * 99 / 100).copied().unwrap_or_default();
    format!("{taken} taken in {} ms, p99 {p99_us} us", took.as_millis())
}

/// Sends to a connection until it takes no more. Says what became of the last two messages.
fn fill(context: &mut ProcessContext, id: ConnectionId) -> String {
    let text = "x".repeat(64 * 1024);
    let refused = (0..10_000)
        .map(|_| context.push(id, Message::Text(&text)))
        .find(|outcome| *outcome != Ok(Outcome::Delivered));
    format!("{refused:?} {:?}", context.push(id, Message::Text("and now?")))
}

/// Sends numbered messages to another process until it is done or refused.
fn send_numbers(context: &mut ProcessContext, to: &str, numbers: u64) -> String {
    for number in 1..=numbers {
        if let Err(error) = context.send(to, Message::Text(&format!("number {number}"))) {
            return format!("{} sent, then: {error}", number - 1);
        }
    }
    format!("{numbers} sent")
}

/// Sends so many bytes to `mirror` and compares what comes back.
fn mirrored(context: &mut ProcessContext, bytes: usize) -> String {
    let sent: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
    if let Err(error) = context.send("mirror", Message::Binary(&sent)) {
        return error.to_string();
    }
    if context.wait(Duration::from_secs(10)) != Wait::Message {
        return "nothing came back".to_owned();
    }
    let back = context.messages().next();
    let whole =
        ProcessMessage { from: "mirror".to_owned(), kind: PayloadKind::Binary, payload: sent };
    if back == Some(whole) { "the same".to_owned() } else { "something else".to_owned() }
}

/// Sends back to each sender what it sent.
fn mirror(context: &mut ProcessContext) -> Ended {
    while context.wait(LONG) != Wait::Stop {
        let messages: Vec<ProcessMessage> = context.messages().collect();
        for ProcessMessage { from, kind, payload } in messages {
            context.send(&from, Message::from_parts(kind, &payload))?;
        }
    }
    Ok(())
}

/// Counts the numbers that come, and how many were not the next one.
fn counter(context: &mut ProcessContext) -> Ended {
    let (mut came, mut astray) = (0_u64, 0_u64);
    serve(context, |context, _, client, words| match (client, words) {
        (None, number) => {
            came += 1;
            astray += u64::from(number.parse() != Ok(came));
            String::new()
        }
        (Some(_), "report") => {
            format!("{came} came, {astray} astray, {} dropped", context.messages_dropped())
        }
        (Some(_), _) => format!("not understood: {words}"),
    })
}

/// Leaves a line in the file `NAME.lines`.
fn note(context: &ProcessContext, line: &str) -> std::io::Result<()> {
    let file = format!("{}.lines", context.name());
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{line}")
}

fn process(name: &str) -> Option<Process> {
    let always = |body: fn(&mut ProcessContext) -> Ended| Some(Process::new(name, body));
    match name {
        "hands" => always(hands),
        "mirror" => always(mirror),
        "counter" => always(counter),
        "brief" => always(|context| Ok(note(context, "ran")?)),
        "once" => {
            let failing = |context: &mut ProcessContext| {
                note(context, "ran")?;
                Err("it is over".into())
            };
            Some(Process::new(name, failing).restart(RestartPolicy::Never))
        }
        "persistent" => {
            let failing_twice = |context: &mut ProcessContext| {
                note(context, "ran")?;
                let runs = fs::read_to_string("persistent.lines")?.lines().count();
                if runs < 3 { Err("not yet".into()) } else { Ok(()) }
            };
            Some(Process::new(name, failing_twice).restart(RestartPolicy::OnFailure))
        }
        "panicking" => always(|context| {
            note(context, "ran")?;
            panic!("as it was told")
        }),
        "polite" => always(|context| {
            note(context, "ran")?;
            let wait = context.wait(LONG);
            Ok(note(context, &format!("{wait:?}"))?)
        }),
        "deaf" => {
            let deaf = |context: &mut ProcessContext| {
                note(context, "ran")?;
                thread::sleep(LONG);
                Ok(())
            };
            Some(Process::new(name, deaf).stop_timeout(Duration::from_secs(1)))
        }
        _ => None,
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, pid_file, workers] = arguments.as_slice() else {
        eprintln!("usage: side_harness LISTEN PID_FILE WORKERS");
        return ExitCode::from(2);
    };
    let names = env::var("SIDE_PROCESSES").unwrap_or_default();
    let names: Vec<String> =
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if let Err(error) = wsmaster::logging::start(None, log::LevelFilter::Info) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let workers = workers.parse().unwrap_or(1);
    let mut server = Server::builder().listen(listen).workers(workers).pid_file(pid_file);
    for name in &names {
        let Some(process) = process(name) else {
            eprintln!("no process {name:?}");
            return ExitCode::from(2);
        };
        server = server.add_process(process);
    }
    let running = server
        .handler(move |worker| App {
            processes: names
                .iter()
                .filter_map(|name| Some((name.clone(), worker.process(name)?)))
                .collect(),
        })
        .run();
    match running {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
