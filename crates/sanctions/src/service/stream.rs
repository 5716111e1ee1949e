//! Checks on a stream: one answer per question, in order.

use std::sync::Arc;

use futures::future::join_all;
use futures::stream;
use futures::{Stream, StreamExt as _};
use tally_auth::Caller;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::{Fault, inbound};
use tonic::{Code, Status};

use super::{Answers, Sanctions};
use crate::question::{self, Question};

/// Questions of a stream that are answered together.
const CHUNK: usize = 512;

/// Chunks of a stream under way at once: some wait for a commit, others are
/// decoded and decided meanwhile.
const CHUNKS_UNDER_WAY: usize = 4;

/// A question's id as it was given, and the question or what is wrong with it.
type Decoded = (String, Result<Question, Fault>);

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
                async move { service.check_chunk(&caller, chunk).await }
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
        let decoding = chunk.into_iter().map(|message| async {
            let check = message.map_err(inbound::fault)?.check.unwrap_or_default();
            let decoded = question::decode(
                &self.deps,
                &self.lists,
                caller,
                &department,
                &policy,
                &check,
            )
            .await;
            Ok((check.check_id, decoded))
        });
        let decoded: Vec<Result<Decoded, Fault>> = join_all(decoding).await;
        let mut questions = Vec::with_capacity(decoded.len());
        let mut places = Vec::with_capacity(decoded.len());
        for message in decoded {
            places.push(match message {
                Ok((_, Ok(question))) => {
                    questions.push(question);
                    None
                }
                Ok((check_id, Err(fault))) => Some(refused(check_id, fault)),
                Err(fault) => Some(Err(fault.into())),
            });
        }
        let ids: Vec<String> = questions
            .iter()
            .map(|question| question.check_id.clone())
            .collect();
        let mut answers = ids.into_iter().zip(self.engine.answer(questions).await);
        let mut responses = Vec::with_capacity(places.len());
        for place in places {
            let response = match (place, &mut answers) {
                (Some(response), _) => response,
                (None, answers) => match answers.next() {
                    Some((check_id, Ok(answer))) => Ok(many(
                        check_id,
                        pb::check_many_response::Outcome::Answer(answer),
                    )),
                    Some((check_id, Err(fault))) => refused(check_id, fault),
                    None => Err(Fault::internal("a question was not answered").into()),
                },
            };
            let ends = response.is_err();
            responses.push(response);
            if ends {
                break;
            }
        }
        responses
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
