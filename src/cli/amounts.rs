//! Amounts as people read them: durations, bytes, counts. Pure.

/// A duration in its two largest units: `4.2s`, `3m07s`, `2h05m`, `4d03h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{:.1}s", (ms / 100) as f64 / 10.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// Bytes, in no more than eight characters below a thousand GiB: `512 B`, `1.5 KiB`, `204 MiB`, `3.1 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let (amount, unit) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => (bytes as f64 / 1024.0, "KiB"),
        1_048_576..1_073_741_824 => (bytes as f64 / 1_048_576.0, "MiB"),
        _ => (bytes as f64 / 1_073_741_824.0, "GiB"),
    };
    if amount < 99.95 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
}

/// A count: exact below a million, then `1.23M`, `45.6M`, `7.89G`.
pub(crate) fn count(count: u64) -> String {
    let amount = count as f64;
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..10_000_000 => format!("{:.2}M", amount / 1e6),
        10_000_000..1_000_000_000 => format!("{:.1}M", amount / 1e6),
        _ => format!("{:.2}G", amount / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_begins_where_the_one_before_ends() {
        for (ms, shown) in [
            (0, "0.0s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (3_599_999, "59m59s"),
            (3_600_000, "1h00m"),
            (86_399_999, "23h59m"),
            (90_000_000, "1d01h"),
        ] {
            assert_eq!(duration(ms), shown);
        }
        for (amount, shown) in [
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (102_348, "99.9 KiB"),
            (102_349, "100 KiB"),
            (1_048_575, "1024 KiB"),
            (1_048_576, "1.0 MiB"),
            (3_328_599_655, "3.1 GiB"),
        ] {
            assert_eq!(bytes(amount), shown);
        }
        for (amount, shown) in [
            (999_999, "999999"),
            (1_234_567, "1.23M"),
            (45_600_000, "45.6M"),
            (7_890_000_000, "7.89G"),
        ] {
            assert_eq!(count(amount), shown);
        }
    }
}
