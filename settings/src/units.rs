//! Durations and sizes as operators write them.
//!
//! Owns both spellings and their way back to text. It knows no key and no range.

use std::time::Duration;

/// The units of a duration and their length in milliseconds, longest first.
const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The units of a size in the spelling that is written back, largest first. All are powers of 1024.
const SIZE_UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// `"10s"`, `"500ms"`, `"2m"`, `"1h"` or whole seconds; `None` for anything else.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let milliseconds_each = match unit {
        "" => 1_000,
        _ => DURATION_UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.checked_mul(milliseconds_each).map(Duration::from_millis)
}

/// The shortest spelling that [`parse_duration`] reads back, with a unit.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let fitting = DURATION_UNITS.iter().find(|(_, each)| milliseconds.is_multiple_of(*each));
    fitting.map_or_else(
        || format!("{milliseconds}ms"),
        |(unit, each)| format!("{}{unit}", milliseconds / each),
    )
}

/// Bytes, or a number with `k`, `M`, `G` or `KiB`, `MiB`, `GiB` in any case: powers of 1024 all of
/// them. `None` for anything else, also for `KB` and `MB`, which some read as powers of 1000.
#[must_use]
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let bytes_each = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes_each)
}

/// The shortest spelling that [`parse_size`] reads back: a bare number unless a unit divides it.
#[must_use]
pub(crate) fn format_size(bytes: u64) -> String {
    let fitting = SIZE_UNITS.iter().find(|(_, each)| bytes > 0 && bytes.is_multiple_of(*each));
    fitting.map_or_else(|| bytes.to_string(), |(unit, each)| format!("{}{unit}", bytes / each))
}

/// A size in a sentence, where a bare number needs its unit.
#[must_use]
pub fn describe_size(bytes: u64) -> String {
    match format_size(bytes) {
        text if text.ends_with('B') => text,
        text if bytes == 1 => text + " byte",
        text => text + " bytes",
    }
}

/// Splits `"64KiB"` into 64 and `"KiB"`; `None` without digits or past 64 bits.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds, back) in [
            ("10s", 10_000, "10s"),
            ("500ms", 500, "500ms"),
            ("1500ms", 1_500, "1500ms"),
            ("2m", 120_000, "2m"),
            ("120s", 120_000, "2m"),
            ("90", 90_000, "90s"),
            ("1h", 3_600_000, "1h"),
            ("0", 0, "0s"),
            ("0ms", 0, "0s"),
        ] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(format_duration(duration), back);
            assert_eq!(parse_duration(back), Some(duration));
        }
        for wrong in ["", "s", "-1s", "1.5s", "10 s", "10S", "1d", "1h30m", "18446744073709551615h"]
        {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes, back) in [
            ("0", 0, "0"),
            ("125", 125, "125"),
            ("125B", 125, "125"),
            ("64KiB", 65_536, "64KiB"),
            ("64k", 65_536, "64KiB"),
            ("64K", 65_536, "64KiB"),
            ("1M", 1_048_576, "1MiB"),
            ("1mib", 1_048_576, "1MiB"),
            ("1024KiB", 1_048_576, "1MiB"),
            ("1500k", 1_536_000, "1500KiB"),
            ("2G", 2_147_483_648, "2GiB"),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(format_size(bytes), back);
            assert_eq!(parse_size(back), Some(bytes));
        }
        for wrong in ["", "k", "-1", "1.5M", "64 KiB", "64KB", "1MB", "1T", "99999999999999999999"]
        {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
        assert_eq!(parse_size("18014398509481984k"), None, "past 64 bits");
    }
}
