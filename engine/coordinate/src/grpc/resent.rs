//! A client that saw no reply, and sends its call again. It says which call it is: two with the same name and the same
//! content are one.

use std::hash::{DefaultHasher, Hasher};

use berth_core::work::{Book, CallId, Refusal};
use berth_runtime::work::WorkBook;
use prost::Message;
use tonic::Request;

/// The header in which a call is named.
const HEADER: &str = "berth-request-id";

/// What a call is known by when it comes again; nothing: it does not come again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name(Option<u64>);

impl Name {
    /// Of a call of this method.
    pub(super) fn of<T: Message>(method: &'static str, request: &Request<T>) -> Self {
        let Some(name) = request.metadata().get(HEADER) else { return Self(None) };
        let mut hasher = DefaultHasher::new();
        hasher.write(method.as_bytes());
        hasher.write(name.as_encoded_bytes());
        // Not to be taken for what follows.
        hasher.write_u8(0);
        hasher.write(&request.get_ref().encode_to_vec());
        Self(Some(hasher.finish()))
    }

    /// The part of a call that comes with its reply of this number.
    pub(super) fn part(self, number: u64) -> Self {
        let part = |name| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(name);
            hasher.write_u64(number);
            hasher.finish()
        };
        Self(self.0.map(part))
    }

    /// As the book knows it. Each time it comes it counts as a connection of its own, which broke.
    pub(super) fn call(self, book: &WorkBook) -> Option<CallId> {
        let Self(name) = self;
        name.map(|print| CallId { connection: book.connection(), place: 0, print })
    }
}

/// What the call was answered before.
pub(super) fn before<T: Message + Default>(book: &mut Book, call: Option<CallId>) -> Option<T> {
    let said = book.answered_before(call?)?;
    ended(book, call);
    Some(T::decode(&said[..]).expect("it was encoded here"))
}

/// Keeps what it is answered. What is refused may be asked again: it was not done.
pub(super) fn keep<T: Message>(book: &mut Book, call: Option<CallId>, answer: &Result<T, Refusal>) {
    if let (Some(call), Ok(answer)) = (call, answer) {
        book.keep_answer(call, answer.encode_to_vec().into());
        ended(book, Some(call));
    }
}

/// Its receipt waits from now on.
pub(super) fn ended(book: &mut Book, call: Option<CallId>) {
    if let Some(call) = call {
        book.connection_ended(call.connection, false);
    }
}

/// Does it, unless it was done before.
pub(super) fn once<T: Message + Default>(
    book: &mut Book,
    call: Option<CallId>,
    ask: impl FnOnce(&mut Book) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    match before(book, call) {
        Some(answer) => Ok(answer),
        None => {
            let answer = ask(book);
            keep(book, call, &answer);
            answer
        }
    }
}
