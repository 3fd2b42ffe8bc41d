//! One connection, for as long as the client wants: however long it is silent, it is never closed for that.
//!
//! Reading and answering overlap: while the book commits one turn, the next is read and asked. Replies leave in order.

use std::{collections::VecDeque, io, sync::Arc};

use berth_runtime::work::{Pending, WorkBook};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_util::sync::CancellationToken;

use crate::{
    cbor::Writer,
    config::Config,
    figures::Figures,
    frame::Frames,
    methods::Tell,
    turn::{Calls, Replies, Run, Turn},
};

/// Turns that wait for the book. A client that sends more than that is not read on until it takes its replies.
const TURNS_MAX: usize = 8;

/// A read.
const READ_BYTES: usize = 16 << 10;

/// Replies gather to so many bytes before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// What serves Coordinate's clients.
#[derive(Clone)]
pub struct Door {
    book: WorkBook,
    config: Arc<Config>,
    figures: Arc<Figures>,
}

/// A turn that was asked.
struct Asked {
    answers: Pending<Vec<Tell>>,
    replies: Replies,
}

impl Door {
    /// A door to a book.
    pub fn new(book: WorkBook, config: Config) -> Self {
        Self { book, config: Arc::new(config), figures: Arc::default() }
    }

    /// A door to another book: with the same settings, and counted together.
    #[must_use]
    pub fn to(&self, book: WorkBook) -> Self {
        Self { book, ..self.clone() }
    }

    /// What the door counts.
    pub fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// Serves a connection until the client leaves, the connection breaks, or `stop` is called: then what was asked is
    /// still answered.
    pub async fn serve(&self, stream: TcpStream, stop: &CancellationToken) {
        let mut connection = Connection {
            book: &self.book,
            config: &self.config,
            figures: &self.figures,
            frames: Frames::new(self.config.frame_bytes_max),
            asked: VecDeque::new(),
            calls: Calls::new(self.book.connection()),
            once: false,
            goodbye: false,
            in_steps: false,
            last: false,
            scratch: Writer::default(),
            out: Writer::default(),
        };
        let served = connection.serve(stream, stop).await;
        let Connection { calls: Calls { connection: number, .. }, once, goodbye, asked, .. } = connection;
        if once {
            let goodbye = goodbye && served.is_ok();
            // What takes long leaves its receipts when it is over.
            for Asked { answers, .. } in asked {
                let _ = answers.await;
            }
            // An error: the book has ended as well, and will know the call again when it is read from disk.
            let _ = self.book.begin(move |book| book.connection_ended(number, goodbye)).await;
        }
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

struct Connection<'a> {
    book: &'a WorkBook,
    config: &'a Config,
    figures: &'a Figures,
    frames: Frames,
    /// In the order in which they were asked.
    asked: VecDeque<Asked>,
    calls: Calls,
    /// Some call of it may have to be known again.
    once: bool,
    /// The client left when it had been sent every reply.
    goodbye: bool,
    /// The last turn takes long: nothing is asked before it is over, so that calls are done in their order.
    in_steps: bool,
    /// Nothing more is read.
    last: bool,
    scratch: Writer,
    out: Writer,
}

/// What a connection waits for.
enum News {
    Readable,
    Answers(Vec<Tell>),
}

impl Connection<'_> {
    async fn serve(&mut self, mut stream: TcpStream, stop: &CancellationToken) -> io::Result<()> {
        loop {
            self.ask_all().await?;
            if self.last && self.asked.is_empty() {
                return stream.shutdown().await;
            }
            match self.news(&stream, stop).await? {
                Some(News::Readable) => self.read(&stream)?,
                Some(News::Answers(tells)) => self.answer(tells, &mut stream).await?,
                None => self.last = true,
            }
        }
    }

    /// Asks the book all that was read, unless too much waits already.
    async fn ask_all(&mut self) -> io::Result<()> {
        while self.has_room() {
            self.calls.is_behind = !self.asked.is_empty();
            let Some(turn) = Turn::take(&mut self.frames, &mut self.calls, self.config) else { break };
            let Turn { tasks, is_long, replies, once, last } = turn;
            self.once |= once;
            self.in_steps = is_long;
            let mut run = Run::new(tasks);
            let answers = if is_long {
                self.book.begin_steps(move |book| run.step(book)).await
            } else {
                self.book.begin(move |book| run.step(book).expect("nothing of it takes long")).await
            };
            let answers = answers.map_err(io::Error::other)?;
            self.asked.push_back(Asked { answers, replies });
            self.last |= last;
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let bytes: usize = self.asked.iter().map(|asked| asked.replies.bytes).sum();
        !self.last && !self.in_steps && self.asked.len() < TURNS_MAX && bytes < self.config.frame_bytes_max
    }

    /// Waits. None: the server is about to stop.
    async fn news(&mut self, stream: &TcpStream, stop: &CancellationToken) -> io::Result<Option<News>> {
        let reads = self.has_room();
        let waits = !self.asked.is_empty();
        let listens = !self.last;
        let first = async {
            match self.asked.front_mut() {
                Some(first) => (&mut first.answers).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answers = first, if waits => Ok(Some(News::Answers(answers.map_err(io::Error::other)?))),
            ready = stream.readable(), if reads => ready.map(|()| Some(News::Readable)),
            () = stop.cancelled(), if listens => Ok(None),
        }
    }

    fn read(&mut self, stream: &TcpStream) -> io::Result<()> {
        let buffer = self.frames.buffer();
        buffer.reserve(READ_BYTES);
        match stream.try_read_buf(buffer) {
            // The client has said all; it may still wait for replies.
            Ok(0) => {
                self.goodbye = self.asked.is_empty();
                self.last = true;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.frames.give_back(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes the replies of the first turn that was asked: each in one piece, small ones together.
    async fn answer(&mut self, tells: Vec<Tell>, stream: &mut TcpStream) -> io::Result<()> {
        let Some(first) = self.asked.pop_front() else { return Ok(()) };
        let mut answered = first.replies.answered(tells);
        let now = self.book.now().0;
        while answered.write_next(now, self.figures, &mut self.scratch, &mut self.out) {
            if self.out.len() >= WRITE_BYTES {
                self.flush(stream).await?;
            }
        }
        self.flush(stream).await?;
        self.rest();
        Ok(())
    }

    async fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(self.out.as_slice()).await?;
        self.out.clear();
        Ok(())
    }

    /// A connection that waits for its client keeps no memory for what is over: there may be ten thousand of them.
    fn rest(&mut self) {
        if self.asked.is_empty() {
            self.in_steps = false;
            self.frames.give_back();
            self.scratch = Writer::default();
            self.out = Writer::default();
        }
    }
}
