//! A turn: the requests that one look at a connection brought, from their frames to their replies.
//!
//! All of a turn go to the book as one, however many a client sends without waiting, and one commit answers them. Their
//! replies leave in the order in which they came, and that of a request in one piece.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hasher},
    time::{Duration, Instant},
};

use berth_core::work::{Book, CallId};
use bytes::Bytes;

use crate::{
    cbor::{TAG_CBOR, Value, Writer},
    config::Config,
    envelope::{NULL, Request},
    figures::Figures,
    frame::{Frame, Frames},
    methods::{self, Ask, Call, Say, Tell},
    refusal::Refusal,
};

/// Frames of a turn, and requests of a frame that holds a list of them.
const FRAMES_MAX: usize = 256;
const BATCH_MAX: usize = 10_000;

/// What takes long, and is brought to its end in one step of a turn: so many requests.
const ENDED_A_STEP: usize = 16;

/// What takes long: asked until it answers.
type Steps = Box<dyn FnMut(&mut Book) -> Option<Tell> + Send>;

/// What a request asks of the book.
pub(crate) enum Task {
    /// At once.
    Ask(Ask),
    /// Step by step, until it answers. What comes after it in the turn waits.
    Steps(Steps),
}

/// What the calls of a connection are known by.
pub(crate) struct Calls {
    /// The number of the connection.
    pub(crate) connection: u64,
    /// Its client does not wait for each reply: more than the last call may have to be known again, up to as many as there
    /// are places.
    pub(crate) is_piped: bool,
    /// Earlier calls are not answered yet.
    pub(crate) is_behind: bool,
    place: u8,
}

impl Calls {
    /// Of a client that waits, as far as we know.
    pub(crate) fn new(connection: u64) -> Self {
        Self { connection, is_piped: false, is_behind: false, place: 0 }
    }

    fn next(&mut self, print: u64) -> CallId {
        self.place = self.place.wrapping_add(u8::from(self.is_piped));
        CallId { connection: self.connection, place: self.place, print }
    }
}

/// The requests of a turn as they were read.
#[derive(Default)]
pub(crate) struct Turn {
    /// What the book is asked, in this order.
    pub(crate) tasks: Vec<Task>,
    /// Some of that takes long.
    pub(crate) is_long: bool,
    /// How each frame is answered, in this order.
    pub(crate) replies: Replies,
    /// Something was asked that the book may have to know again.
    pub(crate) once: bool,
    /// Nothing more is to be read: the client said goodbye, or sent what nobody understands.
    pub(crate) last: bool,
}

/// How the frames of a turn are answered.
pub(crate) struct Replies {
    frames: Vec<Reply>,
    /// Bytes of their messages.
    pub(crate) bytes: usize,
    /// When they were read.
    read: Instant,
}

impl Default for Replies {
    fn default() -> Self {
        Self { frames: Vec::new(), bytes: 0, read: Instant::now() }
    }
}

/// How a frame is answered.
enum Reply {
    One(Response),
    Batch(Vec<Response>),
}

struct Response {
    /// As it was sent.
    id: Bytes,
    /// The number of its method.
    method: usize,
    what: What,
}

enum What {
    /// The next of what the book was asked.
    Asked,
    Here(Say),
    Refused(Refusal),
}

impl Turn {
    /// Takes the whole frames that are there. None: there is none.
    pub(crate) fn take(frames: &mut Frames, calls: &mut Calls, config: &Config) -> Option<Self> {
        let mut turn = Self::default();
        while turn.replies.frames.len() < FRAMES_MAX && turn.replies.bytes < config.frame_bytes_max {
            match frames.next() {
                None => break,
                Some(Frame::Message(message)) => {
                    calls.is_piped |= calls.is_behind || !turn.replies.frames.is_empty();
                    turn.message(&message, calls, config);
                }
                Some(Frame::TooLong) => {
                    let most = config.frame_bytes_max;
                    turn.refuse(Refusal::new(format!("the request has more than the {most} bytes that are taken")));
                }
                Some(Frame::End) => turn.last = true,
                Some(Frame::Broken(why)) => {
                    tracing::debug!(%why, "a connection brings what is no request");
                    turn.last = true;
                }
            }
            if turn.last {
                break;
            }
        }
        (turn.last || !turn.replies.frames.is_empty()).then_some(turn)
    }

    fn refuse(&mut self, refusal: Refusal) {
        let response =
            Response { id: Bytes::from_static(NULL), method: methods::number(&[]), what: What::Refused(refusal) };
        self.replies.frames.push(Reply::One(response));
    }

    fn message(&mut self, message: &Bytes, calls: &mut Calls, config: &Config) {
        self.replies.bytes += message.len();
        let value = match Value::check(message) {
            Ok(value) => value,
            Err(why) => return self.refuse(Refusal::new(format!("the request cannot be read: {why}"))),
        };
        if value.is_null() {
            self.last = true;
            return;
        }
        let reply = match value.items() {
            None => Reply::One(self.request(message, value, calls, config)),
            Some(requests) if requests.clone().nth(BATCH_MAX).is_none() => {
                calls.is_piped = true;
                Reply::Batch(requests.map(|request| self.request(message, request, calls, config)).collect())
            }
            Some(_) => return self.refuse(Refusal::new(format!("a list of more than {BATCH_MAX} requests"))),
        };
        self.replies.frames.push(reply);
    }

    fn request(&mut self, message: &Bytes, value: Value<'_>, calls: &mut Calls, config: &Config) -> Response {
        let Request { id, method, params } = match Request::read(message, value) {
            Ok(request) => request,
            Err((id, refusal)) => return Response { id, method: methods::number(&[]), what: What::Refused(refusal) },
        };
        let number = methods::number(&method);
        let what = match methods::call(number, &method, params, config) {
            Ok(Call::Book(ask)) => {
                self.tasks.push(Task::Ask(ask));
                What::Asked
            }
            Ok(Call::Once(ask)) => {
                let call = calls.next(print(value.raw()));
                self.tasks.push(Task::Ask(Box::new(move |book| ask(book, call))));
                self.once = true;
                What::Asked
            }
            Ok(Call::Steps(mut ask)) => {
                let call = calls.next(print(value.raw()));
                self.tasks.push(Task::Steps(Box::new(move |book| ask(book, call))));
                self.is_long = true;
                self.once = true;
                What::Asked
            }
            Ok(Call::Here(tell)) => What::Here(tell),
            Err(refusal) => What::Refused(refusal),
        };
        Response { id, method: number, what }
    }
}

/// What a call is known by when it comes again. Nobody gains by making two alike: they would be two calls of one client.
fn print(request: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(request);
    hasher.finish()
}

/// Asks the book all of a turn, in its order.
pub(crate) struct Run {
    tasks: VecDeque<Task>,
    tells: Vec<Tell>,
}

impl Run {
    /// Nothing was asked yet.
    pub(crate) fn new(tasks: Vec<Task>) -> Self {
        Self { tells: Vec::with_capacity(tasks.len()), tasks: tasks.into() }
    }

    /// A step: up to what has more to do after it. Answers when all is answered.
    pub(crate) fn step(&mut self, book: &mut Book) -> Option<Vec<Tell>> {
        let mut ended = 0;
        while ended < ENDED_A_STEP
            && let Some(task) = self.tasks.pop_front()
        {
            match task {
                Task::Ask(ask) => self.tells.push(ask(book)),
                Task::Steps(mut steps) => match steps(book) {
                    Some(tell) => {
                        self.tells.push(tell);
                        ended += 1;
                    }
                    None => {
                        self.tasks.push_front(Task::Steps(steps));
                        return None;
                    }
                },
            }
        }
        self.tasks.is_empty().then(|| std::mem::take(&mut self.tells))
    }
}

impl Replies {
    /// Pairs them with the answers of the book.
    pub(crate) fn answered(self, tells: Vec<Tell>) -> Answered {
        Answered { frames: self.frames.into_iter(), tells: tells.into_iter(), took: self.read.elapsed() }
    }
}

/// Replies that can be written.
pub(crate) struct Answered {
    frames: std::vec::IntoIter<Reply>,
    tells: std::vec::IntoIter<Tell>,
    took: Duration,
}

impl Answered {
    /// Writes the frame of the next reply, if there is one. `now` in microseconds since the epoch.
    pub(crate) fn write_next(&mut self, now: u64, figures: &Figures, scratch: &mut Writer, out: &mut Writer) -> bool {
        let Some(frame) = self.frames.next() else { return false };
        scratch.clear();
        let mut write = |response: Response, out: &mut Writer| {
            let method = response.method;
            let error = response.write(&mut self.tells, now, out);
            figures.count(method, error, self.took);
        };
        match frame {
            Reply::One(response) => write(response, scratch),
            Reply::Batch(responses) => {
                scratch.array(responses.len());
                responses.into_iter().for_each(|response| write(response, scratch));
            }
        }
        out.tag(TAG_CBOR).bytes(scratch.as_slice());
        true
    }
}

impl Response {
    /// Answers whether it is an error.
    fn write(self, tells: &mut impl Iterator<Item = Tell>, now: u64, out: &mut Writer) -> bool {
        out.map(2).bytes("id").raw(&self.id);
        let result = out.len();
        match self.what {
            What::Refused(refusal) => {
                write_error(&refusal, out);
                return true;
            }
            What::Asked => {
                out.bytes("result");
                tells.next().expect("the book answers each of the questions")(out);
            }
            What::Here(tell) => {
                out.bytes("result");
                tell(now, out);
            }
        }
        let is_full = out.take_full();
        if is_full {
            out.truncate(result);
            write_error(&Refusal::new("the answer is too long: ask for less at a time"), out);
        }
        is_full
    }
}

fn write_error(refusal: &Refusal, out: &mut Writer) {
    out.bytes("error").map(1).bytes("message").bytes(refusal.message());
}
