//! A bound on how long a caller waits for an answer, whatever it waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::Either;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Timeout;
use tonic::Status;
use tower::{Layer, Service};

use crate::Fault;
use crate::fault::reason;

/// When a caller that was not answered in time is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Answers a call with [`reason::NO_ANSWER_IN_TIME`] whose answer has not begun after
/// some time.
///
/// Each step of a call has a bound of its own, but a store that hangs may keep more
/// than one of them waiting. What the call was at is dropped, as if its caller had
/// gone; a stream that has begun stays open.
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    limit: Duration,
    unbounded: Arc<[&'static str]>,
    on_late: fn(),
}

impl TimeoutLayer {
    /// A layer that waits so long, but for calls whose path (`/package.Service/Method`)
    /// begins with one of `unbounded`: those that take long because they do much. Tells
    /// `on_late` of each call that it answers, in the call's span.
    pub fn new(limit: Duration, unbounded: &[&'static str], on_late: fn()) -> Self {
        Self {
            limit,
            unbounded: unbounded.into(),
            on_late,
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

impl<S, A, B> Service<Request<A>> for TimeoutService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<InTime<S::Future>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path();
        let mut unbounded = self.bounds.unbounded.iter();
        if unbounded.any(|begin| path.starts_with(begin)) {
            return Either::Right(self.inner.call(request));
        }
        Either::Left(InTime {
            answer: tokio::time::timeout(self.bounds.limit, self.inner.call(request)),
            on_late: self.bounds.on_late,
        })
    }
}

pin_project! {
    /// An answer, or the refusal that stands for a late one.
    pub struct InTime<F> {
        #[pin]
        answer: Timeout<F>,
        on_late: fn(),
    }
}

impl<F, B, E> Future for InTime<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.answer.poll(cx)) {
            Ok(answer) => answer,
            Err(_) => {
                (this.on_late)();
                Ok(Status::from(late()).into_http())
            }
        })
    }
}

fn late() -> Fault {
    Fault::unavailable(
        reason::NO_ANSWER_IN_TIME,
        "no answer in time; it may have been done: ask again, a command under the same id",
        RETRY_AFTER,
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::FaultReport;

    const LIMIT: Duration = Duration::from_millis(50);

    static LATE: AtomicU32 = AtomicU32::new(0);

    /// Answers `path` when `takes` is over.
    async fn call(path: &str, takes: impl Future<Output = ()>) -> Option<Status> {
        let mut takes = Some(takes);
        let inner = tower::service_fn(|_: Request<()>| {
            let takes = takes.take().expect("one call");
            takes.map(|()| Ok::<_, Infallible>(Response::new(())))
        });
        let on_late = || {
            LATE.fetch_add(1, Ordering::SeqCst);
        };
        let layer = TimeoutLayer::new(LIMIT, &["/long.Service/"], on_late);
        let request = Request::builder().uri(path).body(()).expect("a path");
        let answer = layer.layer(inner).oneshot(request).await;
        let answer = answer.unwrap_or_else(|never| match never {});
        Status::from_header_map(answer.headers())
    }

    #[tokio::test]
    async fn what_hangs_is_answered_with_a_hint() {
        let status = call("/short.Service/Call", std::future::pending()).await;
        let report = FaultReport::from(&status.expect("a refusal"));
        assert_eq!(report.reason, reason::NO_ANSWER_IN_TIME);
        assert_eq!(report.retry, Some(RETRY_AFTER));
        assert_eq!(LATE.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_in_time_and_what_may_take_long_is_left_alone() {
        let at_once = call("/short.Service/Call", std::future::ready(())).await;
        assert!(at_once.is_none(), "{at_once:?}");
        let long = call("/long.Service/Call", tokio::time::sleep(3 * LIMIT)).await;
        assert!(long.is_none(), "{long:?}");
    }
}
