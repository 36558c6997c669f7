//! Times and numbers as the page writes them.

use std::time::Duration;

/// Outcomes in a second, in the unit that gives a number above 1.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate >= 1.0 => format!("{rate:.1} a second"),
        rate if rate * 60.0 >= 1.0 => format!("{:.1} a minute", 60.0 * rate),
        rate => format!("{:.1} an hour", 3600.0 * rate),
    }
}

/// A time that passes, so rough that it does not change all the time.
pub(super) fn duration(time: Duration) -> String {
    let (seconds, minutes) = (time.as_secs(), time.as_secs() / 60);
    match (seconds, minutes) {
        (0..120, _) => format!("{seconds} s"),
        (_, 0..120) => format!("{minutes} min"),
        (_, 120..2880) => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} d {} h", minutes / 1440, minutes / 60 % 24),
    }
}

/// How long something took.
pub(super) fn precise(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", 1000.0 * seconds),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        _ => duration(time),
    }
}

/// A number of any size, with six digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || (1e-4..1e9).contains(&value.abs()) {
        let text = format!("{value:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.5e}")
    }
}

/// The beginning of a message.
pub(super) fn short(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(80).collect();
    if short.len() < message.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rough_and_numbers_short() {
        let seconds = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [0, 119, 120, 7199, 7200, 200_000].map(seconds),
            ["0 s", "119 s", "2 min", "119 min", "2 h 0 min", "2 d 7 h"]
        );
        assert_eq!(
            [0.0, 0.5, -0.123_456_78, 1e-9, 3e12, 120.0].map(number),
            ["0", "0.5", "-0.123457", "1.00000e-9", "3.00000e12", "120"]
        );
        assert_eq!([2.5, 0.5, 0.01].map(rate), ["2.5 a second", "30.0 a minute", "36.0 an hour"]);
        assert_eq!(precise(Duration::from_millis(250)), "250 ms");
        assert_eq!(short(&"ä".repeat(200)).chars().count(), 81);
    }
}
