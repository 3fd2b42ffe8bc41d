//! Amounts as people write them: `16`, `1.5`, `16G`, `16GiB`.

/// An amount, in thousandths, so that `0.5` is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(u128);

/// What is accepted, for a person to read.
pub(crate) const EXPECTED: &str =
    "a number such as 4, 0.5, 512M (millions) or 16GiB (1024 each); units are k, M, G, T, P, Ki, Mi, Gi, Ti, Pi";

/// One more than the letters before it, each time: a power of 1000, or of 1024 with an `i`.
const UNITS: &str = "kMGTP";
/// More digits than any machine has bytes; so nothing overflows.
const DIGITS_MAX: usize = 18;
const DECIMALS_MAX: usize = 3;

impl Amount {
    /// Reads an amount; `>=` before it is a way to say the same.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(">=").unwrap_or(text).trim();
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, max| (1..=max).contains(&text.len()) && text.bytes().all(|one| one.is_ascii_digit());
        if !digits(whole, DIGITS_MAX) || !digits(decimals, DECIMALS_MAX) {
            return None;
        }
        let thousandths: u128 = format!("{whole}{decimals:0<3}").parse().ok()?;
        Some(Self(thousandths * factor(unit.trim_start())?))
    }

    /// The logarithm to base 2, in 1024ths, rising evenly between the powers of two: near enough to compare by, and
    /// the same on every machine.
    pub(crate) fn bits(self) -> u32 {
        let Some(whole) = self.0.checked_ilog2() else { return 0 };
        // Twenty bits of the rest are enough for ten of the answer.
        let rest = (self.0 - (1 << whole)) >> whole.saturating_sub(20);
        (whole << 10) + ((rest << 10) >> whole.min(20)) as u32
    }
}

fn factor(unit: &str) -> Option<u128> {
    let unit = unit.strip_suffix('B').unwrap_or(unit);
    let (unit, base) = unit.strip_suffix('i').map_or((unit, 1000), |unit| (unit, 1024));
    let unit = if unit == "K" { "k" } else { unit };
    match unit {
        "" if base == 1000 => Some(1),
        "" => None,
        _ => UNITS.find(unit).filter(|_| unit.len() == 1).map(|power| u128::pow(base, power as u32 + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let same =
            |one: &str, other: &str| assert_eq!(Amount::parse(one).expect(one), Amount::parse(other).expect(other));
        same("16", "16.000");
        same(">=16", "16");
        same(">= 16", " 16 ");
        same("16G", "16000000000");
        same("16GB", "16G");
        same("1GiB", "1073741824");
        same("1Gi", "1024MiB");
        same("1k", "1K");
        same("1Ki", "1024");
        same("1.5G", "1500M");
        same("16 GiB", "16GiB");
        same("1024B", "1Ki");
        assert!(Amount::parse("0.5").expect("0.5") < Amount::parse("1").expect("1"));
        assert!(Amount::parse("16GiB").expect("16GiB") > Amount::parse("16G").expect("16G"));
    }

    #[test]
    fn what_is_not_an_amount_is_not_guessed_at() {
        for text in ["", "G", "-1", "+1", ".5", "1.", "1.2345", "1e9", "16g", "500m", "1i", "1iB", "1MG", "1,5", "0x10"]
        {
            assert_eq!(Amount::parse(text), None, "{text:?}");
        }
        assert_eq!(Amount::parse(&"9".repeat(19)), None);
        assert!(Amount::parse(&format!("{}PiB", "9".repeat(18))).is_some());
    }

    #[test]
    fn bits_grow_with_the_amount() {
        let bits = |text: &str| Amount::parse(text).expect(text).bits();
        assert_eq!(bits("0"), 0);
        assert_eq!(bits("2") - bits("1"), 1024);
        assert_eq!(bits("64GiB") - bits("16GiB"), 2048);
        assert!(bits("3") > bits("2.9") && bits("5") < bits("6"));
        assert!(bits(&format!("{}PiB", "9".repeat(18))) < 128 << 10);
    }
}
