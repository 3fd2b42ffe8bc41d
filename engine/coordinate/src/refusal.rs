//! A request that cannot be answered, in words for the person who wrote the client.

/// What an error reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(Vec<u8>);

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into().into_bytes())
    }

    pub(crate) fn message(&self) -> &[u8] {
        &self.0
    }
}
