//! Frames: what a connection brings, cut into messages.
//!
//! A frame is CBOR's tag 24 around a byte string that holds the message. Such a frame says how long it is, so that a bad
//! message costs an error reply and never the connection. A map or an array without the tag is taken for a message too;
//! it has to be read to find its end. There is no other way to find the next frame: what is no frame ends the connection.

use bytes::{Buf, Bytes, BytesMut};
use minicbor::{Decoder, data::Type};

use crate::cbor::{Malformed, Scan, Scanned, TAG_CBOR, Value};

/// The bytes that were read and are no whole frame yet.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes: BytesMut,
    /// Of a frame that says not how long it is, or of a message without a frame.
    scan: Scan,
    /// Bytes of a frame that was too long, still to come.
    skip: u64,
    bytes_max: usize,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message. If it came in a frame, it may be anything yet.
    Message(Bytes),
    /// More than is taken. It is skipped when it comes.
    TooLong,
    /// The client says goodbye: a null.
    End,
    /// No frame, and no way to find the next.
    Broken(Malformed),
}

impl Frames {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: BytesMut::new(), scan: Scan::default(), skip: 0, bytes_max }
    }

    /// Where to read to. Room is made in it by the reader.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Gives the memory back, if nothing is in it: a silent connection has none.
    pub(crate) fn give_back(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }

    /// The next whole frame, if it is there.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.bytes.len());
            self.bytes.advance(skipped);
            self.skip -= skipped as u64;
        }
        match Decoder::new(&self.bytes).datatype() {
            Err(_) => None,
            Ok(Type::Null | Type::Undefined) => Some(Frame::End),
            Ok(Type::Tag) => self.tagged(),
            Ok(Type::Map | Type::MapIndef | Type::Array | Type::ArrayIndef) => self.scanned(0),
            Ok(_) => Some(Frame::Broken(Malformed::NotCbor { at: 0 })),
        }
    }

    fn tagged(&mut self) -> Option<Frame> {
        let mut decoder = Decoder::new(&self.bytes);
        let tag = match decoder.tag() {
            Err(error) if error.is_end_of_input() => return None,
            other => other.ok().map(|tag| tag.as_u64()),
        };
        if tag != Some(TAG_CBOR) {
            return Some(Frame::Broken(Malformed::NotCbor { at: 0 }));
        }
        let at = decoder.position();
        match decoder.datatype() {
            Err(_) => None,
            Ok(Type::Bytes) => self.measured(at),
            Ok(Type::BytesIndef) => self.scanned(at),
            Ok(_) => Some(Frame::Broken(Malformed::NotCbor { at })),
        }
    }

    /// A frame that says how long it is, in the string's header at this position.
    fn measured(&mut self, at: usize) -> Option<Frame> {
        // A length is written as an unsigned number is, but for the bits that tell the kind.
        let mut header = [0; 9];
        let there = header.len().min(self.bytes.len() - at);
        header[..there].copy_from_slice(&self.bytes[at..at + there]);
        header[0] &= 0x1f;
        let mut decoder = Decoder::new(&header[..there]);
        let bytes = match decoder.u64() {
            Ok(bytes) => bytes,
            Err(error) if error.is_end_of_input() => return None,
            Err(_) => return Some(Frame::Broken(Malformed::NotCbor { at })),
        };
        let start = at + decoder.position();
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= self.bytes_max => {
                if self.bytes.len() - start < bytes {
                    return None;
                }
                self.bytes.advance(start);
                Some(Frame::Message(self.bytes.split_to(bytes).freeze()))
            }
            _ => {
                self.bytes.advance(start);
                self.skip = bytes;
                Some(Frame::TooLong)
            }
        }
    }

    /// A frame, or a message without one, that has to be read to find its end.
    fn scanned(&mut self, at: usize) -> Option<Frame> {
        match self.scan.go_on(&self.bytes) {
            Err(why) => Some(Frame::Broken(why)),
            Ok(Scanned::Partly) if self.bytes.len() > self.bytes_max => {
                Some(Frame::Broken(Malformed::TooLong { bytes_max: self.bytes_max }))
            }
            Ok(Scanned::Partly) => None,
            Ok(Scanned::Whole { end, .. }) => {
                self.scan = Scan::default();
                let item = self.bytes.split_to(end).freeze();
                if at == 0 {
                    return Some(Frame::Message(item));
                }
                let content = Value::check(&item[at..]).ok()?.string()?.into_owned();
                Some(Frame::Message(content.into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(input: &[u8]) -> Frames {
        let mut frames = Frames::new(1000);
        frames.buffer().extend_from_slice(input);
        frames
    }

    fn message(bytes: &'static [u8]) -> Option<Frame> {
        Some(Frame::Message(Bytes::from_static(bytes)))
    }

    #[test]
    fn several_frames_come_one_after_the_other() {
        let mut frames = frames(
            b"\xd8\x18\x42\xa0\xa0\xa1\x00\x01\xd8\x18\x5f\x41\xa0\x41\xa1\xff\x80\xd9\x00\x18\x59\x00\x01\x05\xf6",
        );
        assert_eq!(frames.next(), message(b"\xa0\xa0"));
        assert_eq!(frames.next(), message(b"\xa1\x00\x01"));
        assert_eq!(frames.next(), message(b"\xa0\xa1"));
        assert_eq!(frames.next(), message(b"\x80"));
        assert_eq!(frames.next(), message(b"\x05"));
        assert_eq!(frames.next(), Some(Frame::End));
    }

    #[test]
    fn frames_may_come_byte_by_byte() {
        for input in
            [&b"\xd8\x18\x58\x03\xa1\x00\x01"[..], b"\xa1\x00\x9f\x62\xc3\xbc\xff", b"\xd8\x18\x5f\x41\xa0\xff"]
        {
            let mut frames = frames(b"");
            let (last, first) = input.split_last().unwrap();
            for byte in first {
                frames.buffer().extend_from_slice(&[*byte]);
                assert_eq!(frames.next(), None, "{input:02x?}");
            }
            frames.buffer().extend_from_slice(&[*last]);
            assert!(matches!(frames.next(), Some(Frame::Message(_))), "{input:02x?}");
            assert!(frames.buffer().is_empty());
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped() {
        let mut frames = frames(b"\xd8\x18\x59\x03\xe9");
        assert_eq!(frames.next(), Some(Frame::TooLong));
        for _ in 0..1001 {
            frames.buffer().extend_from_slice(&[0xff]);
            assert_eq!(frames.next(), None);
        }
        frames.buffer().extend_from_slice(b"\xd8\x18\x41\x05");
        assert_eq!(frames.next(), message(b"\x05"));
    }

    #[test]
    fn a_message_without_a_frame_that_is_too_long_ends_the_connection() {
        let mut frames = frames(b"\x99\x04\x00");
        assert_eq!(frames.next(), None);
        frames.buffer().extend_from_slice(&[0; 1000]);
        assert_eq!(frames.next(), Some(Frame::Broken(Malformed::TooLong { bytes_max: 1000 })));
    }

    #[test]
    fn what_is_no_frame_ends_the_connection() {
        for input in [
            &b"GET / HTTP/1.1"[..],
            b"\x01",
            b"\xd8\x25\x41\x00",
            b"\xd8\x18\x61\x00",
            b"\xff",
            b"\xd8\x18\x5c",
            b"\xa1\xff",
        ] {
            assert!(matches!(frames(input).next(), Some(Frame::Broken(_))), "{input:02x?}");
        }
    }
}
