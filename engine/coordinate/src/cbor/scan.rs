//! Where a CBOR item ends, and whether it is one: well-formed, with text that is UTF-8, and not nested too deeply.
//!
//! A scan can stop where the input stops and go on when there is more, so that a request that comes byte by byte is
//! read once. It keeps a few bytes for each container that is open and nothing for what a header promises: an array
//! that claims to have 2^60 items costs no more than its nine bytes.

use minicbor::{Decoder, data::Type, decode};
use smallvec::SmallVec;

/// How many containers and tags may be open at once. Clients in Python stop at about a thousand, nobody needs ten.
pub(crate) const DEPTH_MAX: usize = 128;

/// A scan of one item.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    at: usize,
    open: SmallVec<[Open; 8]>,
    /// Some text was not UTF-8. The item is read to its end all the same, so that what follows can be found.
    bad_text: bool,
}

/// A container whose end is still to come.
#[derive(Debug)]
enum Open {
    /// So many items more. A map has two for each pair, a tag has one.
    Items(u64),
    /// Items until a break.
    Array,
    /// Pairs until a break.
    Map { value_next: bool },
    /// Strings of this kind until a break.
    Chunks { text: bool },
}

/// How far a scan came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The item ends before this position.
    Whole {
        end: usize,
        /// Some text in it is not UTF-8.
        bad_text: bool,
    },
    /// The input ended first.
    Partly,
}

/// Why something is no CBOR item that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("byte {at} is not CBOR")]
    NotCbor { at: usize },
    #[error("more than {DEPTH_MAX} levels of arrays, maps and tags")]
    TooDeep,
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("something follows the end of the message")]
    Trailing,
    #[error("it ends too early")]
    Short,
    #[error("more bytes than the {bytes_max} that are taken")]
    TooLong { bytes_max: usize },
}

/// Checks that the input is exactly one item.
pub(crate) fn check(input: &[u8]) -> Result<(), Malformed> {
    match Scan::default().go_on(input)? {
        Scanned::Partly => Err(Malformed::Short),
        Scanned::Whole { bad_text: true, .. } => Err(Malformed::NotUtf8),
        Scanned::Whole { end, .. } if end < input.len() => Err(Malformed::Trailing),
        Scanned::Whole { .. } => Ok(()),
    }
}

impl Scan {
    /// Goes on with the same input, of which there may be more than the last time.
    pub(crate) fn go_on(&mut self, input: &[u8]) -> Result<Scanned, Malformed> {
        let mut decoder = Decoder::new(input);
        decoder.set_position(self.at);
        loop {
            match self.item(&mut decoder) {
                Ok(whole) => {
                    self.at = decoder.position();
                    if whole {
                        return Ok(Scanned::Whole { end: self.at, bad_text: self.bad_text });
                    }
                }
                Err(Stop::Partly) => return Ok(Scanned::Partly),
                Err(Stop::Malformed(why)) => return Err(why),
            }
        }
    }

    /// Reads one header, with its string if it has one. True: the outermost item has ended.
    fn item(&mut self, decoder: &mut Decoder<'_>) -> Result<bool, Stop> {
        let kind = decoder.datatype().map_err(|error| self.stop(&error))?;
        if let Some(Open::Chunks { text }) = self.open.last() {
            let fits = matches!((kind, text), (Type::String, true) | (Type::Bytes, false) | (Type::Break, _));
            if !fits {
                return Err(self.malformed());
            }
        }
        let opened = match kind {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                decoder.int().map_err(|error| self.stop(&error))?;
                None
            }
            Type::Bytes => {
                decoder.bytes().map_err(|error| self.stop(&error))?;
                None
            }
            Type::String => {
                self.text(decoder)?;
                None
            }
            Type::Bool => read(decoder.bool(), self)?,
            Type::Null => read(decoder.null(), self)?,
            Type::Undefined => read(decoder.undefined(), self)?,
            Type::F16 => read(decoder.f16(), self)?,
            Type::F32 => read(decoder.f32(), self)?,
            Type::F64 => read(decoder.f64(), self)?,
            Type::Simple => read(decoder.simple(), self)?,
            Type::Tag => {
                decoder.tag().map_err(|error| self.stop(&error))?;
                Some(Open::Items(1))
            }
            Type::Array | Type::ArrayIndef => match decoder.array().map_err(|error| self.stop(&error))? {
                Some(0) => None,
                Some(items) => Some(Open::Items(items)),
                None => Some(Open::Array),
            },
            Type::Map | Type::MapIndef => match decoder.map().map_err(|error| self.stop(&error))? {
                Some(0) => None,
                Some(pairs) => Some(Open::Items(pairs.checked_mul(2).ok_or_else(|| self.malformed())?)),
                None => Some(Open::Map { value_next: false }),
            },
            Type::BytesIndef | Type::StringIndef => {
                decoder.set_position(decoder.position() + 1);
                Some(Open::Chunks { text: kind == Type::StringIndef })
            }
            Type::Break => {
                match self.open.pop() {
                    Some(Open::Array | Open::Chunks { .. } | Open::Map { value_next: false }) => {}
                    _ => return Err(self.malformed()),
                }
                decoder.set_position(decoder.position() + 1);
                None
            }
            Type::Unknown(_) => return Err(self.malformed()),
        };
        match opened {
            None => Ok(self.ended()),
            Some(_) if self.open.len() >= DEPTH_MAX => Err(Stop::Malformed(Malformed::TooDeep)),
            Some(open) => {
                self.open.push(open);
                Ok(false)
            }
        }
    }

    fn text(&mut self, decoder: &mut Decoder<'_>) -> Result<(), Stop> {
        match decoder.str() {
            Ok(_) => Ok(()),
            Err(error) if error.is_end_of_input() => Err(Stop::Partly),
            // The decoder has read the string before it looked at it: it stands behind it.
            Err(_) if decoder.position() > self.at => {
                self.bad_text = true;
                Ok(())
            }
            Err(_) => Err(self.malformed()),
        }
    }

    /// An item has ended, and with it all containers whose last one it was.
    fn ended(&mut self) -> bool {
        loop {
            match self.open.last_mut() {
                None => return true,
                Some(Open::Items(left)) => {
                    *left -= 1;
                    if *left > 0 {
                        return false;
                    }
                    self.open.pop();
                }
                Some(Open::Map { value_next }) => {
                    *value_next = !*value_next;
                    return false;
                }
                Some(Open::Array | Open::Chunks { .. }) => return false,
            }
        }
    }

    fn stop(&self, error: &decode::Error) -> Stop {
        if error.is_end_of_input() { Stop::Partly } else { self.malformed() }
    }

    fn malformed(&self) -> Stop {
        Stop::Malformed(Malformed::NotCbor { at: self.at })
    }
}

/// Why `item` read none.
enum Stop {
    Partly,
    Malformed(Malformed),
}

fn read<T>(result: Result<T, decode::Error>, scan: &Scan) -> Result<Option<Open>, Stop> {
    match result {
        Ok(_) => Ok(None),
        Err(error) => Err(scan.stop(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// Every kind of item, alone and inside others.
    const WHOLE: &[&str] = &[
        "00",
        "17",
        "1818",
        "190100",
        "1a00010000",
        "1b0000000100000000",
        "20",
        "3bffffffffffffffff",
        "40",
        "43010203",
        "60",
        "62c3bc",
        "80",
        "83010203",
        "a0",
        "a201020304",
        "f4",
        "f6",
        "f7",
        "e0",
        "f8ff",
        "f97e00",
        "fa7fc00000",
        "fb3ff0000000000000",
        "c249010000000000000000",
        "d82550000102030405060708090a0b0c0d0e0f",
        "d8808201f6",
        "5f4101420203ff",
        "7f6161626263ff",
        "9fff",
        "9f0182029f03ffff",
        "bfff",
        "bf01bf0203ff0405ff",
        "d903e7a0",
        "8182818200a100d8809f5fffff00",
    ];

    #[test]
    fn an_item_is_found_however_it_is_dribbled() {
        for hex in WHOLE {
            let input = bytes(hex);
            let whole = Scanned::Whole { end: input.len(), bad_text: false };
            let mut scan = Scan::default();
            for upto in 0..input.len() {
                assert_eq!(scan.go_on(&input[..upto]), Ok(Scanned::Partly), "{hex} up to {upto}");
            }
            assert_eq!(scan.go_on(&input), Ok(whole), "{hex}");
            let mut followed = input.clone();
            followed.extend_from_slice(&[0, 0xff]);
            assert_eq!(
                Scan::default().go_on(&followed),
                Ok(Scanned::Whole { end: input.len(), bad_text: false }),
                "{hex}"
            );
            assert_eq!(check(&followed), Err(Malformed::Trailing), "{hex}");
        }
    }

    #[test]
    fn what_is_no_cbor_is_refused() {
        for hex in
            ["ff", "1c", "3d", "5e", "82ff00", "a1ff", "bf01ff", "5f6161ff", "7f4161ff", "5f5fffff", "d880ff", "fc"]
        {
            assert!(matches!(check(&bytes(hex)), Err(Malformed::NotCbor { .. })), "{hex}");
        }
        assert_eq!(check(&bytes("bbffffffffffffffff")), Err(Malformed::NotCbor { at: 0 }));
        assert_eq!(check(&bytes("9bffffffffffffffff")), Err(Malformed::Short));
    }

    #[test]
    fn text_is_utf8_and_its_end_is_found_if_it_is_not() {
        let input = bytes("8261ff01");
        assert_eq!(Scan::default().go_on(&input), Ok(Scanned::Whole { end: 4, bad_text: true }));
        assert_eq!(check(&input), Err(Malformed::NotUtf8));
        assert_eq!(check(&bytes("7f61c361bcff")), Err(Malformed::NotUtf8));
    }

    #[test]
    fn depth_is_bounded() {
        for opener in [0x81, 0xc1, 0x9f] {
            let mut input = vec![opener; DEPTH_MAX];
            input.push(0);
            assert_ne!(check(&input), Err(Malformed::TooDeep));
            input.insert(0, opener);
            assert_eq!(check(&input), Err(Malformed::TooDeep));
        }
    }
}
