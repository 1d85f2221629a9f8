//! The page of `top`: the model as it is drawn, whatever the size of the terminal. It changes nothing.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line as Text, Span},
    widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Sparkline, Table},
};
use wsmaster_ipc::shared_state::Counter;

use super::model::{Line, Model};
use crate::{
    cli::amounts::{bytes, count, duration},
    logging::escape,
    status::Status,
};

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
    let charts = if area.height >= 20 { 4 } else { 0 };
    let top_lists = if area.height >= 16 { 7 } else { 0 };
    // The processes get the lines that they need, if so many are left; a larger terminal shows more of the top lists.
    let room = area.height.saturating_sub(2 + charts + top_lists + 1);
    let needed = u16::try_from(model.lines.len() + 1).unwrap_or(u16::MAX);
    let processes = if top_lists == 0 { room } else { needed.min(room) };
    let [header, charts, processes, top_lists, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(charts),
        Constraint::Length(processes),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    match &model.status {
        Some(status) => {
            draw_header(frame, header, model, status);
            draw_charts(frame, charts, model);
            draw_processes(frame, processes, model);
            draw_top_lists(frame, top_lists, model);
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
            status.listen.as_deref().map_or_else(|| "-".to_owned(), escape),
            escape(&status.app),
            status.master.uptime_ms.map_or_else(|| "-".to_owned(), duration),
        )),
    ];
    let (word, style) = match &model.lost {
        Some(_) => ("no answer, trying again".to_owned(), bold.fg(Color::Red)),
        None if model.is_paused => ("PAUSED".to_owned(), bold.fg(Color::Yellow)),
        None => (activity, Style::new().fg(state_color(&status.activity))),
    };
    first.push(Span::styled(word, style));
    let (rates, totals) = (&model.rates, &status.totals);
    let total = |counter| totals.get(counter).unwrap_or_default();
    let dropped = totals.dropped().unwrap_or_default();
    let mut second = vec![Span::raw(format!(
        "{} clients  {} reloads  in {}/s  out {}/s  queued {}  ",
        count(total(Counter::WebSockets)),
        status.reloads,
        bytes(rates.bytes_in as u64),
        bytes(rates.bytes_out as u64),
        bytes(total(Counter::OutboxBytes)),
    ))];
    let color = if rates.dropped > 0.0 { Color::Red } else { Color::Reset };
    second.push(Span::styled(format!("dropped {}", count(dropped)), Style::new().fg(color)));
    frame.render_widget(Paragraph::new(vec![Text::from(first), Text::from(second)]), area);
}

fn draw_charts(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let columns = Layout::horizontal([Constraint::Ratio(1, 4); 4]).split(area);
    let (histories, rates) = (&model.histories, &model.rates);
    let totals = model.status.as_ref().map(|status| &status.totals);
    let clients = totals.and_then(|totals| totals.get(Counter::WebSockets)).unwrap_or_default();
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
        right(process.counts.clients.map(count)),
        rate(messages_in),
        rate(messages_out),
        right(process.counts.queued_bytes.map(bytes)),
    ])
}

fn draw_top_lists(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(55), Constraint::Min(0)]).spacing(1).areas(area);
    let unanswered = match model.top_lists.unanswered.as_slice() {
        [] => String::new(),
        [one] => format!(" (worker {one} does not answer)"),
        many => format!(" ({} workers do not answer)", many.len()),
    };
    let slowest = model.top_lists.slowest.iter().map(|row| {
        let who = row.user.as_deref().map_or_else(|| escape(&row.peer), escape);
        Row::new(vec![
            Cell::new(Text::from(row.connection.to_string()).right_aligned()),
            Cell::new(who),
            Cell::new(Text::from(bytes(row.queued_bytes)).right_aligned()),
        ])
    });
    let widths = [Constraint::Length(16), Constraint::Min(8), Constraint::Length(9)];
    let title = format!("slowest clients{unanswered}");
    let slowest = Table::new(slowest, widths).block(titled(title));
    frame.render_widget(slowest, left);
    if model.top_lists.slowest.is_empty() && left.height > 1 {
        let place = Rect { y: left.y + 1, height: 1, ..left };
        let dim = Style::new().add_modifier(Modifier::DIM);
        frame.render_widget(Paragraph::new("nothing waits for any client").style(dim), place);
    }
    let channels = model.top_lists.channels.iter().map(|row| {
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

/// Good, on its way, or not good.
fn state_color(state: &str) -> Color {
    match state {
        "ready" | "up" | "supervising" => Color::Green,
        "backing_off" | "given_up" | "killed" => Color::Red,
        _ => Color::Yellow,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::{
        super::model::{Key, TopLists, Update},
        *,
    };

    fn status(messages: u64) -> Box<Status> {
        let worker = |name: &str, pid: u32| {
            json!({
                "name": name, "state": "ready", "pid": pid, "uptime_ms": 61_000, "restarts": 0,
                "cpu_ms": messages / 10, "rss_bytes": 5_242_880, "websockets": 1200,
                "outbox_bytes": 2048, "accepted": 1200, "messages_in": messages,
                "messages_out": 5 * messages, "bytes_in": 10 * messages, "bytes_out": 0,
                "dropped_outbox_full": 0, "dropped_too_large": 0, "dropped_mailbox_full": 0,
            })
        };
        let status = json!({
            "version": "1.2.3", "listen": "127.0.0.1:9501", "app": "channels",
            "activity": "supervising", "reloads": 2,
            "master": {"pid": 7, "uptime_ms": 61_000, "cpu_ms": 10, "rss_bytes": 1_048_576},
            "workers": [worker("worker 0", 8), worker("worker 1", 9)],
            "processes": [{"name": "queue\u{1b}[2J", "state": "backing_off", "pid": null}],
            "leaving": [],
            "totals": worker("", 0),
        });
        Box::new(serde_json::from_value(status).expect("a status"))
    }

    fn model() -> Model {
        let mut model = Model::default();
        model.take(Update::Look(status(1000), 0));
        model.take(Update::Look(status(3000), 1000));
        let row = json!({
            "connection": 609_147_837_047_808_u64, "worker": 0, "peer": "10.0.0.9:1234",
            "user": "ann\u{7}", "path": "/", "open": true, "age_ms": 1, "idle_ms": 1,
            "channels": 1, "messages_in": 1, "messages_out": 1, "queued_bytes": 1_048_576,
        });
        let channel = json!({"channel": "chat.lobby", "subscribers": 500, "messages_per_s": 12.5});
        model.take(Update::TopLists(TopLists {
            slowest: vec![serde_json::from_value(row).expect("a row")],
            channels: vec![serde_json::from_value(channel).expect("a row")],
            unanswered: vec![1],
        }));
        model
    }

    fn drawn(model: &Model, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
        terminal.draw(|frame| draw(frame, model)).expect("it draws");
        terminal.backend().to_string()
    }

    #[test]
    fn everything_stands_on_a_page_of_80_by_24() {
        let page = drawn(&model(), 80, 24);
        for part in [
            "wsmaster 1.2.3  127.0.0.1:9501  channels  up 1m01s  supervising",
            "1200 clients  2 reloads",
            "in 2000/s",
            "out 10000/s",
            "worker 0     ready      1m01s   20%  5.0 MiB    1200     2000    10000   2.0 KiB",
            "backing o",
            "slowest clients (worker 1 does not answer)",
            "609147837047808 ann\\u{7}",
            "1.0 MiB",
            "chat.lobby",
            "12.5/s",
            "q quit",
        ] {
            assert!(page.contains(part), "no {part:?} on\n{page}");
        }
        assert!(!page.contains('\u{1b}'), "a name commands the terminal");
    }

    #[test]
    fn no_size_is_too_small() {
        let mut model = model();
        for width in [1, 2, 20, 79, 250] {
            for height in [1, 2, 3, 10, 15, 16, 19, 20, 60] {
                drawn(&model, width, height);
            }
        }
        model.press(Key::Help);
        drawn(&model, 3, 3);
        drawn(&Model::default(), 1, 1);
        assert!(drawn(&model, 80, 5).contains("quit"));
    }

    #[test]
    fn a_lost_server_and_a_pause_are_told() {
        let mut model = model();
        model.press(Key::Pause);
        assert!(drawn(&model, 80, 24).contains("PAUSED"));
        model.take(Update::Lost("no such file".to_owned()));
        let page = drawn(&model, 80, 24);
        assert!(page.contains("no answer, trying again") && page.contains("worker 0"), "{page}");
        let mut fresh = Model::default();
        fresh.take(Update::Lost("no such file".to_owned()));
        assert!(drawn(&fresh, 80, 24).contains("no such file"));
    }

    #[test]
    fn scrolling_stops_where_the_last_process_is_seen() {
        let mut model = model();
        for _ in 0..100 {
            model.press(Key::Down);
        }
        let page = drawn(&model, 80, 6);
        assert!(page.contains("queue") && !page.contains("worker 0"), "{page}");
        for _ in 0..100 {
            model.press(Key::Up);
        }
        assert!(drawn(&model, 80, 6).contains("master"));
    }
}
