//! Names short enough for Berth: what a client sent may be longer than what a lane, a counter or a key may be.

use std::borrow::Cow;

/// As many bytes as the mark of a shortened name takes: `~` and 16 hexadecimal digits.
const MARK_BYTES: usize = 17;

/// The name itself if it has at most `bytes_max` bytes, which are 17 or more; otherwise its beginning and a mark that
/// differs for names that differ further on.
///
/// ```
/// use berth_policy_names::shortened;
///
/// assert_eq!(shortened("team-a", 40), "team-a");
/// assert_eq!(shortened(&"x".repeat(50), 40).len(), 40);
/// ```
pub fn shortened(name: &str, bytes_max: usize) -> Cow<'_, str> {
    if name.len() <= bytes_max {
        return Cow::Borrowed(name);
    }
    let room = bytes_max.saturating_sub(MARK_BYTES);
    let begin = (0..=room).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
    Cow::Owned(format!("{}~{:016x}", &name[..begin], fnv(name)))
}

/// FNV-1a: the same on every machine and in every version, which a mark that is stored must be.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// A name without `/`, so that it can stand before one: `%` and `/` are written `%25` and `%2F`.
///
/// ```
/// use berth_policy_names::escaped;
///
/// assert_eq!(escaped("a/b"), "a%2Fb");
/// ```
pub fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['%', '/']) {
        Cow::Owned(name.replace('%', "%25").replace('/', "%2F"))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_letters_and_stays_different_from_its_neighbours() {
        let long = |end: &str| format!("{}{end}", "ü".repeat(100));
        let (one, other) = (long("1"), long("2"));
        let (one, other) = (shortened(&one, 64), shortened(&other, 64));
        assert!(one.len() <= 64 && other.len() <= 64);
        assert_ne!(one, other);
        assert!(one.starts_with("üü"));
        assert_eq!(shortened(&"x".repeat(64), 64), "x".repeat(64));
    }

    #[test]
    fn escaped_names_have_no_separator_and_stay_different() {
        let names = ["", "a", "a/b", "a%2Fb", "%252F/", "100%", "ü/ü"];
        let escaped: std::collections::BTreeSet<_> = names.iter().map(|name| escaped(name)).collect();
        assert_eq!(escaped.len(), names.len());
        assert!(escaped.iter().all(|name| !name.contains('/')));
    }
}
