//! What the policy pack must say of a department before it may make a call.

use tally_proto::tally::options::v1 as pb;

/// What a department needs besides being of a kind that the rule admits. Each
/// service decides it where it has the item, list, entry or directive at hand;
/// the contract states which it is, so that it can be shown and tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Competence {
    /// Nothing.
    None,
    /// The pack has the department.
    Member,
    /// Only what is the department's own.
    Own,
    /// A reporter of the record type.
    Reporter,
    /// It pushed the record.
    RecordOwner,
    /// It pushed the record, or the record type is shared with it.
    RecordReader,
    /// An initiator of the list type.
    Initiator,
    /// It nominated the subject.
    EntryInitiator,
    /// It nominated the subject; or, while the subject is listed, the list type is
    /// shared with it, a memorandum has it answer the list, or it is of province level.
    EntryReader,
    /// It nominated the subject, or is of province level.
    Objection,
    /// An initiator of any list type, or of province level.
    Link,
    /// It stated the link, or is of province level.
    LinkOwner,
    /// The directive is addressed to it.
    Addressee,
    /// The directive is addressed to it, and it has the power for the measure.
    MeasurePower,
    /// It listed the subject of the directive.
    DirectiveInitiator,
    /// The directive is addressed to it, or it listed the subject.
    DirectiveParty,
    /// About itself, or a department of its own division or below.
    Division,
    /// A party of the directive, or of province level.
    FeedbackReader,
}

impl Competence {
    /// Every competence.
    pub const ALL: [Competence; 18] = [
        Competence::None,
        Competence::Member,
        Competence::Own,
        Competence::Reporter,
        Competence::RecordOwner,
        Competence::RecordReader,
        Competence::Initiator,
        Competence::EntryInitiator,
        Competence::EntryReader,
        Competence::Objection,
        Competence::Link,
        Competence::LinkOwner,
        Competence::Addressee,
        Competence::MeasurePower,
        Competence::DirectiveInitiator,
        Competence::DirectiveParty,
        Competence::Division,
        Competence::FeedbackReader,
    ];

    /// What it asks of a department, as the end of "a department that …".
    pub const fn in_words(self) -> &'static str {
        match self {
            Competence::None => "has a certificate",
            Competence::Member => "the policy pack has",
            Competence::Own => "asks about itself",
            Competence::Reporter => "the pack names among the reporters of the record type",
            Competence::RecordOwner => "pushed the record",
            Competence::RecordReader => {
                "pushed the record, or with which the record type is shared"
            }
            Competence::Initiator => "the pack names among the initiators of the list type",
            Competence::EntryInitiator => "nominated the subject",
            Competence::EntryReader => {
                "nominated the subject; while it is listed also one with which the list type is \
                 shared, that answers the list by a memorandum, or that is of province level"
            }
            Competence::Objection => "nominated the subject, or is of province level",
            Competence::Link => "is an initiator of any list type, or of province level",
            Competence::LinkOwner => "stated the link, or is of province level",
            Competence::Addressee => "the directive is addressed to",
            Competence::MeasurePower => {
                "the directive is addressed to and has the power for its measure"
            }
            Competence::DirectiveInitiator => "listed the subject of the directive",
            Competence::DirectiveParty => {
                "the directive is addressed to, or that listed the subject"
            }
            Competence::Division => "asks about itself, its own division or one below",
            Competence::FeedbackReader => {
                "the directive is addressed to, that listed the subject, or that is of province level"
            }
        }
    }

    pub(crate) fn of_contract(competence: pb::Competence) -> Option<Competence> {
        Some(match competence {
            pb::Competence::Unspecified => return None,
            pb::Competence::None => Competence::None,
            pb::Competence::Member => Competence::Member,
            pb::Competence::Own => Competence::Own,
            pb::Competence::Reporter => Competence::Reporter,
            pb::Competence::RecordOwner => Competence::RecordOwner,
            pb::Competence::RecordReader => Competence::RecordReader,
            pb::Competence::Initiator => Competence::Initiator,
            pb::Competence::EntryInitiator => Competence::EntryInitiator,
            pb::Competence::EntryReader => Competence::EntryReader,
            pb::Competence::Objection => Competence::Objection,
            pb::Competence::Link => Competence::Link,
            pb::Competence::LinkOwner => Competence::LinkOwner,
            pb::Competence::Addressee => Competence::Addressee,
            pb::Competence::MeasurePower => Competence::MeasurePower,
            pb::Competence::DirectiveInitiator => Competence::DirectiveInitiator,
            pb::Competence::DirectiveParty => Competence::DirectiveParty,
            pb::Competence::Division => Competence::Division,
            pb::Competence::FeedbackReader => Competence::FeedbackReader,
        })
    }
}
