//! `strftime_now`: the date in a system message. Where Python takes the local time, this takes UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

/// From Sunday; 1 January 1970 was a Thursday.
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The present in UTC, written as C's `strftime` writes it.
pub(crate) fn strftime_now(format: &str) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    written(format, now)
}

/// A second after 1970, in UTC, by a format of `%Y %y %m %B %b %d %A %a %H %M %S %%`.
fn written(format: &str, seconds: u64) -> Result<String, Error> {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (day_name, month_name) = (DAYS[((days + 4) % 7) as usize], MONTHS[(month - 1) as usize]);
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('Y') => out.push_str(&year.to_string()),
            Some('y') => out.push_str(&format!("{:02}", year % 100)),
            Some('m') => out.push_str(&format!("{month:02}")),
            Some('B') => out.push_str(month_name),
            Some('b') => out.push_str(&month_name[..3]),
            Some('d') => out.push_str(&format!("{day:02}")),
            Some('A') => out.push_str(day_name),
            Some('a') => out.push_str(&day_name[..3]),
            Some('H') => out.push_str(&format!("{:02}", time / 3600)),
            Some('M') => out.push_str(&format!("{:02}", time / 60 % 60)),
            Some('S') => out.push_str(&format!("{:02}", time % 60)),
            Some('%') => out.push('%'),
            other => {
                let other = other.map_or_else(String::new, String::from);
                let problem =
                    format!("strftime_now: `%{other}` is not built in; there are %Y %y %m %B %b %d %A %a %H %M %S %%");
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
        }
    }
    Ok(out)
}

/// Year, month and day of the so manieth day after 1 January 1970 (Hinnant, `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is a year's last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// date -u -d @SECONDS +FORMAT
    #[test]
    fn dates_are_those_of_the_calendar() -> Result<(), Error> {
        for (seconds, text) in [
            (0, "Thu Thursday 01 Jan January 1970 70 01 00:00:00 %"),
            (951_782_399, "Mon Monday 28 Feb February 2000 00 02 23:59:59 %"),
            (951_868_799, "Tue Tuesday 29 Feb February 2000 00 02 23:59:59 %"),
            (4_107_542_400, "Mon Monday 01 Mar March 2100 00 03 00:00:00 %"),
            (1_735_689_599, "Tue Tuesday 31 Dec December 2024 24 12 23:59:59 %"),
        ] {
            assert_eq!(written("%a %A %d %b %B %Y %y %m %H:%M:%S %%", seconds)?, text);
        }
        assert!(written("%Q", 0).is_err() && written("%", 0).is_err());
        Ok(())
    }
}
