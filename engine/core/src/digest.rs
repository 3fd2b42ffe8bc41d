//! A SHA-256 digest with its size: how REAPI names content. Parsed once, at the door.

use std::fmt;

/// The name of a blob: SHA-256 of its bytes, and how many they are (REAPI `Digest`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    /// SHA-256 of the content.
    pub hash: [u8; 32],
    /// Length of the content in bytes.
    pub size_bytes: u64,
}

/// Why a digest was refused. The message names the field and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not 64 lowercase hex digits.
    #[error("digest hash {0:?} must be 64 lowercase hexadecimal digits (SHA-256)")]
    Hash(String),
    /// Negative.
    #[error("digest size_bytes {0} must not be negative")]
    Size(i64),
}

impl Digest {
    /// Parses what came over the wire.
    pub fn parse(hash: &str, size_bytes: i64) -> Result<Self, DigestError> {
        let size_bytes = u64::try_from(size_bytes).map_err(|_| DigestError::Size(size_bytes))?;
        let digits = hash.as_bytes();
        let refuse = || DigestError::Hash(hash.chars().take(80).collect());
        if digits.len() != 64 {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (nibble(pair[0]).ok_or_else(refuse)?, nibble(pair[1]).ok_or_else(refuse)?);
            *byte = high << 4 | low;
        }
        Ok(Self { hash: bytes, size_bytes })
    }

    /// The hash as 64 lowercase hexadecimal digits.
    pub fn hex(&self) -> String {
        let mut digits = String::with_capacity(2 * self.hash.len());
        for byte in self.hash {
            digits.push(char::from(HEX[usize::from(byte >> 4)]));
            digits.push(char::from(HEX[usize::from(byte & 15)]));
        }
        digits
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// As it stands in resource names: `hash/size`.
impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.hex(), self.size_bytes)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_printed_as_it_was_parsed() {
        let hash = "0123456789abcdef".repeat(4);
        assert_eq!(Digest::parse(&hash, 7).unwrap().to_string(), format!("{hash}/7"));
    }

    #[test]
    fn other_hashes_and_sizes_are_refused_with_what_would_be_accepted() {
        let upper = "ABCDEF0123456789".repeat(4);
        assert!(Digest::parse(&upper, 1).unwrap_err().to_string().contains("64 lowercase"));
        assert!(Digest::parse("ab", 1).is_err());
        assert_eq!(Digest::parse(&"0".repeat(64), -1), Err(DigestError::Size(-1)));
    }
}
