//! What tonic itself says about a message it could not take in, made clear.
//!
//! tonic answers an oversized message with `OUT_OF_RANGE` and a broken one with
//! `INTERNAL`, both without a reason. The caller is at fault, so it is told so.

use std::time::Duration;

use http::Response;
use tonic::{Code, Status};

use crate::fault::{Fault, reason};
use crate::server::MESSAGE_BYTES_MAX;

/// When a caller whose stream broke is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// How every message of prost's `DecodeError` starts.
const DECODE_FAILED: &str = "failed to decode Protobuf message";

/// The fault of a status met while reading a request stream; for handlers of
/// client streams: `stream.message().await.map_err(inbound::fault)?`.
pub fn fault(status: Status) -> Fault {
    known(&status).unwrap_or_else(|| {
        let message = format!("the request stream broke: {}", status.message());
        let (code, reason) = (status.code(), reason::UNEXPLAINED);
        match code {
            Code::Unavailable => Fault::unavailable(reason, message, RETRY_AFTER),
            Code::ResourceExhausted => Fault::resource_exhausted(reason, message, RETRY_AFTER),
            _ => Fault::new(code, reason, message),
        }
    })
}

/// Replaces an answer that tonic made of a bad message; leaves all others.
pub(crate) fn clear<B: Default>(response: Response<B>) -> Response<B> {
    let explained = response.extensions().get::<Status>().and_then(known);
    match explained {
        Some(fault) => Status::from(fault).into_http(),
        None => response,
    }
}

fn known(status: &Status) -> Option<Fault> {
    // A fault of a service carries details; what tonic says does not.
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Code::OutOfRange => Some(Fault::message_too_large(MESSAGE_BYTES_MAX)),
        Code::Internal if status.message().starts_with(DECODE_FAILED) => {
            Some(Fault::malformed(status.message()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultReport;

    #[test]
    fn a_broken_stream_keeps_its_code() {
        let too_large = fault(Status::out_of_range("decoded message length too large"));
        assert_eq!(too_large.reason(), reason::MESSAGE_TOO_LARGE);
        let gone = fault(Status::cancelled("h2 protocol error"));
        assert_eq!(
            (gone.code(), gone.reason()),
            (Code::Cancelled, reason::UNEXPLAINED)
        );
    }

    #[test]
    fn what_may_pass_says_when_to_try_again() {
        for status in [
            Status::unavailable("broken pipe"),
            Status::resource_exhausted("enhance your calm"),
        ] {
            let code = status.code();
            let told = FaultReport::from(&Status::from(fault(status)));
            assert_eq!((told.code, told.retry), (code, Some(RETRY_AFTER)));
        }
    }

    #[test]
    fn what_a_service_answers_is_left_alone() {
        let own = Status::from(Fault::internal("a bug"));
        let response = clear(own.into_http::<tonic::body::Body>());
        let kept = response.extensions().get::<Status>().expect("a status");
        assert_eq!(kept.code(), Code::Internal);
        let fine = clear(Response::new(tonic::body::Body::empty()));
        assert!(fine.headers().is_empty());
    }
}
