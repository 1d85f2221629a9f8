//! The page of `top`: the model as it is drawn, whatever the size of the terminal. It changes nothing.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line as Text, Span},
    widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Sparkline, Table},
};
use serde_json::Value;

use super::{
    super::amounts::{bytes, count, duration},
    model::{Line, Model, Status},
};
use crate::logging::escape;

const HELP: [&str; 14] = [
    "q, Esc    quit",
    "p, blank  pause, and go on",
    "s         sort the processes: place, CPU, clients, messages, queue, memory",
    "arrows    scroll the processes",
    "?, h      this page",
    "",
    "The charts have one column for each look; the latest is at the right end,",
    "and each reaches up to its own highest value.",
    "CPU is the share of one CPU. QUEUE is what waits in the outboxes of clients",
    "that do not read as fast as they are sent to.",
    "Slowest clients are those with the largest outbox; busiest channels those",
    "with the most messages a second, over the last 8 seconds.",
    "",
    "wsmaster connections --sort queued lists more.",
];

/// Draws the page.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let [header, charts, processes, extremes, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(if area.height >= 20 { 4 } else { 0 }),
        Constraint::Min(3),
        Constraint::Length(if area.height >= 16 { 7 } else { 0 }),
        Constraint::Length(1),
    ])
    .areas(area);
    match &model.status {
        Some(status) => {
            draw_header(frame, header, model, status);
            draw_charts(frame, charts, model);
            draw_processes(frame, processes, model);
            draw_extremes(frame, extremes, model);
        }
        None => {
            let why = model.lost.as_deref().unwrap_or("asking the server ...");
            frame.render_widget(Paragraph::new(escape(why)), header);
        }
    }
    draw_keys(frame, keys, model);
    if model.shows_help {
        draw_help(frame, area);
    }
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, model: &Model, status: &Status) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let activity = escape(&status.activity.replace('_', " "));
    let mut first = vec![
        Span::styled(format!("wsmaster {}", escape(&status.version)), bold),
        Span::raw(format!(
            "  {}  {}  up {}  ",
            listening(&status.listen),
            escape(&status.app),
            status.master.uptime_ms.map_or_else(|| "-".to_owned(), duration),
        )),
        Span::styled(activity, Style::new().fg(state_color(&status.activity))),
    ];
    match &model.lost {
        Some(_) => {
            let lost = "  THE SERVER DOES NOT ANSWER; trying again";
            first
                .push(Span::styled(lost, Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)));
        }
        None if model.is_paused => {
            first.push(Span::styled("  PAUSED", Style::new().fg(Color::Yellow)));
        }
        None => {}
    }
    let (rates, totals) = (&model.rates, &status.totals);
    let dropped = totals.dropped_outbox_full + totals.dropped_mailbox_full;
    let mut second = vec![Span::raw(format!(
        "{} clients  {} reloads  in {}/s  out {}/s  queued {}  ",
        count(totals.websockets),
        status.reloads,
        bytes(rates.bytes_in as u64),
        bytes(rates.bytes_out as u64),
        bytes(totals.outbox_bytes),
    ))];
    let color = if rates.dropped > 0.0 { Color::Red } else { Color::Reset };
    second.push(Span::styled(format!("dropped {}", count(dropped)), Style::new().fg(color)));
    frame.render_widget(Paragraph::new(vec![Text::from(first), Text::from(second)]), area);
}

fn draw_charts(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let columns = Layout::horizontal([Constraint::Ratio(1, 4); 4]).split(area);
    let (histories, rates) = (&model.histories, &model.rates);
    let clients = model.status.as_ref().map_or(0, |status| status.totals.websockets);
    for (column, (title, history)) in columns.iter().zip([
        (format!("in {}/s", count(rates.messages_in.round() as u64)), &histories.messages_in),
        (format!("out {}/s", count(rates.messages_out.round() as u64)), &histories.messages_out),
        (format!("clients {}", count(clients)), &histories.clients),
        (format!("accepts {}/s", count(rates.accepted.round() as u64)), &histories.accepted),
    ]) {
        // A blank between two charts.
        let place = Rect { width: column.width.saturating_sub(1), ..*column };
        let [above, below] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(place);
        frame.render_widget(Paragraph::new(title).style(Modifier::BOLD), above);
        let width = usize::from(below.width);
        let skip = history.len().saturating_sub(width);
        // The latest value stands at the right end also while the history is short.
        let empty = std::iter::repeat_n(0, width.saturating_sub(history.len()));
        let values: Vec<u64> = empty.chain(history.iter().copied().skip(skip)).collect();
        let chart = Sparkline::default().data(&values).style(Style::new().fg(Color::Cyan));
        frame.render_widget(chart, below);
    }
}

fn draw_processes(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let header = ["PROCESS", "STATE", "UP", "CPU", "MEMORY", "CLIENTS", "IN/S", "OUT/S", "QUEUE"];
    let widths = [12, 9, 6, 5, 9, 7, 8, 8, 9].map(Constraint::Length);
    let room = usize::from(area.height.saturating_sub(1));
    // As many lines as fit are shown, however far it was scrolled.
    let first = model.scroll.min(model.lines.len().saturating_sub(room));
    let rows = model.lines.iter().skip(first).take(room).map(process_row);
    let head = header.iter().enumerate().map(|(column, name)| match column {
        0 | 1 => Cell::new(*name),
        _ => Cell::new(Text::from(*name).right_aligned()),
    });
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(Table::new(rows, widths).header(head), area);
}

fn process_row(line: &Line) -> Row<'static> {
    let Line { process, cpu, messages_in, messages_out } = line;
    let right = |text: Option<String>| {
        Cell::new(Text::from(text.unwrap_or_else(|| "-".to_owned())).right_aligned())
    };
    let rate = |rate: &Option<f64>| right(rate.map(|rate| count(rate.round() as u64)));
    let state = Span::styled(
        escape(&process.state.replace('_', " ")),
        Style::new().fg(state_color(&process.state)),
    );
    Row::new(vec![
        Cell::new(escape(&process.name)),
        Cell::new(state),
        right(process.uptime_ms.map(duration)),
        right(cpu.map(|share| format!("{:.0}%", share * 100.0))),
        right(process.rss_bytes.map(bytes)),
        right(process.counters.map(|counters| count(counters.websockets))),
        rate(messages_in),
        rate(messages_out),
        right(process.counters.map(|counters| bytes(counters.outbox_bytes))),
    ])
}

fn draw_extremes(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(55), Constraint::Min(0)]).spacing(1).areas(area);
    let silent = match model.extremes.silent.as_slice() {
        [] => String::new(),
        [one] => format!(" (worker {one} is silent)"),
        many => format!(" ({} workers are silent)", many.len()),
    };
    let slowest = model.extremes.slowest.iter().map(|row| {
        let who = row.user.as_deref().map_or_else(|| escape(&row.peer), escape);
        Row::new(vec![
            Cell::new(Text::from(row.connection.to_string()).right_aligned()),
            Cell::new(who),
            Cell::new(Text::from(bytes(row.queued_bytes)).right_aligned()),
        ])
    });
    let widths = [Constraint::Length(16), Constraint::Min(8), Constraint::Length(9)];
    let title = format!("slowest clients{silent}");
    frame.render_widget(Table::new(slowest, widths).block(titled(title)), left);
    let channels = model.extremes.channels.iter().map(|row| {
        Row::new(vec![
            Cell::new(escape(&row.channel)),
            Cell::new(Text::from(format!("{:.1}/s", row.messages_per_s)).right_aligned()),
            Cell::new(Text::from(count(row.subscribers)).right_aligned()),
        ])
    });
    let widths = [Constraint::Min(8), Constraint::Length(9), Constraint::Length(8)];
    let title = "busiest channels".to_owned();
    frame.render_widget(Table::new(channels, widths).block(titled(title)), right);
}

fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(title)
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let keys = format!(
        "q quit   p pause   s sort: {}   \u{2191}\u{2193} scroll   ? help",
        model.sort.name()
    );
    let dim = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Paragraph::new(keys).style(dim), area);
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let width = area.width.min(80);
    let height = area.height.min(HELP.len() as u16 + 2);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    let lines: Vec<Text<'_>> = HELP.iter().map(|line| Text::from(*line)).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("help")), place);
}

/// One address, or several.
fn listening(listen: &Value) -> String {
    match listen {
        Value::String(address) => escape(address),
        Value::Array(several) => several.iter().map(listening).collect::<Vec<_>>().join(" "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "-".to_owned(),
    }
}

/// Good, on its way, or not good.
fn state_color(state: &str) -> Color {
    match state {
        "ready" | "up" | "supervising" => Color::Green,
        "backing_off" | "given_up" | "killed" => Color::Red,
        _ => Color::Yellow,
    }
}
