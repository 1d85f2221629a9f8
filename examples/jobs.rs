//! Blocking work from a handler: files that are synced to the disk, while the worker goes on with everybody else.
//!
//! ```text
//! cargo run --example jobs -- 127.0.0.1:9501 /tmp/jobs.pid 2 DIRECTORY
//! ```
//!
//! | a client says | and hears | |
//! |---|---|---|
//! | `append WORDS` | `line N` | one line more in the connection's own file, on the disk; in order |
//! | `sleep MS` | `slept MS` | stands for any call that blocks; in no order |
//! | `panic` | `the job panicked` | |
//! | anything else | the same | without a job |
//!
//! `GET /lines/ID` is answered with the file of a connection, which a job reads.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use wsmaster::{
    Closed, ConnectionId, Context, Handler, HttpRequest, JobOrder, Message, Responder, Server,
    protocol::http::Response,
};

struct Notes {
    directory: PathBuf,
}

impl Handler for Notes {
    fn on_message(&mut self, context: &mut Context<'_>, message: Message<'_>) {
        let (Message::Text(text), Some(id)) = (message, context.current()) else { return };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("append", words) => {
                let (file, words) = (self.file_of(id), words.to_owned());
                // In order, or the lines of a hasty client would stand in another one.
                context.run_job(JobOrder::OfConnection, move || append(&file, &words), told);
            }
            ("sleep", ms) => {
                let ms = ms.parse().unwrap_or(0);
                let sleep = move || {
                    thread::sleep(Duration::from_millis(ms));
                    Ok(format!("slept {ms}"))
                };
                context.run_job(JobOrder::Any, sleep, told);
            }
            ("panic", _) => context.run_job(JobOrder::Any, || panic!("as it was told"), told),
            _ => drop(context.reply(message)),
        }
    }

    fn on_close(&mut self, context: &mut Context<'_>, closed: &Closed) {
        let file = self.file_of(closed.id);
        // Behind the last line. A job that is abandoned because the server stops leaves the file.
        context.run_job(
            JobOrder::OfConnection,
            move || fs::remove_file(file),
            |_, removed| {
                if let Ok(Err(error)) = removed
                    && error.kind() != io::ErrorKind::NotFound
                {
                    log::warn!("a file was left: {error}");
                }
            },
        );
    }

    fn on_request(
        &mut self,
        context: &mut Context<'_>,
        request: HttpRequest,
        responder: Responder,
    ) {
        let id = request.head.path().strip_prefix("/lines/").and_then(|id| id.parse().ok());
        let Some(id) = id.and_then(|id: u64| ConnectionId::try_from(id).ok()) else {
            context.respond(responder, &Response::error(404, "GET /lines/ID"));
            return;
        };
        let file = self.file_of(id);
        context.run_job(
            JobOrder::Any,
            move || fs::read_to_string(file),
            |context, read| {
                let response = match read {
                    Ok(Ok(lines)) => Response::new(200).text(lines),
                    Ok(Err(_)) => Response::error(404, "it has no lines"),
                    Err(error) => Response::error(503, &error.to_string()),
                };
                context.respond(responder, &response);
            },
        );
    }
}

impl Notes {
    fn file_of(&self, id: ConnectionId) -> PathBuf {
        self.directory.join(format!("{id}.lines"))
    }
}

/// Runs on a thread: it may block.
fn append(file: &Path, words: &str) -> io::Result<String> {
    let number = fs::read_to_string(file).unwrap_or_default().lines().count() + 1;
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{words}")?;
    file.sync_data()?;
    Ok(format!("line {number}"))
}

/// Runs on the loop, when the job is over.
fn told(context: &mut Context<'_>, result: Result<io::Result<String>, wsmaster::JobError>) {
    let words = match result {
        Ok(Ok(words)) => words,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    if context.current().is_none() {
        log::info!("nobody is there to be told: {words}");
    }
    context.reply(Message::Text(&words));
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, pid_file, workers, directory] = arguments.as_slice() else {
        eprintln!("usage: jobs LISTEN PID_FILE WORKERS DIRECTORY");
        return ExitCode::from(2);
    };
    if let Err(error) = wsmaster::logging::start(None, log::LevelFilter::Info) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let (workers, directory) = (workers.parse().unwrap_or(1), PathBuf::from(directory));
    let server = Server::builder().listen(listen).workers(workers).pid_file(pid_file);
    match server.handler(move |_| Notes { directory: directory.clone() }).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
