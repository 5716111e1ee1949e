//! What can be done for an append before its turn comes, by its caller and
//! beside other callers: the writer is one.

use std::borrow::Cow;

use super::record::encode_envelope;
use crate::append::{Append, ExpectedVersion};

/// An append with the envelopes of its events, as far as they can be encoded
/// before it is decided.
#[derive(Debug)]
pub struct Prepared {
    append: Append,
    /// One per event, in order; nothing where its version is not known yet.
    envelopes: Vec<Option<Vec<u8>>>,
}

impl Prepared {
    /// Encodes what does not depend on the log: the version that a stream must
    /// have says those of its new events.
    pub fn new(append: Append) -> Self {
        let mut envelopes = Vec::with_capacity(append.events());
        for part in &append.streams {
            let first = match part.expected {
                ExpectedVersion::Any => None,
                ExpectedVersion::NoStream | ExpectedVersion::NewByCommand => Some(0),
                ExpectedVersion::Exact(version) => version.checked_add(1),
            };
            envelopes.extend(part.events.iter().zip(0..).map(|(event, n)| {
                let version = first?.checked_add(n)?;
                Some(encode_envelope(event, &part.stream, version))
            }));
        }
        Self { append, envelopes }
    }

    /// The append.
    pub fn append(&self) -> &Append {
        &self.append
    }

    /// The envelopes, in order.
    pub(super) fn envelopes(&self) -> Envelopes<'_> {
        Envelopes(self.envelopes.iter())
    }
}

/// Goes over the envelopes of an append.
pub(super) struct Envelopes<'a>(std::slice::Iter<'a, Option<Vec<u8>>>);

impl<'a> Envelopes<'a> {
    /// The next envelope's bytes, encoded now if they were not before.
    pub(super) fn next(&mut self, envelope: impl FnOnce() -> Vec<u8>) -> Cow<'a, [u8]> {
        match self.0.next() {
            Some(Some(bytes)) => Cow::Borrowed(bytes),
            _ => Cow::Owned(envelope()),
        }
    }
}
