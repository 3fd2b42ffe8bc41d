//! A server as its client sees it: calls over a connection, many in flight. Blocking: it is for a command.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use bytes::Bytes;

use super::ImportError;
use crate::{
    cbor::{TAG_CBOR, Value, Writer},
    frame::{Frame, Frames},
};

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest reply. It is read whole.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// Calls in flight.
const DEPTH: usize = 64;

/// A connection to a server.
pub(super) struct Remote {
    name: String,
    stream: TcpStream,
    frames: Frames,
    sent: u64,
}

/// A result, as it came.
#[derive(Clone, Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    pub(super) fn value(&self) -> Value<'_> {
        Value::checked(&self.0)
    }

    /// The first of a pair. The second is what the server says of it: the reason, if the first is null or false.
    pub(super) fn first(&self) -> Option<Value<'_>> {
        self.value().items()?.next()
    }

    pub(super) fn second(&self) -> Option<Value<'_>> {
        self.value().items()?.nth(1)
    }
}

impl Remote {
    pub(super) fn connect(server: &str) -> Result<Self, ImportError> {
        let failed = |error| ImportError::Connection(server.to_owned(), error);
        let address = server.to_socket_addrs().map_err(failed)?.next();
        let address = address.ok_or_else(|| failed(io::Error::other("the name has no address")))?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(Self { name: server.to_owned(), stream, frames: Frames::new(REPLY_BYTES_MAX), sent: 0 })
    }

    /// Calls a method with arguments in CBOR.
    pub(super) fn call(&mut self, method: &str, params: &[&[u8]]) -> Result<Answer, ImportError> {
        self.send(method, params)?;
        self.receive(method)
    }

    /// Calls a method once for each list of arguments; the answers are in the same order.
    pub(super) fn call_each(&mut self, method: &str, calls: &[Vec<Vec<u8>>]) -> Result<Vec<Answer>, ImportError> {
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(DEPTH) {
            for params in calls {
                self.send(method, &params.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            }
            for _ in calls {
                answers.push(self.receive(method)?);
            }
        }
        Ok(answers)
    }

    fn send(&mut self, method: &str, params: &[&[u8]]) -> Result<(), ImportError> {
        self.sent += 1;
        let mut message = Writer::default();
        message.map(3).bytes("id").uint(self.sent).bytes("method").bytes(method).bytes("params").array(params.len());
        params.iter().for_each(|param| _ = message.raw(param));
        let mut frame = Writer::default();
        frame.tag(TAG_CBOR).bytes(message.as_slice());
        self.stream.write_all(frame.as_slice()).map_err(|error| ImportError::Connection(self.name.clone(), error))
    }

    fn receive(&mut self, method: &str) -> Result<Answer, ImportError> {
        let failed = |why: String| ImportError::Refused(method.to_owned(), why);
        let reply = self.next_frame()?;
        let value = Value::check(&reply).map_err(|why| failed(why.to_string()))?;
        if let Some(result) = value.get("result") {
            return Ok(Answer(reply.slice_ref(result.raw())));
        }
        let message = value.get("error").and_then(|error| error.get("message")?.string());
        let message = message.unwrap_or_default();
        Err(failed(String::from_utf8_lossy(&message).lines().next().unwrap_or("no result").to_owned()))
    }

    fn next_frame(&mut self) -> Result<Bytes, ImportError> {
        let failed = |error| ImportError::Connection(self.name.clone(), error);
        let mut chunk = vec![0; 1 << 16];
        loop {
            match self.frames.next() {
                Some(Frame::Message(reply)) => return Ok(reply),
                Some(other) => return Err(failed(io::Error::other(format!("no reply: {other:?}")))),
                None => {}
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => self.frames.buffer().extend_from_slice(&chunk[..read]),
                Err(error) => return Err(failed(error)),
            }
        }
    }
}
