//! `wsmaster connections`: the WebSockets of all workers, as a table or as JSON.
//!
//! They are asked for a part at a time and written as they come; only a list that is to be sorted is held, and of that no
//! more than is to be printed.

use std::cmp::Reverse;

use wsmaster_protocol::one_line;
use wsmaster_workers::inspect::{ConnectionRow, InspectRequest, Query, ROWS_PER_PAGE_MAX};

use super::{
    out::{self, complain, unwritten},
    running_server::RunningServer,
    table::{Side, Table},
};
use crate::{
    cli::amounts::{bytes, count, duration},
    cli::{Exit, Listing, SortBy, Target},
    logging::escape,
};

pub(super) fn connections(target: &Target, listing: &Listing) -> Exit {
    match list(target, listing) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn list(target: &Target, listing: &Listing) -> Result<Exit, Exit> {
    let server = RunningServer::find(target)?;
    let status = server.status()?;
    let workers = status.workers.len() as u16;
    let slots = match listing.worker {
        None => 0..workers,
        Some(slot) if slot < workers => slot..slot + 1,
        Some(slot) => {
            complain!("there is no worker {slot}; there are {workers}, counted from 0");
            return Err(Exit::Usage);
        }
    };
    let mut page = Page::new(listing);
    let mut exit = Exit::Done;
    'workers: for slot in slots {
        let mut from = Some(0);
        while let Some(place) = from {
            let what =
                Query::Connections { channel: listing.channel.clone(), user: listing.user.clone() };
            let question = InspectRequest { what, from: place, rows_max: ROWS_PER_PAGE_MAX };
            match server.part(slot, &question)? {
                Ok(part) => {
                    from = part.next;
                    if !page.take(part.rows)? {
                        break 'workers;
                    }
                }
                Err(problem) => {
                    from = None;
                    complain!("the connections of worker {slot} are not listed: {problem}");
                    exit = Exit::Failed;
                }
            }
        }
    }
    page.finish()?;
    Ok(exit)
}

/// What is printed.
struct Page<'l> {
    listing: &'l Listing,
    table: Table,
    has_header: bool,
    /// Rows printed, or, for a sorted list, seen.
    rows: usize,
    /// The first of a sorted list, among others.
    kept: Vec<ConnectionRow>,
}

impl<'l> Page<'l> {
    fn new(listing: &'l Listing) -> Self {
        let table = Table::new(&COLUMNS.map(|(_, side)| side));
        Self { listing, table, has_header: false, rows: 0, kept: Vec::new() }
    }

    fn limit(&self) -> usize {
        match self.listing.limit {
            0 => usize::MAX,
            limit => limit,
        }
    }

    /// Takes what has come. Whether more is wanted.
    fn take(&mut self, mut rows: Vec<ConnectionRow>) -> Result<bool, Exit> {
        match self.listing.sort {
            Some(by) => {
                self.rows += rows.len();
                self.kept.append(&mut rows);
                if self.kept.len() / 2 > self.limit() {
                    sort(&mut self.kept, by);
                    self.kept.truncate(self.limit());
                }
                Ok(true)
            }
            None => {
                let room = self.limit() - self.rows;
                let is_cut = rows.len() > room;
                rows.truncate(room);
                if !rows.is_empty() {
                    self.print(&rows)?;
                }
                self.rows += rows.len();
                if is_cut {
                    complain!("the first {} are listed; --limit 0 lists all", self.rows);
                }
                Ok(!is_cut)
            }
        }
    }

    /// Prints what is left to print.
    fn finish(mut self) -> Result<(), Exit> {
        let Some(by) = self.listing.sort else {
            return if self.has_header { Ok(()) } else { self.print(&[]) };
        };
        let mut rows = std::mem::take(&mut self.kept);
        sort(&mut rows, by);
        rows.truncate(self.limit());
        let (shown, seen) = (rows.len(), self.rows);
        self.print(&rows)?;
        if shown < seen {
            complain!("the first {shown} of {seen} are listed; --limit 0 lists all");
        }
        Ok(())
    }

    fn print(&mut self, rows: &[ConnectionRow]) -> Result<(), Exit> {
        let text = if self.listing.json {
            rows.iter().filter_map(|row| one_line::line(row).ok()).collect()
        } else {
            let header = (!std::mem::replace(&mut self.has_header, true))
                .then(|| COLUMNS.map(|(name, _)| name.to_owned()));
            let cells: Vec<Vec<String>> =
                header.map(Vec::from).into_iter().chain(rows.iter().map(cells)).collect();
            self.table.lines(&cells)
        };
        out::write(&text).map_err(|error| unwritten(&error))
    }
}

const COLUMNS: [(&str, Side); 11] = [
    ("CONNECTION", Side::Right),
    ("WORKER", Side::Right),
    ("PEER", Side::Left),
    ("AGE", Side::Right),
    ("IDLE", Side::Right),
    ("CHANNELS", Side::Right),
    ("MSG IN", Side::Right),
    ("MSG OUT", Side::Right),
    ("QUEUED", Side::Right),
    ("USER", Side::Left),
    ("PATH", Side::Left),
];

fn cells(row: &ConnectionRow) -> Vec<String> {
    vec![
        row.connection.to_string(),
        row.worker.to_string(),
        escape(&row.peer),
        duration(row.age_ms),
        duration(row.idle_ms),
        row.channels.to_string(),
        count(row.messages_in),
        count(row.messages_out),
        bytes(row.queued_bytes),
        row.user.as_deref().map_or_else(|| "-".to_owned(), escape),
        escape(&row.path) + if row.open { "" } else { " (closing)" },
    ]
}

/// The largest first; among equals the older connection.
fn sort(rows: &mut [ConnectionRow], by: SortBy) {
    rows.sort_unstable_by_key(|row| {
        let value = match by {
            SortBy::Age => row.age_ms,
            SortBy::Idle => row.idle_ms,
            SortBy::Queued => row.queued_bytes,
            SortBy::In => row.messages_in,
            SortBy::Out => row.messages_out,
            SortBy::Channels => u64::from(row.channels),
        };
        (Reverse(value), row.connection.serial())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_cannot_command_the_terminal_or_add_a_line() {
        let row = serde_json::json!({
            "connection": 609_147_837_047_808_u64, "worker": 0, "peer": "unix:\u{1b}[2J",
            "user": "ann\nroot", "path": "/\u{202e}x", "open": false, "age_ms": 90_000,
            "idle_ms": 1, "channels": 1, "messages_in": 2_000_000, "messages_out": 1,
            "queued_bytes": 2048,
        });
        let row: ConnectionRow = serde_json::from_value(row).expect("a row");
        let expected = [
            "609147837047808",
            "0",
            "unix:\\u{1b}[2J",
            "1m30s",
            "0.0s",
            "1",
            "2.00M",
            "1",
            "2.0 KiB",
            "ann\\u{a}root",
            "/\\u{202e}x (closing)",
        ];
        assert_eq!(cells(&row), expected);
    }
}
