//! A server whose task processes do what a client tells them, so that the tests of task processes can.
//!
//! ```text
//! TASKS=N [TASK_MAX_REQUEST=N] [TASK_TIMEOUT_MS=N] task_harness LISTEN PID_FILE WORKERS
//! ```
//!
//! A client's `task WORDS` is a task for any process, `to N WORDS` one for process N, `many N` that many tasks at once,
//! `big BYTES` one of that size, and `side WORDS` is given by a side process. `timer MS` tells how a side process's timer of
//! this time comes. `id` is answered with the id, everything else with itself. `GET /sleep/MS` is answered with what became of
//! a task that sleeps for so long.

use std::{env, process::ExitCode, rc::Rc, thread, time::Duration};

use wsmaster::{
    Address, ConnectionId, Context, Handler, HttpRequest, Message, PayloadKind, Responder, Server,
    TaskError,
    config::{Config, Machine},
    protocol::http::Response,
    side::{Ended, Process, ProcessContext, Task, TaskHandler, TaskInfo, TaskResult, Wait},
};

/// The closure that gives tasks too.
const SIDE: &str = "giver";

struct App {
    side: Option<Address>,
}

fn words(result: Result<Vec<u8>, TaskError>) -> String {
    match result {
        Ok(result) => String::from_utf8_lossy(&result).into_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn say(context: &mut Context<'_>, to: ConnectionId, text: &str) {
    // A connection that is gone hears nothing, which is right.
    let _ = context.push(to, Message::Text(text));
}

impl Handler for App {
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let (Message::Text(text), Some(id)) = (message, context.current()) else { return };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("id", _) => say(context, id, &id.to_string()),
            ("task", rest) => {
                context.task(rest.as_bytes(), move |context, result| {
                    say(context, id, &words(result));
                });
            }
            ("to", rest) => {
                let (process, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let process = process.parse().unwrap_or(u16::MAX);
                context.task_to(process, rest.as_bytes(), move |context, result| {
                    say(context, id, &words(result));
                });
            }
            ("many", count) => many(context, id, count.parse().unwrap_or(0)),
            ("big", bytes) => {
                let body = pattern(bytes.parse().unwrap_or(0));
                let data = [b"echo ", body.as_slice()].concat();
                context.task(&data, move |context, result| {
                    let answer = match result {
                        Ok(result) if result == body => format!("{} bytes", body.len()),
                        Ok(_) => "other bytes".to_owned(),
                        Err(error) => format!("{error:?}"),
                    };
                    say(context, id, &answer);
                });
            }
            ("side" | "timer", _) => {
                let text = format!("{id} {text}");
                if let Some(side) = self.side {
                    let sent =
                        context.handle().send_to_process(side, PayloadKind::Text, text.as_bytes());
                    sent.unwrap_or_else(|error| say(context, id, &error.to_string()));
                }
            }
            _ => drop(context.reply(message)),
        }
    }

    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: HttpRequest,
        responder: Responder,
    ) {
        let task = request.head.path().replace("/sleep/", "sleep ");
        context.task(task.as_bytes(), move |context, result| {
            context.respond(responder, &Response::new(200).text(words(result)));
        });
    }
}

/// Bytes that are not all the same.
fn pattern(bytes: usize) -> Vec<u8> {
    let all: Vec<u8> = (0..251).collect();
    // Copied, not counted: without optimisation that would hold its event loop for seconds, on a loaded machine for as long as
    // the watchdog allows.
    let mut pattern = all.repeat(bytes.div_ceil(all.len()));
    pattern.truncate(bytes);
    pattern
}

/// Gives many tasks, and says when all are answered how many were done and how many were not.
fn many(context: &mut Context<'_>, id: ConnectionId, count: usize) {
    let sums = Rc::new(std::cell::RefCell::new((0_usize, 0_usize)));
    for number in 0..count {
        let sums = sums.clone();
        let expected = number.to_string().into_bytes();
        context.task(format!("echo {number}").as_bytes(), move |context, result| {
            let mut sums = sums.borrow_mut();
            if result.is_ok_and(|result| result == expected) {
                sums.0 += 1;
            } else {
                sums.1 += 1;
            }
            if sums.0 + sums.1 == count {
                say(context, id, &format!("{} done, {} not", sums.0, sums.1));
            }
        });
    }
}

/// What a task process does.
struct Puppet {
    number: u16,
}

impl TaskHandler for Puppet {
    fn on_task(&mut self, context: &mut ProcessContext, task: Task<'_>) -> TaskResult {
        if let Some(body) = task.data.strip_prefix(b"echo ") {
            return Ok(body.to_vec());
        }
        let text = std::str::from_utf8(task.data)?;
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "number" => Ok(self.number.to_string().into_bytes()),
            "pid" => Ok(std::process::id().to_string().into_bytes()),
            "sleep" => {
                let (ms, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                thread::sleep(Duration::from_millis(ms.parse()?));
                Ok(rest.as_bytes().to_vec())
            }
            "push" => {
                let (to, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let to = ConnectionId::try_from(to.parse::<u64>()?)?;
                let outcome = context.push(to, Message::Text(text))?;
                Ok(format!("{outcome:?}").into_bytes())
            }
            "panic" => panic!("as it was told"),
            _ => Err(format!("what is {text:?}?").into()),
        }
    }
}

/// Gives tasks that it is told of, and waits for each.
fn giver(context: &mut ProcessContext) -> Ended {
    while context.wait(Duration::from_secs(600)) != Wait::Stop {
        let messages: Vec<_> = context.messages().collect();
        for message in messages {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            let mut parts = text.splitn(3, ' ');
            let id = ConnectionId::try_from(parts.next().unwrap_or("").parse::<u64>()?)?;
            let (what, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let answer = if what == "timer" {
                timers(context, Duration::from_millis(rest.parse()?))
            } else {
                let tasks: Vec<&[u8]> = rest.split(" | ").map(str::as_bytes).collect();
                let results = context.tasks(&tasks, Duration::from_secs(2));
                results.into_iter().map(words).collect::<Vec<_>>().join(" | ")
            };
            context.handle().push(id, PayloadKind::Text, answer.as_bytes())?;
        }
    }
    Ok(())
}

/// How timers come: one after the time, one three times, one that is cleared, never.
fn timers(context: &mut ProcessContext, time: Duration) -> String {
    let begun = std::time::Instant::now();
    let (Some(once), Some(again), Some(never)) =
        (context.after(time * 2), context.tick(time), context.after(time))
    else {
        return "no timers".to_owned();
    };
    let mut seen = vec![format!("cleared {}", context.clear(never))];
    while seen.len() < 5 {
        match context.wait(Duration::from_secs(5)) {
            Wait::Timer(timer) if timer == once => seen.push("once".to_owned()),
            Wait::Timer(timer) if timer == again => seen.push("again".to_owned()),
            other => seen.push(format!("{other:?}")),
        }
    }
    // The clock counts whole milliseconds.
    if begun.elapsed() + Duration::from_millis(3) < time * 3 {
        seen.push("too early".to_owned());
    }
    seen.push(format!("cleared {}", context.clear(again)));
    seen.push(format!("{:?}", context.wait(time * 2)));
    seen.join(", ")
}

fn config() -> Config {
    let number = |name| env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let mut config = Config::defaults(&Machine { uid: 0, cpus: 1, runtime_dir: None });
    config.server.task_workers = number("TASKS").unwrap_or(0) as usize;
    config.server.task_max_request = number("TASK_MAX_REQUEST").unwrap_or(0);
    config.server.task_timeout = number("TASK_TIMEOUT_MS").map(Duration::from_millis);
    config
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, pid_file, workers] = arguments.as_slice() else {
        eprintln!("usage: task_harness LISTEN PID_FILE WORKERS");
        return ExitCode::from(2);
    };
    if let Err(error) = wsmaster::logging::start(None, log::LevelFilter::Info) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let server = Server::builder()
        .config(config())
        .listen(listen)
        .workers(workers.parse().unwrap_or(1))
        .pid_file(pid_file)
        .add_process(Process::new(SIDE, giver))
        .tasks(|process: &TaskInfo| Puppet { number: process.number });
    match server.handler(|worker| App { side: worker.process(SIDE) }).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
