//! Aggregates: pure decisions over a stream of events.

use bytes::Bytes;
use jiff::Timestamp;
use tally_domain::legal::LegalBasisRef;

use crate::event::{DecodeError, Recorded};

/// A consistency boundary: what one stream says, and what may follow.
///
/// `decide` and `evolve` do no I/O; time, ids and look-ups come in with the
/// command.
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// What is asked.
    type Command: Send + Sync + 'static;
    /// What happened.
    type Event: Clone + Send + Sync + 'static;
    /// Why it is refused.
    type Rejection: std::fmt::Debug + Send + 'static;

    /// Stream category.
    const CATEGORY: &'static str;

    /// Decides a command: the events that follow from it, or why not. No event
    /// means that what is asked holds already.
    ///
    /// # Errors
    ///
    /// The aggregate's rejection: a refusal is business, not failure.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Takes an event into the state.
    fn evolve(&mut self, event: &Self::Event);
}

/// An event, encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Full name of the payload's message.
    pub event_type: &'static str,
    /// The encoded payload.
    pub payload: Bytes,
    /// When it holds in law.
    pub effective_at: Timestamp,
    /// The legal basis it rests on.
    pub legal_basis: Option<LegalBasisRef>,
}

/// How an aggregate's events are stored.
pub trait Codec: Aggregate {
    /// Encodes an event. Personal values are sealed already.
    fn encode(event: &Self::Event) -> Encoded;

    /// Decodes a record of this category.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: not an event of this aggregate, or of a newer version.
    fn decode(recorded: &Recorded) -> Result<Self::Event, DecodeError>;
}

/// Starts a test: what has happened.
///
/// ```text
/// given([Event::Triggered { respond_by: NOON }])
///     .when(Command::Respond { at: NOON + SECOND })
/// ```
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.evolve(&event);
    }
    Given { state }
}

/// The state that a short history leads to.
#[derive(Debug, Clone)]
pub struct Given<A> {
    /// The state.
    pub state: A,
}

impl<A: Aggregate> Given<A> {
    /// Decides a command on it.
    ///
    /// # Errors
    ///
    /// The aggregate's rejection.
    pub fn when(self, command: A::Command) -> Result<Vec<A::Event>, A::Rejection> {
        self.state.decide(&command)
    }
}
