//! A bound on how long a caller waits for an answer, whatever it waits for.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Either, Map};
use http::{Request, Response};
use tokio::time::Timeout;
use tokio::time::error::Elapsed;
use tonic::Status;
use tower::{Layer, Service};

use crate::Fault;

/// When a caller that was not answered in time is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Answers a call with [`crate::fault::reason::OUTCOME_UNKNOWN`] whose answer has not
/// begun after some time.
///
/// Each step of a call has a bound of its own, but a store that hangs may keep more
/// than one of them waiting. What the call was at is dropped, as if its caller had
/// gone; a stream that has begun stays open.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
    unbounded: Arc<[&'static str]>,
}

impl TimeoutLayer {
    /// A layer that waits so long, but for calls whose path (`/package.Service/Method`)
    /// begins with one of `unbounded`: those that take long because they do much.
    pub fn new(limit: Duration, unbounded: &[&'static str]) -> Self {
        Self {
            limit,
            unbounded: unbounded.into(),
        }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> TimeoutService<S> {
        TimeoutService {
            bounds: self.clone(),
            inner,
        }
    }
}

/// A service behind [`TimeoutLayer`].
#[derive(Clone, Debug)]
pub struct TimeoutService<S> {
    bounds: TimeoutLayer,
    inner: S,
}

type Answer<B, E> = Result<Response<B>, E>;

type Late<B, E> = fn(Result<Answer<B, E>, Elapsed>) -> Answer<B, E>;

impl<S, A, B> Service<Request<A>> for TimeoutService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<Map<Timeout<S::Future>, Late<B, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path();
        let mut unbounded = self.bounds.unbounded.iter();
        if unbounded.any(|begin| path.starts_with(begin)) {
            return Either::Right(self.inner.call(request));
        }
        let late: Late<B, S::Error> = |answer| answer.unwrap_or_else(|_| Ok(late()));
        let answer = tokio::time::timeout(self.bounds.limit, self.inner.call(request));
        Either::Left(answer.map(late))
    }
}

fn late<B: Default>() -> Response<B> {
    tracing::warn!("call not answered in time");
    Status::from(Fault::unknown_outcome("no answer in time", RETRY_AFTER)).into_http()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::ServiceExt as _;

    use super::*;
    use crate::FaultReport;
    use crate::fault::reason;

    const LIMIT: Duration = Duration::from_millis(50);

    /// Answers `path` when `takes` is over.
    async fn call(path: &str, takes: impl Future<Output = ()>) -> Option<Status> {
        let mut takes = Some(takes);
        let inner = tower::service_fn(|_: Request<()>| {
            let takes = takes.take().expect("one call");
            takes.map(|()| Ok::<_, Infallible>(Response::new(())))
        });
        let layer = TimeoutLayer::new(LIMIT, &["/long.Service/"]);
        let request = Request::builder().uri(path).body(()).expect("a path");
        let answer = layer.layer(inner).oneshot(request).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        Status::from_header_map(answer.headers())
    }

    #[tokio::test]
    async fn what_hangs_is_answered_with_a_hint() {
        let status = call("/short.Service/Call", std::future::pending()).await;
        let report = FaultReport::from(&status.expect("a refusal"));
        assert_eq!(report.reason, reason::OUTCOME_UNKNOWN);
        assert_eq!(report.retry, Some(RETRY_AFTER));
    }

    #[tokio::test]
    async fn what_is_in_time_and_what_may_take_long_is_left_alone() {
        let at_once = call("/short.Service/Call", std::future::ready(())).await;
        assert!(at_once.is_none(), "{at_once:?}");
        let long = call("/long.Service/Call", tokio::time::sleep(3 * LIMIT)).await;
        assert!(long.is_none(), "{long:?}");
    }
}
