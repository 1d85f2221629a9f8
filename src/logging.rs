//! The log: one line for each thing that an operator may want to know, to the standard error or to a file.
//!
//! Owns the form of a line and the file. What came from outside is escaped, so a line is always one line.

use std::{
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use env_logger::{Builder, Target};
use log::LevelFilter;

/// Not to follow a symbolic link at the end of a path (open(2)).
const O_NOFOLLOW: i32 = 0o400_000;

static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    file: Option<Arc<LogFile>>,
    role: Mutex<String>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    owner: Option<(u32, u32)>,
    open: Mutex<File>,
}

/// Starts logging, once in the life of a process.
///
/// `owner` is the user and group that the workers will be: a new file is made theirs, so that they can open it again.
///
/// # Errors
/// The file cannot be opened: it is a symbolic link, or not to be written.
pub fn start(file: Option<&Path>, level: LevelFilter, owner: Option<(u32, u32)>) -> io::Result<()> {
    let file = match file {
        None => None,
        Some(path) => {
            let open = Mutex::new(open(path, owner)?);
            // A relative name must go on to mean the same file.
            let path = std::path::absolute(path)?;
            Some(Arc::new(LogFile { path, owner, open }))
        }
    };
    let log = LOG.get_or_init(|| Log { file, role: Mutex::new("master".to_owned()) });
    let mut builder = Builder::new();
    // Which levels pass is `set_level`'s to say, since a reload may change it; the builder's own filter cannot.
    builder.filter_level(LevelFilter::Trace).format(|line, record| {
        let role = LOG.get().map(|log| lock(&log.role).clone()).unwrap_or_default();
        let text = escape(&record.args().to_string());
        let now = line.timestamp_millis();
        writeln!(line, "{now} {:<5} {role}: {text}", record.level())
    });
    if let Some(file) = &log.file {
        builder.target(Target::Pipe(Box::new(Sink(file.clone()))));
    }
    // A second call finds a logger, which goes on.
    let _ = builder.try_init();
    set_level(level);
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        match panic.location() {
            Some(place) => {
                log::error!("panic at {}:{}: {message}", place.file(), place.line());
            }
            None => log::error!("panic: {message}"),
        }
    }));
    Ok(())
}

/// Names this process in the lines it writes from now on.
pub fn set_role(role: &str) {
    if let Some(log) = LOG.get() {
        role.clone_into(&mut lock(&log.role));
    }
}

/// Changes the level of what is logged.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Opens the log file by its name again, after it was moved away.
pub fn reopen() {
    let Some(file) = LOG.get().and_then(|log| log.file.as_ref()) else { return };
    match open(&file.path, file.owner) {
        Ok(again) => *lock(&file.open) = again,
        Err(error) => log::warn!(
            "the log file {} cannot be opened again, and the old one stays in use: {error}",
            file.path.display()
        ),
    }
}

/// Runs `with` with the open log file, for a child that is to keep it.
pub fn with_descriptor<R>(with: impl FnOnce(Option<BorrowedFd<'_>>) -> R) -> R {
    match LOG.get().and_then(|log| log.file.as_ref()) {
        Some(file) => with(Some(lock(&file.open).as_fd())),
        None => with(None),
    }
}

/// The text with everything escaped that could end a line, hide a part of it, or command a terminal: control characters and
/// the marks that turn the direction of writing.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn open(path: &Path, owner: Option<(u32, u32)>) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(O_NOFOLLOW)
        .open(path)?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What a panicking thread left behind is a whole value: it is only ever replaced.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Sink(Arc<LogFile>);

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lock(&self.0.open).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_ends_a_line_or_commands_a_terminal() {
        assert_eq!(escape("GET /\r\nINFO fake"), "GET /\\u{d}\\u{a}INFO fake");
        assert_eq!(escape("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(escape("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(escape("Grüße, 世界"), "Grüße, 世界");
    }
}
