//! Checks on a stream: one answer per question, in order.

use std::sync::Arc;

use futures::future::join_all;
use futures::stream;
use futures::{Stream, StreamExt as _};
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::{Fault, inbound};
use tally_service::Policy;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{Answers, Sanctions};
use crate::question::{self, Draft, Question};

/// Questions of a stream that are answered together.
const CHUNK: usize = 512;

/// Chunks of a stream under way at once: some wait for a commit, others are
/// decoded and decided meanwhile.
const CHUNKS_UNDER_WAY: usize = 4;

impl Sanctions {
    /// Answers a stream of questions, in order.
    pub(super) fn do_check_many<S>(&self, caller: Caller, requests: S) -> Result<Answers, Fault>
    where
        S: Stream<Item = Result<pb::CheckManyRequest, Status>> + Send + 'static,
    {
        self.member(&caller, "sanctions.check")?;
        let service = self.clone();
        let caller = Arc::new(caller);
        let answers = requests
            .ready_chunks(CHUNK)
            .map(move |chunk| {
                let (service, caller) = (service.clone(), caller.clone());
                // A task of its own: it may hold what others wait for, and would
                // keep it while its caller reads nothing.
                let work = async move { service.check_chunk(&caller, chunk).await };
                let work = tokio::spawn(work.in_current_span());
                async move {
                    let broken = |error| vec![Err(Fault::internal(error).into())];
                    work.await.unwrap_or_else(broken)
                }
            })
            .buffered(CHUNKS_UNDER_WAY)
            .flat_map(stream::iter);
        Ok(answers.boxed())
    }

    /// Answers a chunk of a stream, in order: faulty questions are refused in
    /// place; what is no fault of a question ends the stream.
    async fn check_chunk(
        &self,
        caller: &Caller,
        chunk: Vec<Result<pb::CheckManyRequest, Status>>,
    ) -> Vec<Result<pb::CheckManyResponse, Status>> {
        let (department, policy) = match self.member(caller, "sanctions.check") {
            Ok(member) => member,
            Err(fault) => return vec![Err(fault.into())],
        };
        let mut checks = Vec::with_capacity(chunk.len());
        let mut end = None;
        for message in chunk {
            match message {
                Ok(message) => checks.push(message.check.unwrap_or_default()),
                Err(status) => {
                    end = Some(Err(inbound::fault(status).into()));
                    break;
                }
            }
        }
        let mut questions = Vec::with_capacity(checks.len());
        let mut places = Vec::with_capacity(checks.len());
        let decoded = self
            .decode_chunk(caller, &department, &policy, &checks)
            .await;
        for (check, decoded) in checks.into_iter().zip(decoded) {
            places.push(match decoded {
                Ok(question) => {
                    questions.push(question);
                    Ok(check.check_id)
                }
                Err(fault) => Err(refused(check.check_id, fault)),
            });
        }
        let mut answers = self.engine.answer(questions).await.into_iter();
        let mut responses = Vec::with_capacity(places.len() + 1);
        for place in places {
            let response = match place {
                Err(response) => response,
                Ok(check_id) => match answers.next() {
                    Some(Ok(answer)) => Ok(many(
                        check_id,
                        pb::check_many_response::Outcome::Answer(answer),
                    )),
                    Some(Err(fault)) => refused(check_id, fault),
                    None => Err(Fault::internal("a question was not answered").into()),
                },
            };
            let ends = response.is_err();
            responses.push(response);
            if ends {
                return responses;
            }
        }
        responses.extend(end);
        responses
    }

    /// Reads questions, in order. Only those that have to wait for something
    /// wait, all of them together.
    async fn decode_chunk(
        &self,
        caller: &Caller,
        department: &DepartmentId,
        policy: &Arc<Policy>,
        checks: &[pb::CheckRequest],
    ) -> Vec<Result<Question, Fault>> {
        let mut decoded = Vec::with_capacity(checks.len());
        let mut waiting = Vec::new();
        for check in checks {
            let draft = question::read(&self.deps, caller, department, policy, check);
            decoded.push(match draft.map(Draft::settle) {
                Ok(Ok(question)) => Some(Ok(question)),
                Ok(Err(draft)) => {
                    waiting.push(draft.wait(&self.deps, &self.tokens));
                    None
                }
                Err(fault) => Some(Err(fault)),
            });
        }
        let mut waited = join_all(waiting).await.into_iter();
        let decoded = decoded
            .into_iter()
            .map(|decoded| decoded.or_else(|| waited.next()));
        decoded.flatten().collect()
    }
}

fn many(check_id: String, outcome: pb::check_many_response::Outcome) -> pb::CheckManyResponse {
    pb::CheckManyResponse {
        check_id,
        outcome: Some(outcome),
    }
}

/// A refusal in place where the question is at fault, and the stream's end
/// where it is not.
fn refused(check_id: String, fault: Fault) -> Result<pb::CheckManyResponse, Status> {
    let of_question = matches!(
        fault.code(),
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::PermissionDenied
    );
    if !of_question {
        return Err(fault.into());
    }
    let mut faults: Vec<pb::CheckFault> = fault
        .violations()
        .iter()
        .map(|violation| pb::CheckFault {
            field: violation.field.clone(),
            reason: violation.reason.to_owned(),
            message: violation.message.clone(),
        })
        .collect();
    if faults.is_empty() {
        faults.push(pb::CheckFault {
            field: String::new(),
            reason: fault.reason().to_owned(),
            message: fault.message().to_owned(),
        });
    }
    Ok(many(
        check_id,
        pb::check_many_response::Outcome::Refused(pb::CheckRefusal { faults }),
    ))
}
