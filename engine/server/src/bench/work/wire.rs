//! CBOR-RPC as a client speaks it: requests out, replies in.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, bail};
use minicbor::{
    Decoder, Encoder,
    data::{Tag, Type},
};

/// A frame is a byte string with this tag; a Python tuple an array with the other.
const FRAME: Tag = Tag::new(24);
const TUPLE: Tag = Tag::new(128);

/// Writes one item.
pub(super) type Fill<'a> = &'a dyn Fn(&mut Item<'_>);

/// An encoder into memory, which cannot fail.
pub(super) struct Item<'a>(Encoder<&'a mut Vec<u8>>);

impl Item<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.bytes(bytes).expect("memory takes it");
        self
    }

    pub(super) fn int(&mut self, number: u64) -> &mut Self {
        self.0.u64(number).expect("memory takes it");
        self
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.0.null().expect("memory takes it");
        self
    }

    pub(super) fn truth(&mut self) -> &mut Self {
        self.0.bool(true).expect("memory takes it");
        self
    }

    pub(super) fn map(&mut self, entries: u64) -> &mut Self {
        self.0.map(entries).expect("memory takes it");
        self
    }

    pub(super) fn array(&mut self, items: u64) -> &mut Self {
        self.0.array(items).expect("memory takes it");
        self
    }

    pub(super) fn tuple(&mut self, items: u64) -> &mut Self {
        self.0.tag(TUPLE).expect("memory takes it");
        self.array(items)
    }
}

/// Appends a frame around one item.
pub(super) fn frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Item<'_>)) {
    let mut message = Vec::with_capacity(128);
    fill(&mut Item(Encoder::new(&mut message)));
    Encoder::new(out).tag(FRAME).and_then(|frame| frame.bytes(&message)).expect("memory takes it");
}

/// A connection that numbers its requests.
pub(super) struct Client {
    stream: TcpStream,
    id: u64,
    out: Vec<u8>,
    input: Input,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("nothing listens on {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, id: 0, out: Vec::new(), input: Input::default() })
    }

    /// Adds a request to those that [`Client::flush`] sends; `fill` writes so many parameters.
    pub(super) fn ask(&mut self, method: &str, params: u64, fill: Fill<'_>) {
        self.id += 1;
        let id = self.id;
        frame(&mut self.out, |item| {
            item.map(3).bytes(b"params").array(params);
            fill(item);
            item.bytes(b"id").int(id).bytes(b"method").bytes(method.as_bytes());
        });
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// The next reply, handed to `read` where its result begins.
    pub(super) fn reply<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'_>) -> Result<T, minicbor::decode::Error>,
    ) -> anyhow::Result<T> {
        let stream = &mut self.stream;
        let message = self.input.frame(|buffer| stream.read(buffer))?.context("the server hung up")?;
        let mut decoder = Decoder::new(&message);
        for _ in 0..decoder.map()?.context("an envelope of known length is expected")? {
            match blob(&mut decoder)? {
                b"result" => return Ok(read(&mut decoder)?),
                b"error" => bail!("the server refuses: {}", minicbor::display(&message)),
                _ => decoder.skip()?,
            }
        }
        bail!("a reply without a result: {}", minicbor::display(&message))
    }

    /// One request, one reply: a pair whose first is to be true.
    pub(super) fn call(&mut self, method: &str, params: u64, fill: Fill<'_>) -> anyhow::Result<()> {
        self.ask(method, params, fill);
        self.flush()?;
        self.reply(is_true)?;
        Ok(())
    }
}

/// The first of a pair is true.
pub(super) fn is_true(decoder: &mut Decoder<'_>) -> Result<(), minicbor::decode::Error> {
    list(decoder)?;
    if decoder.bool()? { Ok(()) } else { Err(minicbor::decode::Error::message("the server says no")) }
}

/// Keys of the units that `get_work` gave.
pub(super) fn keys(decoder: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, minicbor::decode::Error> {
    list(decoder)?;
    let count = list(decoder)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        list(decoder)?;
        decoder.skip()?;
        keys.push(blob(decoder)?.to_vec());
        decoder.skip()?;
    }
    Ok(keys)
}

/// Length of an array, a tuple or not.
fn list(decoder: &mut Decoder<'_>) -> Result<u64, minicbor::decode::Error> {
    if decoder.datatype()? == Type::Tag {
        decoder.tag()?;
    }
    decoder.array()?.ok_or_else(|| minicbor::decode::Error::message("a list of known length is expected"))
}

/// Bytes or text: the same to Python.
pub(super) fn blob<'b>(decoder: &mut Decoder<'b>) -> Result<&'b [u8], minicbor::decode::Error> {
    match decoder.datatype()? {
        Type::String => Ok(decoder.str()?.as_bytes()),
        _ => decoder.bytes(),
    }
}

/// Bytes that came, cut into frames.
#[derive(Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    begin: usize,
}

impl Input {
    /// The next frame's message; `None`: the other side has hung up. `more` reads into a buffer, as `Read` does.
    pub(super) fn frame(
        &mut self,
        mut more: impl FnMut(&mut [u8]) -> std::io::Result<usize>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(message) = self.ready()? {
                return Ok(Some(message));
            }
            let len = self.make_room();
            self.buffer.resize(len + (64 << 10), 0);
            let count = more(&mut self.buffer[len..])?;
            self.buffer.truncate(len + count);
            if count == 0 {
                return Ok(None);
            }
        }
    }

    /// The next frame's message, if all of it is there.
    pub(super) fn ready(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut decoder = Decoder::new(&self.buffer[self.begin..]);
        let message = decoder.tag().and_then(|_| decoder.bytes());
        match message {
            Ok(message) => {
                let message = message.to_vec();
                self.begin += decoder.position();
                Ok(Some(message))
            }
            Err(error) if error.is_end_of_input() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes bytes that were read elsewhere.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.make_room();
        self.buffer.extend_from_slice(bytes);
    }

    fn make_room(&mut self) -> usize {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        self.buffer.len()
    }
}
