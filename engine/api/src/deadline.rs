//! How long a call may be held: what its `grpc-timeout` header leaves, less a margin for the way back.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// A call without a deadline is held this long, and no call longer.
const HOLD_MAX: Duration = Duration::from_secs(60);

const MARGIN_MIN: Duration = Duration::from_millis(250);
const MARGIN_MAX: Duration = Duration::from_secs(2);

/// How long the call may take, as its client says.
pub(crate) fn timeout(headers: &MetadataMap) -> Option<Duration> {
    parse(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// How long the call may be held.
pub(crate) fn hold(headers: &MetadataMap) -> Duration {
    timeout(headers).map_or(HOLD_MAX, |timeout| timeout.saturating_sub(margin(timeout)).min(HOLD_MAX))
}

/// A tenth, within bounds; of a very short deadline at most half, so that even such a call waits for work.
fn margin(timeout: Duration) -> Duration {
    (timeout / 10).clamp(MARGIN_MIN, MARGIN_MAX).min(timeout / 2)
}

/// One to eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.len().checked_sub(1)?;
    let (digits, unit) = (text.get(..unit_at)?, text.get(unit_at..)?);
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_header_is_read() {
        for (text, millis) in [
            ("2H", 7_200_000),
            ("3M", 180_000),
            ("20S", 20_000),
            ("99999999m", 99_999_999),
            ("5000u", 5),
            ("7000000n", 7),
            ("0S", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_timeout() {
        for text in ["", "S", "5", "5s", "-1S", "+1S", "1.5S", "123456789S", "1é", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_margin_is_a_tenth_within_bounds() {
        for (timeout_ms, hold_ms) in [(20_000, 18_000), (10_000, 9_000), (1_000, 750), (100, 50), (300_000, 60_000)] {
            let mut headers = MetadataMap::new();
            headers.insert("grpc-timeout", format!("{timeout_ms}m").parse().unwrap());
            assert_eq!(hold(&headers), Duration::from_millis(hold_ms), "{timeout_ms}");
        }
        assert_eq!(hold(&MetadataMap::new()), HOLD_MAX);
    }
}
