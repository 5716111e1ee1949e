//! A check, decoded: who asks what, and what it was judged by.

use std::sync::Arc;

use tally_auth::Caller;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::legal::LegalBasisRef;
use tally_domain::subject::{Subject, SubjectType};
use tally_eventlog::append::CommandKey;
use tally_eventlog::event::EventContext;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::reply::keyring_fault;
use tally_service::subject::{self, SubjectInput};
use tally_service::{CommandScope, Deps, Policy, digest};

use crate::memoranda::knows_purpose;
use crate::token::{self, Token, Tokens};

const PURPOSE_CHARS_MAX: usize = 64;
const CASE_NUMBER_CHARS_MAX: usize = 128;

/// A question that can be answered.
#[derive(Debug, Clone)]
pub struct Question {
    /// The check's id, as text.
    pub check_id: String,
    /// Who asks.
    pub department: DepartmentId,
    /// Identity, with the digest of the content.
    pub key: CommandKey,
    /// Who asks, in which trace.
    pub context: Arc<EventContext>,
    /// Whom, as text.
    pub subject: String,
    /// What kind of subject.
    pub subject_type: SubjectType,
    /// For what.
    pub purpose: String,
    /// The caller's own case.
    pub case_number: String,
    /// Legal basis of asking.
    pub legal_basis: LegalBasisRef,
    /// The active policy.
    pub policy: Arc<Policy>,
    /// Today.
    pub today: LegalDate,
    /// Whether what the caller's token names has been seen.
    pub token: Token,
}

/// A question whose fields are right, before what it may have to wait for.
#[derive(Debug)]
pub struct Draft<'a> {
    fields: Fields<'a>,
    input: SubjectInput,
    at_least: Option<&'a pb::ConsistencyToken>,
}

#[derive(Debug)]
struct Fields<'a> {
    department: &'a DepartmentId,
    policy: &'a Arc<Policy>,
    scope: CommandScope,
    purpose: String,
    case_number: String,
    legal_basis: LegalBasisRef,
    today: LegalDate,
}

/// Reads a question and waits for what it needs.
///
/// # Errors
///
/// The faults of its fields, or that the key ring cannot be reached.
pub async fn decode(
    deps: &Deps,
    tokens: &Tokens,
    caller: &Caller,
    department: &DepartmentId,
    policy: &Arc<Policy>,
    request: &pb::CheckRequest,
) -> Result<Question, Fault> {
    match read(deps, caller, department, policy, request)?.settle() {
        Ok(question) => Ok(question),
        Err(draft) => draft.wait(deps, tokens).await,
    }
}

/// Reads a question. Everything that is wrong with it is said at once.
///
/// # Errors
///
/// The faults of its fields.
pub fn read<'a>(
    deps: &Deps,
    caller: &Caller,
    department: &'a DepartmentId,
    policy: &'a Arc<Policy>,
    request: &'a pb::CheckRequest,
) -> Result<Draft<'a>, Fault> {
    let today = policy.today(deps.clock.now());
    let mut faults = Faults::default();
    let scope = faults.keep(CommandScope::named(
        "check_id",
        caller,
        &request.check_id,
        &*deps.clock,
    ));
    let input = faults.keep(subject::parse("subject", &request.subject));
    let purpose = faults.text("purpose", &request.purpose, PURPOSE_CHARS_MAX);
    if purpose
        .as_ref()
        .is_some_and(|purpose| !knows_purpose(&policy.pack, purpose))
    {
        faults.add(
            "purpose",
            "PURPOSE_UNKNOWN",
            "no measure of the policy pack has this purpose; use one that it names",
        );
    }
    let case_number = faults.text("case_number", &request.case_number, CASE_NUMBER_CHARS_MAX);
    let legal_basis = faults.legal_basis("legal_basis", request.legal_basis.as_ref());
    if let Some(basis) = &legal_basis {
        let subject_type = input.as_ref().map_or(SubjectType::Organisation, type_of);
        let in_force = policy.pack.in_force(basis, today, department, subject_type);
        if let Err(fault) = in_force {
            faults.add("legal_basis", "LEGAL_BASIS_NOT_IN_FORCE", fault.to_string());
            if subject_type == SubjectType::NaturalPerson {
                faults.push(subject::natural_persons_off("subject"));
            }
        }
    }
    token::faults(&mut faults, deps, request.at_least.as_ref());
    let (Some(scope), Some(input), Some(purpose), Some(case_number), Some(legal_basis), true) = (
        scope,
        input,
        purpose,
        case_number,
        legal_basis,
        faults.is_empty(),
    ) else {
        return Err(Fault::invalid(faults.into_vec()));
    };
    let fields = Fields {
        department,
        policy,
        scope,
        purpose,
        case_number,
        legal_basis,
        today,
    };
    Ok(Draft {
        fields,
        input,
        at_least: request.at_least.as_ref(),
    })
}

impl Draft<'_> {
    /// The question, where there is nothing to wait for, as with most.
    ///
    /// # Errors
    ///
    /// The draft, which is to [`wait`](Self::wait).
    pub fn settle(self) -> Result<Question, Box<Self>> {
        match (self.at_least, self.input) {
            (None, SubjectInput::Organisation(identifier)) => Ok(self
                .fields
                .question(&Subject::Organisation(identifier), Token::Reached)),
            (at_least, input) => Err(Box::new(Self {
                fields: self.fields,
                input,
                at_least,
            })),
        }
    }

    /// Waits for the caller's token, and for the key ring's id of a person.
    ///
    /// # Errors
    ///
    /// The key ring cannot be reached.
    pub async fn wait(self, deps: &Deps, tokens: &Tokens) -> Result<Question, Fault> {
        let subject = subject::resolve(self.input, &deps.keyring)
            .await
            .map_err(keyring_fault)?;
        let token = match self.at_least {
            Some(token) => tokens.reached(deps, token).await,
            None => Token::Reached,
        };
        Ok(self.fields.question(&subject, token))
    }
}

impl Fields<'_> {
    fn question(self, subject: &Subject, token: Token) -> Question {
        // What the answer must have seen is no part of the question: asking again
        // with a later token is the same check.
        let content = pb::CheckRequest {
            check_id: self.scope.id.to_string(),
            subject: subject.to_string(),
            purpose: self.purpose,
            case_number: self.case_number,
            legal_basis: Some(tally_eventlog::pb::LegalBasisRef {
                id: self.legal_basis.id.clone(),
                version: self.legal_basis.version,
            }),
            at_least: None,
        };
        Question {
            department: self.department.clone(),
            key: self.scope.key(digest("sanctions.check", &content)),
            context: self.scope.context(self.policy.version()),
            subject_type: subject.subject_type(),
            check_id: content.check_id,
            subject: content.subject,
            purpose: content.purpose,
            case_number: content.case_number,
            legal_basis: self.legal_basis,
            policy: self.policy.clone(),
            today: self.today,
            token,
        }
    }
}

fn type_of(input: &SubjectInput) -> SubjectType {
    match input {
        SubjectInput::Organisation(_) => SubjectType::Organisation,
        SubjectInput::Person(_) | SubjectInput::PersonId(_) => SubjectType::NaturalPerson,
    }
}
