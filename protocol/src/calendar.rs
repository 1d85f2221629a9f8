//! The days of the Gregorian calendar (UTC): which date a moment falls on, and which day a date is.
//!
//! Owns the arithmetic, which knows no leap seconds, as Unix time does not. How a date is written is the business of
//! whoever writes one, but for the form of ISO 8601 that is shown to people.

use std::fmt;

/// Seconds of a day.
pub const DAY_S: i64 = 86_400;

// Years begin in March here, so that the day that only some of them have is their last: 400 of them are always as many
// days, and 1970-01-01 is day 719,468 of year 0.
const DAYS_OF_400_YEARS: i64 = 146_097;
const DAYS_BEFORE_1970: i64 = 719_468;

/// A day of the calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// The year; 0 is the one before year 1.
    pub year: i64,
    /// From 1 to 12.
    pub month: u8,
    /// From 1 to 31.
    pub day: u8,
}

impl Date {
    /// The day that a moment in seconds since 1970 falls on.
    #[must_use]
    pub fn from_unix_s(unix_s: i64) -> Self {
        let days = unix_s.div_euclid(DAY_S) + DAYS_BEFORE_1970;
        let (era, day_of_era) =
            (days.div_euclid(DAYS_OF_400_YEARS), days.rem_euclid(DAYS_OF_400_YEARS));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        // Both are small: of a division by 12, and a day of a month.
        Self { year, month: month as u8, day: day as u8 }
    }

    /// Days from 1970-01-01 to this one, negative before it. A day that its month does not have is as many days behind the
    /// first of it. Years are to be within 10^15, as all of [`from_unix_s`](Self::from_unix_s) are.
    #[must_use]
    pub fn days_since_1970(self) -> i64 {
        let month = i64::from(self.month);
        let (year, month_from_march) =
            if month < 3 { (self.year - 1, month + 9) } else { (self.year, month - 3) };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let day_of_year = (month_from_march * 153 + 2) / 5 + i64::from(self.day) - 1;
        year * 365 + leap_days + day_of_year - DAYS_BEFORE_1970
    }
}

/// `2026-01-31`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The expected dates are those of `date -u -d @N`.
    #[test]
    fn days_and_dates() {
        for (unix_s, date) in [
            (-62_167_219_200, "0000-01-01"),
            (-11_676_096_001, "1599-12-31"),
            (-2_203_891_201, "1900-02-28"),
            (-2_203_891_200, "1900-03-01"),
            (-1, "1969-12-31"),
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
        ] {
            let found = Date::from_unix_s(unix_s);
            assert_eq!(found.to_string(), date, "{unix_s}");
            assert_eq!(found.days_since_1970(), unix_s.div_euclid(DAY_S), "{date}");
        }
    }

    #[test]
    fn a_day_too_many_is_one_of_the_next_month() {
        let days = |month, day| Date { year: 2025, month, day }.days_since_1970();
        assert_eq!(days(2, 30), days(3, 2));
        assert_eq!(days(12, 31) + 1, Date { year: 2026, month: 1, day: 1 }.days_since_1970());
    }

    proptest! {
        #[test]
        fn every_moment_has_a_date_of_its_day(unix_s in any::<i64>()) {
            let date = Date::from_unix_s(unix_s);
            prop_assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day));
            prop_assert_eq!(date.days_since_1970(), unix_s.div_euclid(DAY_S));
        }
    }
}
