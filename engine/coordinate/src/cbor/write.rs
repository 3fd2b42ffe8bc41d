//! Writes CBOR as the Python server does: whole numbers in their shortest form, floats always with 64 bits, its own
//! words as byte strings.

use minicbor::{Encoder, encode::write::Write};

use super::value::TAG_TUPLE;

/// The most that a writer takes. An answer with more could not be read by anybody.
const BYTES_MAX: usize = 256 << 20;

/// Where a result is written. Writing to memory cannot fail, so that nothing here returns an error.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// Something was left out, because there was too much.
    full: bool,
}

/// The bytes behind it, for minicbor.
struct Sink<'a>(&'a mut Vec<u8>);

impl Write for Sink<'_> {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// What `Encoder` promises for a sink that takes everything.
const NO_ERROR: &str = "writing to memory cannot fail";

impl Writer {
    fn encoder(&mut self) -> Encoder<Sink<'_>> {
        Encoder::new(Sink(&mut self.bytes))
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Cuts back to an earlier length.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// An item that is CBOR already.
    pub(crate) fn raw(&mut self, item: &[u8]) -> &mut Self {
        if self.bytes.len() + item.len() > BYTES_MAX {
            self.full = true;
        } else {
            self.bytes.extend_from_slice(item);
        }
        self
    }

    /// Whether something was left out since the last time that this was asked.
    pub(crate) fn take_full(&mut self) -> bool {
        std::mem::take(&mut self.full)
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.encoder().null().expect(NO_ERROR);
        self
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.encoder().bool(value).expect(NO_ERROR);
        self
    }

    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        self.encoder().i64(value).expect(NO_ERROR);
        self
    }

    pub(crate) fn uint(&mut self, value: u64) -> &mut Self {
        self.encoder().u64(value).expect(NO_ERROR);
        self
    }

    pub(crate) fn float(&mut self, value: f64) -> &mut Self {
        self.encoder().f64(value).expect(NO_ERROR);
        self
    }

    /// Seconds since the epoch, as Python's `time.time()`, of a time in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "exact to the microsecond for two centuries")]
    pub(crate) fn seconds(&mut self, micros: u64) -> &mut Self {
        self.float(micros as f64 / 1e6)
    }

    pub(crate) fn bytes(&mut self, value: impl AsRef<[u8]>) -> &mut Self {
        self.encoder().bytes(value.as_ref()).expect(NO_ERROR);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.encoder().str(value).expect(NO_ERROR);
        self
    }

    pub(crate) fn array(&mut self, items: usize) -> &mut Self {
        self.encoder().array(items as u64).expect(NO_ERROR);
        self
    }

    pub(crate) fn map(&mut self, pairs: usize) -> &mut Self {
        self.encoder().map(pairs as u64).expect(NO_ERROR);
        self
    }

    pub(crate) fn tag(&mut self, tag: u64) -> &mut Self {
        self.encoder().tag(minicbor::data::Tag::new(tag)).expect(NO_ERROR);
        self
    }

    /// A Python tuple of so many items.
    pub(crate) fn tuple(&mut self, items: usize) -> &mut Self {
        self.tag(TAG_TUPLE).array(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_the_python_server() {
        let mut writer = Writer::default();
        writer.tuple(4).float(1.0).int(-1).uint(300).map(1).bytes("k").null().bool(true);
        assert_eq!(writer.as_slice(), b"\xd8\x80\x84\xfb\x3f\xf0\0\0\0\0\0\0\x20\x19\x01\x2c\xa1\x41k\xf6\xf5",);
    }
}
