//! Who is at the upper end, over all workers: each tells its own, a part at a time, and the best of all are kept.

use std::{cmp::Reverse, collections::HashMap, io, path::Path};

use serde::de::DeserializeOwned;
use wsmaster_workers::inspect::{ChannelRow, ConnectionRow, InspectRequest, Page, Query};

use super::{super::running_server, model::TopLists};
use crate::master::SurveyProblem;

/// How many of each kind are kept.
const KEPT_MAX: usize = 32;
/// Rows that a part may have.
const ROWS_MAX: u16 = KEPT_MAX as u16;

/// Asks all workers once over.
///
/// # Errors
/// The master does not answer.
pub(super) fn ask(pid_file: &Path) -> io::Result<TopLists> {
    let workers = running_server::status(pid_file)?.workers.len() as u16;
    let (mut slowest, mut channels) = (Vec::new(), Vec::new());
    let mut unanswered = Vec::new();
    for slot in 0..workers {
        let mut keep_slowest = |rows: Vec<ConnectionRow>| {
            slowest.extend(rows);
            keep_slowest_of(&mut slowest);
        };
        let answered = each_part(pid_file, slot, &Query::Slowest, &mut keep_slowest)?.is_ok()
            && each_part(pid_file, slot, &Query::Channels, |rows| channels.push(rows))?.is_ok();
        if !answered {
            unanswered.push(slot);
        }
    }
    Ok(TopLists { slowest, channels: merged(channels), unanswered })
}

fn each_part<R: DeserializeOwned>(
    pid_file: &Path,
    slot: u16,
    what: &Query,
    mut take: impl FnMut(Vec<R>),
) -> io::Result<Result<(), SurveyProblem>> {
    let mut from = 0;
    loop {
        let question = InspectRequest { what: what.clone(), from, rows_max: ROWS_MAX };
        match running_server::part::<R>(pid_file, slot, &question)? {
            Err(problem) => return Ok(Err(problem)),
            Ok(Page { rows, next }) => {
                take(rows);
                match next {
                    // One that does not get on would be asked for ever.
                    Some(next) if next > from => from = next,
                    Some(_) | None => return Ok(Ok(())),
                }
            }
        }
    }
}

fn keep_slowest_of(rows: &mut Vec<ConnectionRow>) {
    rows.sort_by_key(|row| Reverse(row.queued_bytes));
    rows.truncate(KEPT_MAX);
}

/// The busiest channels of all workers. A message for a channel reaches every worker that has a subscriber, so a channel
/// is as busy as it is where it is busiest.
fn merged(parts: Vec<Vec<ChannelRow>>) -> Vec<ChannelRow> {
    let mut by_name: HashMap<String, ChannelRow> = HashMap::new();
    for row in parts.into_iter().flatten() {
        match by_name.get_mut(&row.channel) {
            Some(known) => {
                known.subscribers += row.subscribers;
                known.messages_per_s = known.messages_per_s.max(row.messages_per_s);
            }
            None => drop(by_name.insert(row.channel.clone(), row)),
        }
    }
    let mut rows: Vec<ChannelRow> = by_name.into_values().collect();
    rows.sort_by(|one, other| {
        other
            .messages_per_s
            .total_cmp(&one.messages_per_s)
            .then(other.subscribers.cmp(&one.subscribers))
            .then(one.channel.cmp(&other.channel))
    });
    rows.truncate(KEPT_MAX);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_of_several_workers_is_one() {
        let row = |channel: &str, subscribers, messages_per_s| ChannelRow {
            channel: channel.to_owned(),
            subscribers,
            messages_per_s,
        };
        let parts = vec![
            vec![row("a", 10, 1.0), row("quiet", 1, 0.0)],
            vec![row("b", 2, 5.0), row("a", 5, 3.0), row("big", 9, 0.0)],
        ];
        let expected =
            [row("b", 2, 5.0), row("a", 15, 3.0), row("big", 9, 0.0), row("quiet", 1, 0.0)];
        assert_eq!(merged(parts), expected);
        let many = (0..100).map(|number| row(&number.to_string(), 1, f64::from(number)));
        let kept = merged(vec![many.collect()]);
        assert_eq!((kept.len(), kept[0].channel.as_str()), (KEPT_MAX, "99"));
    }
}
