//! Calendar days, for the records of a model. The standard library has none, and npad needs no more of a calendar.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Status};

const SECONDS_OF_A_DAY: u64 = 24 * 60 * 60;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;

/// A day of the Gregorian calendar in the years 1 to 9999, as text YYYY-MM-DD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Today in UTC; none if the system's clock is outside the years 1970 to 9999.
    pub fn today() -> Option<Self> {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Self::from_days(elapsed.as_secs() / SECONDS_OF_A_DAY)
    }

    /// The day `days` days after 1970-01-01; none after the year 9999.
    fn from_days(days: u64) -> Option<Self> {
        // Years begin in March, so that the leap day is the last one (H. Hinnant, "chrono-compatible low-level date
        // algorithms").
        let days = days.checked_add(EPOCH)?;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year_of_era + next_year;
        Self::new(year.try_into().ok()?, month as u8, day as u8)
    }

    fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let exists = (1..=9999).contains(&year) && (1..=last).contains(&day);
        exists.then_some(Self { year, month, day })
    }
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let [year, month, day] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
            let number = |part: &str, digits: usize| -> Option<u16> {
                (part.len() == digits && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
            };
            Self::new(number(year, 4)?, number(month, 2)? as u8, number(day, 2)? as u8)
        };
        let message = || format!("'{text}' is no date: it must be a day of the calendar as YYYY-MM-DD");
        parse().ok_or_else(|| Error::new(Status::InvalidArgument, message()))
    }
}

impl TryFrom<String> for Date {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(days: u64) -> String {
        Date::from_days(days).unwrap().to_string()
    }

    #[test]
    fn known_days_are_right() {
        for (days, text) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
            (2_932_896, "9999-12-31"),
        ] {
            assert_eq!(day(days), text);
        }
        assert_eq!(Date::from_days(2_932_897), None);
        assert_eq!(Date::from_days(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn the_next_day_is_the_next_in_the_calendar(days in 0u64..2_932_896) {
            let (today, next) = (Date::from_days(days).unwrap(), Date::from_days(days + 1).unwrap());
            let Date { year, month, day } = today;
            let candidates =
                [(year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1)].map(|(y, m, d)| Date::new(y, m, d));
            prop_assert_eq!(candidates.into_iter().flatten().next(), Some(next));
            prop_assert_eq!(next.to_string().parse::<Date>().unwrap(), next);
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "today",
            "2026-02-29",
            "1900-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "0000-01-01",
            "2026-1-01",
            "+026-01-01",
            "2026-01-01 ",
            "2026-01-01-01",
            "20260101",
            "2026-01-٣",
        ] {
            let error = text.parse::<Date>().unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{text}");
        }
        assert_eq!("2024-02-29".parse::<Date>().unwrap().to_string(), "2024-02-29");
    }
}
