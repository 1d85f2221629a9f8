//! `wsmaster top`: the running server on a terminal. Two threads ask the server, so that the page answers to keys while a
//! worker does not answer; what they hear goes into the [`model`], which the [`view`] draws.

mod model;
mod top_lists;
mod view;

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};
use signal_hook::flag;
use wsmaster_ipc::sys::{
    signal::number,
    terminal::{end_by_hangup, wait_for_end},
};

use self::model::{Key, Model, Update};
use super::{
    hint,
    out::complain,
    running_server::{self, RunningServer},
};
use crate::cli::{Exit, Target};

/// How soon a key, a signal or news are noticed.
const TURN: Duration = Duration::from_millis(50);
/// How often all workers are asked who is at the upper end, at the most: they look at all their connections for it.
const TOP_LISTS_INTERVAL: Duration = Duration::from_secs(2);
/// News that wait for the page.
const UPDATES_MAX: usize = 8;

pub(super) fn top(target: &Target, interval: Duration) -> Exit {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let flags = hint::flags_given(target);
        complain!("top needs a terminal; wsmaster status --watch{flags} writes to files and pipes");
        return Exit::Failed;
    }
    let server = match RunningServer::find(target) {
        Ok(server) => server,
        Err(exit) => return exit,
    };
    let (tell, updates) = sync_channel(UPDATES_MAX);
    look(server.pid_file().to_owned(), interval, tell.clone());
    look_for_top_lists(server.pid_file().to_owned(), interval, tell);
    end_with_the_terminal();
    let shown = ended_by_signal().and_then(|ended| {
        // It also sees to it that a panic leaves the terminal as it was.
        let mut terminal = ratatui::try_init()?;
        let shown = show(&mut terminal, &updates, &ended);
        ratatui::try_restore()?;
        shown
    });
    match shown {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain!("the terminal cannot be used: {error}");
            Exit::Failed
        }
    }
}

/// There is no terminal left to restore when it is gone, and whoever reads on from it gets an end of file again and again. Its
/// SIGHUP may be ignored (nohup), or go to others, so it is watched besides.
fn end_with_the_terminal() {
    thread::spawn(|| {
        if wait_for_end(io::stdin().as_fd()).is_ok() {
            end_by_hangup();
        }
    });
}

/// Set by the signals that ask a program to end. Not by SIGHUP, which ends it at once.
fn ended_by_signal() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [number::TERM, number::INT, number::QUIT] {
        flag::register(signal, ended.clone())?;
    }
    Ok(ended)
}

fn show(
    terminal: &mut DefaultTerminal,
    updates: &Receiver<Update>,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut model = Model::default();
    let mut is_stale = true;
    loop {
        for update in updates.try_iter().take(UPDATES_MAX) {
            model.take(update);
            is_stale = true;
        }
        if std::mem::take(&mut is_stale) {
            terminal.draw(|frame| view::draw(frame, &model))?;
        }
        if ended.load(Ordering::Acquire) {
            return Ok(());
        }
        if !event::poll(TURN)? {
            continue;
        }
        match event::read()? {
            Event::Key(press) if press.kind == KeyEventKind::Press => {
                if key(press).is_some_and(|key| !model.press(key)) {
                    return Ok(());
                }
                is_stale = true;
            }
            Event::Resize(..) => is_stale = true,
            Event::Key(_)
            | Event::Mouse(_)
            | Event::Paste(_)
            | Event::FocusGained
            | Event::FocusLost => {}
        }
    }
}

fn key(press: KeyEvent) -> Option<Key> {
    match press.code {
        KeyCode::Char('c' | 'd') if press.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Key::Quit)
        }
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('p' | ' ') => Some(Key::Pause),
        KeyCode::Char('s') => Some(Key::Sort),
        KeyCode::Char('?' | 'h') => Some(Key::Help),
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Up),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Down),
        _ => None,
    }
}

// ----- asking, in threads that end with the program -----

fn look(pid_file: PathBuf, interval: Duration, tell: SyncSender<Update>) {
    let begun = Instant::now();
    let look = move |pid_file: &Path| -> io::Result<Update> {
        let status = running_server::status(pid_file)?;
        let at_ms = begun.elapsed().as_millis() as u64;
        Ok(Update::Look(Box::new(status), at_ms))
    };
    repeat(pid_file, interval, tell, move |pid_file| {
        Some(look(pid_file).unwrap_or_else(|error| Update::Lost(error.to_string())))
    });
}

fn look_for_top_lists(pid_file: PathBuf, interval: Duration, tell: SyncSender<Update>) {
    // That the server does not answer is the other thread's to tell.
    repeat(pid_file, interval.max(TOP_LISTS_INTERVAL), tell, |pid_file| {
        top_lists::ask(pid_file).ok().map(Update::TopLists)
    });
}

/// Asks again and again. A page that is not drawn any more ends it.
fn repeat(
    pid_file: PathBuf,
    interval: Duration,
    tell: SyncSender<Update>,
    look: impl Fn(&Path) -> Option<Update> + Send + 'static,
) {
    thread::spawn(move || {
        loop {
            if look(&pid_file).is_some_and(|update| tell.send(update).is_err()) {
                return;
            }
            thread::sleep(interval);
        }
    });
}
