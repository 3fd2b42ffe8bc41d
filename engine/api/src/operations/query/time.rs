//! Times of a filter: ISO 8601, in UTC where no zone is named. Microseconds, as the engine has them.

use std::time::Duration;

use berth_core::Timestamp;

const DAY_S: i64 = 86_400;

/// Reads a time; `None` if it is none, or is before 1970.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    };
    if rest.is_empty() && date.len() != text.len() {
        return None;
    }
    let (clock, offset_s) = zone(rest)?;
    let seconds = days(date)? * DAY_S - offset_s;
    let (clock_s, micros) = if clock.is_empty() { (0, 0) } else { time_of_day(clock)? };
    let seconds = u64::try_from(seconds + clock_s).ok()?;
    Some(Timestamp(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

/// Writes a time.
pub(super) fn show(time: Timestamp) -> String {
    let since = Duration::from_micros(time.0);
    let (days, clock) = (since.as_secs() as i64 / DAY_S, since.as_secs() as i64 % DAY_S);
    let (year, month, day) = civil(days);
    let (hours, minutes, seconds) = (clock / 3_600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:06}Z", since.subsec_micros())
}

/// `2026-01-02`, `20260102`, `2026-01` or `2026`, as days since 1970.
fn days(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split('-').collect();
    let (year, month, day) = match *parts {
        [year, month, day] => (year, month, day),
        [year, month] => (year, month, "01"),
        [whole] if whole.len() == 8 => (whole.get(..4)?, whole.get(4..6)?, whole.get(6..)?),
        [year] => (year, "01", "01"),
        _ => return None,
    };
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let days = from_civil(year, month, day);
    ((1..=12).contains(&month) && civil(days) == (year, month, day)).then_some(days)
}

/// `03:04:05.678901` and shorter, with or without colons, as seconds and microseconds.
fn time_of_day(text: &str) -> Option<(i64, u64)> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let parts: Vec<&str> = match whole.contains(':') {
        true => whole.split(':').collect(),
        false => (0..whole.len()).step_by(2).map(|at| whole.get(at..at + 2)).collect::<Option<_>>()?,
    };
    if parts.is_empty() || parts.len() > 3 || (!fraction.is_empty() && parts.len() != 3) || text.ends_with(['.', ',']) {
        return None;
    }
    let mut numbers = [0; 3];
    for ((number, part), bound) in numbers.iter_mut().zip(&parts).zip([24, 60, 60]) {
        *number = digits(part, 2).filter(|number| *number < bound)?;
    }
    let micros = match fraction {
        "" => 0,
        _ if !fraction.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        _ => format!("{fraction:0<6}")[..6].parse().ok()?,
    };
    Some((numbers[0] * 3_600 + numbers[1] * 60 + numbers[2], micros))
}

/// The time of day without its zone, and how far the zone is ahead of UTC.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return (!clock.is_empty()).then_some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, zone) = text.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = match zone[1..].split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if zone.len() == 3 => (&zone[1..], "00"),
        None => (zone.get(1..3)?, zone.get(3..)?),
    };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let in_range = hours < 24 && minutes < 60 && !clock.is_empty();
    in_range.then_some((clock, sign * (hours * 3_600 + minutes * 60)))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// Days since 1970 of a date of the Gregorian calendar. Years are counted from March, so that a leap day ends one.
fn from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970: the other way round.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_and_written_in_one() {
        let at = |text: &str| read(text).map(show);
        for text in [
            "2026-11-22T05:06:07.089Z",
            "2026-11-22T07:06:07.089+02:00",
            "20261122T000607.089-0500",
            "2026-11-22 05:06:07.089000999",
            "2026-11-22T10:36:07.089+0530",
        ] {
            assert_eq!(at(text).as_deref(), Some("2026-11-22T05:06:07.089000Z"), "{text}");
        }
        assert_eq!(at("2026").as_deref(), Some("2026-01-01T00:00:00.000000Z"));
        assert_eq!(at("2024-02-29T23:59").as_deref(), Some("2024-02-29T23:59:00.000000Z"));
        assert_eq!(at("1970-01-01T00"), Some("1970-01-01T00:00:00.000000Z".to_owned()));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "T",
            "now",
            "2026-13-01",
            "2026-02-30",
            "2026-11-22T",
            "2026-11-22TZ",
            "2026-11-22T24:00",
            "2026-11-22T05:60",
            "2026-11-22T05:06:07.",
            "2026-11-22T05.5",
            "2026-11-22T05:06+1",
            "1969-12-31",
            "2026-1-2",
            "2026-11-22T05:06:07+24:00",
            "2026-11-22T5",
            "２０２６",
            "2026-11-22Té0",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for day in 0..80_000 {
            let (year, month, day_of_month) = civil(day);
            assert_eq!(from_civil(year, month, day_of_month), day);
            let time = Timestamp(day as u64 * 86_400_000_000 + 1);
            assert_eq!(read(&show(time)), Some(time));
        }
    }
}
