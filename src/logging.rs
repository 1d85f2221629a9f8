//! The log: one line for each thing that an operator may want to know, to the standard error or to a file.
//!
//! Owns the form of a line, and what this process writes to. What came from outside is escaped, so a line is always one line,
//! and it is written in one piece, so several processes can share the file. No write waits ([`LogOutput`]): a line that is not
//! taken at once, by a full disk, a pipe without a reader or a terminal that is stopped, is counted and no reason to stop. Only
//! the master opens a file; the others are given it.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use env_logger::{Builder, Target as Output};
use log::LevelFilter;
use wsmaster_ipc::{
    shared_state::SharedState,
    sys::{
        log_file::{LogPlace, Rotated},
        log_output::{LogOutput, stream_number},
    },
};

/// The time at the beginning of a line: `2026-01-31T23:59:59.999Z`.
const TIME_BYTES: usize = 24;

static LOG: OnceLock<Log> = OnceLock::new();

/// The number of the standard error.
const STANDARD_ERROR: i32 = 2;

#[derive(Debug)]
struct Log {
    target: Arc<Target>,
    role: Mutex<String>,
    /// Where lost lines are counted for all processes together.
    shared_state: OnceLock<SharedState>,
}

#[derive(Debug)]
struct Target {
    place: Place,
    writer: Mutex<Writer<LogOutput>>,
}

/// What the log is written to.
#[derive(Debug)]
enum Place {
    /// A file that the master has opened.
    File(LogPlace),
    /// A stream that the server was started with; its path, if the configuration names it by one.
    Stream { number: i32, path: Option<PathBuf> },
}

impl Target {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let stream = match path {
            None => Some(STANDARD_ERROR),
            Some(path) => stream_number(path),
        };
        let (place, output) = match (stream, path) {
            (Some(number), path) => {
                let path = path.map(Path::to_owned);
                (Place::Stream { number, path }, LogOutput::stream(number)?)
            }
            (None, path) => {
                // A relative name must go on to mean the same file.
                let place = LogPlace::new(path.unwrap_or(Path::new("")))?;
                let output = LogOutput::file(place.open()?);
                (Place::File(place), output)
            }
        };
        Ok(Self { place, writer: Mutex::new(Writer::new(output)) })
    }
}

/// Starts logging, once in the life of a process.
///
/// # Errors
/// The file cannot be opened: it is a symbolic link, or not to be written; or the server was not started with the stream that
/// it stands for (`/dev/stdout`, `/dev/fd/N`).
pub fn start(file: Option<&Path>, level: LevelFilter) -> io::Result<()> {
    let target = Arc::new(Target::open(file)?);
    let log = LOG.get_or_init(|| Log {
        target,
        role: Mutex::new("master".to_owned()),
        shared_state: OnceLock::new(),
    });
    let mut builder = Builder::new();
    // `set_level` decides which levels pass, since a reload may change it; the filter of the builder cannot be changed.
    builder.filter_level(LevelFilter::Trace).format(|line, record| {
        let role = LOG.get().map(|log| lock(&log.role).clone()).unwrap_or_default();
        let text = escape(&record.args().to_string());
        let now = line.timestamp_millis();
        writeln!(line, "{now} {:<5} {role}: {text}", record.level())
    });
    builder.target(Output::Pipe(Box::new(Sink(log.target.clone()))));
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

/// Counts lost lines on this shared state from now on, in this process and those forked from it.
pub fn count_losses_on(shared_state: &SharedState) {
    if let Some(log) = LOG.get() {
        // A second server in one process (a test's) goes on counting on the first one's.
        let _ = log.shared_state.set(shared_state.clone());
    }
}

/// Standard input, output and error of this process lead to /dev/null from now on: so does a log that was one of them.
pub fn leave_streams() {
    if let Some(target) = target()
        && let Place::Stream { number: 0..=STANDARD_ERROR, .. } = &target.place
        && let Ok(nowhere) = LogOutput::stream(STANDARD_ERROR)
    {
        lock(&target.writer).file = nowhere;
    }
}

/// The log file as it is named, if it is not the standard error.
pub fn path() -> Option<PathBuf> {
    match &target()?.place {
        Place::File(place) => Some(place.path()),
        Place::Stream { path, .. } => path.clone(),
    }
}

/// Bytes in the file that is written to.
pub fn length() -> Option<u64> {
    let (_, writer) = file()?;
    let facts = lock(writer).file.as_file().metadata().ok()?;
    facts.is_file().then_some(facts.len())
}

/// Opens the log file by its name again, after it was moved away.
///
/// # Errors
/// It cannot be opened, or is no file that the server has opened; the old one stays in use.
pub fn reopen() -> io::Result<()> {
    let Some((place, writer)) = file() else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it is a stream that the server was started with, and nothing to be moved away",
        ));
    };
    let again = LogOutput::file(place.open()?);
    lock(writer).file = again;
    Ok(())
}

/// Moves the log file aside, of which `keep` older ones stay, and writes to a new one. Whether it was moved: one that
/// another program had moved is only opened again.
///
/// # Errors
/// It cannot be done; the old one stays in use.
pub fn rotate(keep: u32) -> io::Result<bool> {
    let Some((place, writer)) = file() else { return Ok(false) };
    let mut writer = lock(writer);
    let (again, moved) = match place.rotate(writer.file.as_file(), keep)? {
        Rotated::Moved(again) => (again, true),
        Rotated::WasMoved(again) => (again, false),
    };
    writer.file = LogOutput::file(again);
    Ok(moved)
}

/// Writes to this file from now on, which the master has opened.
pub fn take(given: OwnedFd) {
    if let Some((_, writer)) = file() {
        lock(writer).file = LogOutput::file(File::from(given));
    }
}

/// Runs `with` with what the log is written to, for a child that is to have it.
pub fn with_descriptor<R>(with: impl FnOnce(Option<BorrowedFd<'_>>) -> R) -> R {
    match target() {
        Some(target) => with(Some(lock(&target.writer).file.as_fd())),
        None => with(None),
    }
}

/// The text with everything escaped that could end a line, hide a part of it, or command a terminal: control characters, the
/// marks that turn the direction of writing (`Bidi_Control` of Unicode, UAX 9), and the two separators of lines that are no
/// control characters.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        let separates = matches!(character, '\u{2028}' | '\u{2029}');
        if character.is_control() || turns || separates {
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn target() -> Option<&'static Arc<Target>> {
    Some(&LOG.get()?.target)
}

/// The target, if it is a file that the master has opened.
fn file() -> Option<(&'static LogPlace, &'static Mutex<Writer<LogOutput>>)> {
    let target = target()?;
    match &target.place {
        Place::File(place) => Some((place, &target.writer)),
        Place::Stream { .. } => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What a panicking thread left behind is a whole value: it is only ever replaced.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Sink(Arc<Target>);

impl Write for Sink {
    /// Takes a line. It never fails: a line that cannot be written is counted.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !lock(&self.0.writer).write(line)
            && let Some(shared_state) = LOG.get().and_then(|log| log.shared_state.get())
        {
            shared_state.add_lost_log_lines(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a file has taken a part of a line only.
trait Partial {
    fn why_not_all(&self) -> io::ErrorKind;
}

impl Partial for LogOutput {
    fn why_not_all(&self) -> io::ErrorKind {
        match self.as_file().metadata() {
            Ok(facts) if facts.is_file() => io::ErrorKind::StorageFull,
            Ok(_) | Err(_) => io::ErrorKind::WouldBlock,
        }
    }
}

/// A file, and what it did not take.
#[derive(Debug)]
struct Writer<F> {
    file: F,
    /// Lines lost since the last one that was written, and why the last of them was.
    lost: u64,
    reason: String,
    /// The last thing in the file is a part of a line of ours.
    is_torn: bool,
}

impl<F: Write + Partial> Writer<F> {
    fn new(file: F) -> Self {
        Self { file, lost: 0, reason: String::new(), is_torn: false }
    }

    /// Writes a line in one piece. When the file takes lines again after some were lost, it says so first, once. Whether the
    /// line is in the file.
    fn write(&mut self, line: &[u8]) -> bool {
        let written = if self.lost == 0 { self.put(line) } else { self.put(&self.confess(line)) };
        match written {
            Ok(()) => {
                self.lost = 0;
                true
            }
            Err(error) => {
                self.lost += 1;
                self.reason = match error.kind() {
                    io::ErrorKind::WouldBlock => "nobody read them".to_owned(),
                    _ => error.to_string(),
                };
                false
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) if count == bytes.len() => {
                    self.is_torn = false;
                    return Ok(());
                }
                // The rest would come after what others have written by then.
                Ok(count) => {
                    self.is_torn |= count > 0;
                    return Err(self.file.why_not_all().into());
                }
            }
        }
    }

    /// The line behind words about the lines that are missing before it.
    fn confess(&self, line: &[u8]) -> Vec<u8> {
        let head = String::from_utf8_lossy(line);
        let (time, rest) = head.split_at_checked(TIME_BYTES).unwrap_or(("", &head));
        // `LEVEL role: text`
        let role = rest.split_once(':').and_then(|(words, _)| words.trim().split_once(' '));
        let role = role.map_or("log", |(_, role)| role.trim());
        let (torn, lost, reason) = (if self.is_torn { "\n" } else { "" }, self.lost, &self.reason);
        let words =
            format!("{torn}{time} WARN  {role}: lines lost by the log: {lost} ({reason})\n");
        [words.as_bytes(), line].concat()
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
        let marks = "\u{61c}\u{200e}\u{200f}\u{202a}\u{2069}\u{2028}\u{2029}\u{85}\u{9b}\0";
        assert!(escape(marks).is_ascii(), "{}", escape(marks));
        assert_eq!(escape("Grüße, 世界"), "Grüße, 世界");
    }

    /// A disk with room for so many bytes.
    #[derive(Default)]
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Partial for Disk {
        fn why_not_all(&self) -> io::ErrorKind {
            io::ErrorKind::StorageFull
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.bytes.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_told_of_once_when_there_is_room() {
        let line =
            |text: &str| format!("2026-01-31T23:59:59.999Z INFO  worker 1: {text}\n").into_bytes();
        let mut writer = Writer::new(Disk { room: 60, ..Disk::default() });
        assert!(writer.write(&line("one")));
        assert!(!writer.write(&line("two")), "only a part of it had room");
        assert!(!writer.write(&line("three")));
        writer.file.room = 1000;
        assert!(writer.write(&line("four")));
        assert!(writer.write(&line("five")));
        let text = String::from_utf8(writer.file.bytes).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].ends_with("one") && lines[3].ends_with("four"), "{text}");
        assert!(lines[1].starts_with("2026-01-31T"), "the part that was written: {text}");
        assert_eq!(
            lines[2],
            "2026-01-31T23:59:59.999Z WARN  worker 1: lines lost by the log: 2 (no storage space)"
        );
        assert!(lines[4].ends_with("five"), "{text}");
    }
}
