//! Work for processes of its own: numbers are factored by task processes, however long that takes, and whichever is free
//! takes the next.
//!
//! ```text
//! cargo run --release --example tasks -- 127.0.0.1:9501 /tmp/tasks.pid 2 4
//! ```
//!
//! A client sends a number of at most 18 digits and hears its prime factors: `1001` is answered with `1001 = 7 * 11 * 13`.
//! Kill a task process while it is at a number, and the client that waits is told; the others are not concerned.

use std::process::ExitCode;

use wsmaster::{
    Context, Handler, Message, Server, TaskError,
    side::{ProcessContext, Task, TaskHandler, TaskResult},
};

struct App;

impl Handler for App {
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let (Message::Text(number), Some(id)) = (message, context.current()) else { return };
        let asked = number.to_owned();
        context.task(number.as_bytes(), move |context, result| {
            let answer = match result {
                Ok(factors) => format!("{asked} = {}", String::from_utf8_lossy(&factors)),
                // Nothing is lost by trying again: the number has no memory.
                Err(TaskError::Died | TaskError::Full | TaskError::Unanswered) => {
                    format!("{asked}: try again")
                }
                Err(error) => format!("{asked}: {error}"),
            };
            // If the connection is gone, or its worker's mailbox is full, nobody is waiting for this any more.
            let _ = context.push(id, Message::Text(&answer));
        });
    }
}

/// What a task process does.
struct Factors;

impl TaskHandler for Factors {
    fn on_task(&mut self, _context: &mut ProcessContext, task: Task<'_>) -> TaskResult {
        let number: u64 = std::str::from_utf8(task.data)?.trim().parse()?;
        if !(2..1_000_000_000_000_000_000).contains(&number) {
            return Err("only numbers from 2 on, of at most 18 digits, have factors here".into());
        }
        let factors: Vec<String> = factors(number).iter().map(ToString::to_string).collect();
        Ok(factors.join(" * ").into_bytes())
    }
}

/// The slowest way that is right.
fn factors(number: u64) -> Vec<u64> {
    let (mut rest, mut divisor, mut found) = (number, 2, Vec::new());
    while divisor * divisor <= rest {
        if rest.is_multiple_of(divisor) {
            rest /= divisor;
            found.push(divisor);
        } else {
            divisor += 1;
        }
    }
    found.push(rest);
    found
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers, tasks] = arguments.as_slice() else {
        eprintln!("usage: tasks LISTEN PID_FILE WORKERS TASK_PROCESSES");
        return ExitCode::from(2);
    };
    if let Err(error) = wsmaster::logging::start(None, log::LevelFilter::Info) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let server = Server::builder()
        .listen(listen)
        .workers(workers.parse().unwrap_or(1))
        .pid_file(pid_file)
        .task_workers(tasks.parse().unwrap_or(1))
        .tasks(|_process| Factors);
    match server.handler(|_worker| App).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
