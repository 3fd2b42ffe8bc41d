//! zstd in both directions, in pieces, with bounded memory.

use std::io::{self, Write};

use bytes::Bytes;
use zstd::stream::write::{Decoder, Encoder};

use crate::error::Error;
use crate::storage::{Attached, Source};

/// Fast rather than small: the other end is usually on the same network.
const LEVEL: i32 = 1;

/// How much content is read for one message.
const PIECE_BYTES: usize = 512 * 1024;

/// Compressed pieces are sent when they reach this size.
const PACKED_BYTES: usize = 64 * 1024;

pub(crate) fn pack(content: &[u8]) -> Result<Bytes, Error> {
    Ok(zstd::bulk::compress(content, LEVEL)?.into())
}

/// Unpacks content that should have `size_bytes`; more than that is an error before it takes memory.
pub(crate) fn unpack(packed: &[u8], size_bytes: usize) -> Result<Bytes, Error> {
    zstd::bulk::decompress(packed, size_bytes).map(Bytes::from).map_err(bad_data)
}

fn bad_data(error: io::Error) -> Error {
    Error::field("data", format!("does not unpack with zstd: {error}"))
}

/// Receives the pieces of one write stream.
pub(crate) struct Unpacker(Packed);

enum Packed {
    Plain(AppendTo),
    Zstd(Box<Decoder<'static, AppendTo>>),
}

struct AppendTo(Attached);

impl Unpacker {
    pub(crate) fn plain(attached: Attached) -> Self {
        Self(Packed::Plain(AppendTo(attached)))
    }

    /// A stream of its own frame: a continued upload begins a new one.
    pub(crate) fn zstd(attached: Attached) -> Result<Self, Error> {
        Ok(Self(Packed::Zstd(Box::new(Decoder::new(AppendTo(attached))?))))
    }

    pub(crate) fn attached(&self) -> &Attached {
        match &self.0 {
            Packed::Plain(out) => &out.0,
            Packed::Zstd(decoder) => &decoder.get_ref().0,
        }
    }

    /// Blocks.
    pub(crate) fn append(&mut self, pieces: &[Bytes]) -> Result<(), Error> {
        match &mut self.0 {
            Packed::Plain(out) => pieces.iter().try_for_each(|piece| out.0.append(piece)),
            Packed::Zstd(decoder) => {
                pieces.iter().try_for_each(|piece| decoder.write_all(piece)).and_then(|()| decoder.flush()).map_err(
                    // Our own error, if it came from the upload behind the decoder.
                    |error| match error.downcast::<Error>() {
                        Ok(ours) => ours,
                        Err(error) => bad_data(error),
                    },
                )
            }
        }
    }
}

impl Write for AppendTo {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Produces the pieces of one read stream.
pub(crate) struct Packer {
    source: Source,
    offset: u64,
    end: u64,
    encoder: Option<Encoder<'static, Vec<u8>>>,
}

impl Packer {
    pub(crate) fn plain(source: Source, offset: u64, end: u64) -> Self {
        Self { source, offset, end, encoder: None }
    }

    pub(crate) fn zstd(source: Source, offset: u64, end: u64) -> Result<Self, Error> {
        Ok(Self { source, offset, end, encoder: Some(Encoder::new(Vec::new(), LEVEL)?) })
    }

    /// Whether the next piece comes without the disk and without work.
    pub(crate) fn is_quick(&self) -> bool {
        matches!(self.source, Source::Memory(_)) && self.encoder.is_none()
    }

    /// The next piece; `None` at the end. Blocks unless `is_quick`.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(encoder) = &mut self.encoder else {
            return if self.offset < self.end { self.read().map(Some) } else { Ok(None) };
        };
        if self.offset > self.end {
            return Ok(None);
        }
        while self.offset < self.end && encoder.get_ref().len() < PACKED_BYTES {
            let length = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let piece = self.source.read_at(self.offset, length)?;
            self.offset += piece.len() as u64;
            encoder.write_all(&piece)?;
        }
        let packed = if self.offset == self.end {
            encoder.do_finish()?;
            // One past the end: finished.
            self.offset = self.end + 1;
            std::mem::take(encoder.get_mut())
        } else {
            std::mem::take(encoder.get_mut())
        };
        Ok(Some(packed.into()))
    }

    fn read(&mut self) -> Result<Bytes, Error> {
        let length = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let piece = self.source.read_at(self.offset, length)?;
        self.offset += piece.len() as u64;
        Ok(piece)
    }
}
