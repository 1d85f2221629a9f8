//! What compression costs and saves: deliveries of the channel application, by length and level, without sockets.
//!
//! `cargo run --release -p wsmaster-protocol --example deflate_cost`

use std::{fs, hint::black_box, time::Duration};

use wsmaster_protocol::{
    deflate::{Deflater, Inflater, Window, WindowBits},
    frame::MessageKind,
};

const MEASURE: Duration = Duration::from_millis(150);

fn main() {
    println!("bytes level   compressed   compress   decompress | with what was said before");
    for length in [128, 256, 512, 1024, 4096, 16 * 1024] {
        for level in [1, 3, 6, 9] {
            let message = delivery(length, 1);
            let mut window = Window::default();
            for number in 0..100 {
                window.slide(&delivery(length, number + 2), WindowBits::MAX);
            }
            let alone = Cost::of(&message, level, &[]);
            let in_context = Cost::of(&message, level, window.bytes());
            println!("{length:5} {level:5}   {alone}   | {in_context}");
        }
    }
}

struct Cost {
    ratio: f64,
    compress: Duration,
    decompress: Duration,
}

impl Cost {
    fn of(message: &[u8], level: u8, window: &[u8]) -> Self {
        let mut deflater = Deflater::new(level);
        let payload =
            deflater.deflate(message, WindowBits::MAX, window).unwrap_or(message).to_vec();
        let compress = each(|| {
            black_box(deflater.deflate(black_box(message), WindowBits::MAX, window));
        });
        let mut inflater = Inflater::new();
        let decompress = each(|| {
            let _ = black_box(inflater.inflate(
                MessageKind::Text,
                black_box(&payload),
                window,
                1 << 20,
            ));
        });
        Self { ratio: payload.len() as f64 / message.len() as f64, compress, decompress }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let (compress, decompress) = (us(self.compress), us(self.decompress));
        write!(f, "{:6.0} %   {compress:6.1} us   {decompress:6.1} us", self.ratio * 100.0)
    }
}

/// How much CPU time a call takes, on average: what else the machine does is not in it.
fn each(mut call: impl FnMut()) -> Duration {
    let started = cpu_time();
    let mut calls = 0;
    loop {
        for _ in 0..64 {
            call();
        }
        calls += 64;
        let spent = cpu_time() - started;
        if spent > MEASURE {
            return spent / calls;
        }
    }
}

/// The time this process has had on a CPU, in the kernel's words (`Documentation/scheduler/sched-stats.rst`).
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").expect("this is Linux");
    let nanoseconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("its first word is the time"))
}

/// A message to a channel as a subscriber gets it, with words that are never quite the same.
fn delivery(length: usize, number: u32) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the", "train", "from", "platform", "leaves", "at", "noon", "delayed", "by", "minutes",
        "because", "of", "works", "on", "line", "today",
    ];
    let mut text = format!(
        "{{\"action\":\"message\",\"channel\":\"trains.{}\",\"sender\":{},\"time\":{}.{:03},\"message\":\"",
        number % 7,
        4_503_599_627_370_000_u64 + u64::from(number * 977 % 5000),
        1_790_000_000 + number,
        number * 37 % 1000,
    );
    let mut state = number;
    while text.len() + 2 < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(WORDS[(state >> 28) as usize]);
        text.push_str(&format!(" {} ", state >> 20 & 0xff));
    }
    text.truncate(length - 2);
    text.push_str("\"}");
    text.into_bytes()
}
