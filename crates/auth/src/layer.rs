//! The gate in front of every service.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::{BoxFuture, Either, Ready};
use http::{Extensions, Request, Response};
use lru::LruCache;
use tally_rpc::Fault;
use tally_rpc::fault::reason;
use tonic::Status;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::caller::{Caller, CallerKind};
use crate::directory::OfficerDirectory;
use crate::identity::{Identity, IdentityFault};
use crate::rules::{Rule, Rules};

/// Certificates whose holder is remembered. About 2 KiB each.
const CERTIFICATES_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// When to ask again if the directory of officers does not answer.
const DIRECTORY_RETRY: Duration = Duration::from_secs(1);

/// Admits a call if the caller's certificate names exactly one holder and the
/// call's rule admits that kind; everything else is denied before the service
/// sees it. The service finds the caller by [`Caller::of`].
///
/// Denials are `PERMISSION_DENIED` with [`reason::RIGHT_MISSING`] and the right,
/// or `UNAUTHENTICATED` with [`reason::CERTIFICATE_UNKNOWN`].
#[derive(Clone)]
pub struct AuthLayer {
    gate: Arc<Gate>,
}

struct Gate {
    rules: Arc<Rules>,
    directory: Arc<dyn OfficerDirectory>,
    wall_clock: fn() -> SystemTime,
    // By the certificate's bytes: reading one costs more than a unary call should.
    known: Mutex<LruCache<Box<[u8]>, Holder>>,
}

/// A certificate's holder.
#[derive(Clone)]
struct Holder {
    caller: Arc<Caller>,
    not_after: SystemTime,
}

/// A certificate that was read.
struct Certificate {
    der: Box<[u8]>,
    identity: Identity,
    not_after: SystemTime,
}

enum Admission {
    Known(Arc<Caller>),
    // The holder is admitted; an officer's id has to be looked up first.
    Resolve(Box<Certificate>),
}

impl AuthLayer {
    /// A gate by `rules`. Officers' ids come from `directory`.
    ///
    /// `wall_clock` is the real time by which certificates end, as in the TLS
    /// handshake: `SystemTime::now`, never a store's movable clock.
    pub fn new(
        rules: Arc<Rules>,
        directory: Arc<dyn OfficerDirectory>,
        wall_clock: fn() -> SystemTime,
    ) -> AuthLayer {
        AuthLayer {
            gate: Arc::new(Gate {
                rules,
                directory,
                wall_clock,
                known: Mutex::new(LruCache::new(CERTIFICATES_MAX)),
            }),
        }
    }

    /// Forgets every certificate's holder. To be called when an officer was
    /// deleted from the directory; the next call asks it again.
    pub fn forget(&self) {
        self.gate.known().clear();
    }
}

impl Gate {
    fn admit(&self, path: &str, extensions: &Extensions) -> Result<Admission, Fault> {
        let chain = extensions
            .get::<TlsConnectInfo<TcpConnectInfo>>()
            .and_then(TlsConnectInfo::peer_certs)
            .ok_or_else(|| unknown("the connection has no certificate"))?;
        let der = chain
            .first()
            .ok_or_else(|| unknown("the connection has no certificate"))?;
        let known = self.known().get(der.as_ref()).cloned();
        if let Some(holder) = known {
            self.in_time(holder.not_after)?;
            self.right(path, holder.caller.kind)?;
            return Ok(Admission::Known(holder.caller));
        }
        let certificate = read(der).map_err(|fault| unknown(&fault.to_string()))?;
        self.in_time(certificate.not_after)?;
        self.right(path, certificate.identity.kind())?;
        Ok(Admission::Resolve(Box::new(certificate)))
    }

    fn right(&self, path: &str, kind: CallerKind) -> Result<&Rule, Fault> {
        let Some(rule) = self.rules.get(path) else {
            return Err(Fault::permission(
                "none",
                "no rule allows this call to anyone",
            ));
        };
        if rule.admits(kind) {
            return Ok(rule);
        }
        let message = format!("the right {} is not the {}'s", rule.right, kind.as_str());
        Err(Fault::permission(&rule.right, message))
    }

    // The handshake checked the term once; a connection may outlive it.
    fn in_time(&self, not_after: SystemTime) -> Result<(), Fault> {
        if (self.wall_clock)() > not_after {
            return Err(unknown("the certificate has expired"));
        }
        Ok(())
    }

    async fn resolve(&self, certificate: Certificate) -> Result<Arc<Caller>, Fault> {
        let caller = Arc::new(self.caller(certificate.identity).await?);
        let holder = Holder {
            caller: Arc::clone(&caller),
            not_after: certificate.not_after,
        };
        self.known().put(certificate.der, holder);
        Ok(caller)
    }

    async fn caller(&self, identity: Identity) -> Result<Caller, Fault> {
        let (department, number) = match identity {
            Identity::Department(department) => return Ok(Caller::system(department)),
            Identity::Operator(_) => return Ok(Caller::operator()),
            Identity::Mesh(_) => return Ok(Caller::mesh()),
            Identity::Officer { department, number } => (department, number),
        };
        match self
            .directory
            .officer_id(&department, number.expose())
            .await
        {
            Ok(officer) => Ok(Caller::of_officer(department, officer)),
            Err(error) => {
                tracing::error!(%department, error = %error, "officer not looked up");
                Err(Fault::unavailable(
                    "OFFICER_DIRECTORY_UNAVAILABLE",
                    "the directory of officers does not answer; nothing was done",
                    DIRECTORY_RETRY,
                ))
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, LruCache<Box<[u8]>, Holder>> {
        // Nothing panics between lock and unlock that could leave it half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(der: &[u8]) -> Result<Certificate, IdentityFault> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|_| IdentityFault::Unreadable)?;
    let ends = u64::try_from(parsed.validity().not_after.timestamp())
        .map_err(|_| IdentityFault::Unreadable)?;
    Ok(Certificate {
        der: der.into(),
        identity: Identity::of_parsed(&parsed)?,
        not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(ends),
    })
}

fn unknown(message: &str) -> Fault {
    Fault::unauthenticated(reason::CERTIFICATE_UNKNOWN, message)
}

fn denied<B: Default>(fault: Fault) -> Response<B> {
    // Messages of denials name rights and kinds of caller, nobody in particular.
    tracing::warn!(
        reason = fault.reason(),
        detail = fault.message(),
        "call denied"
    );
    Status::from(fault).into_http()
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService {
            gate: Arc::clone(&self.gate),
            inner,
        }
    }
}

/// A service behind [`AuthLayer`].
#[derive(Clone)]
pub struct AuthService<S> {
    gate: Arc<Gate>,
    inner: S,
}

type Answer<S, B> = Result<Response<B>, <S as Service<Request<tonic::body::Body>>>::Error>;

impl<S, B> Service<Request<tonic::body::Body>> for AuthService<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Default + Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<S::Future, Either<BoxFuture<'static, Answer<S, B>>, Ready<Answer<S, B>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        let admission = self.gate.admit(request.uri().path(), request.extensions());
        let certificate = match admission {
            Ok(Admission::Known(caller)) => {
                request.extensions_mut().insert(caller);
                return Either::Left(self.inner.call(request));
            }
            Ok(Admission::Resolve(certificate)) => certificate,
            Err(fault) => {
                return Either::Right(Either::Right(futures::future::ready(Ok(denied(fault)))));
            }
        };
        // The instance that was polled ready is the one to call.
        let unpolled = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, unpolled);
        let gate = Arc::clone(&self.gate);
        let answer = async move {
            match gate.resolve(*certificate).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    inner.call(request).await
                }
                Err(fault) => Ok(Status::from(fault).into_http()),
            }
        };
        Either::Right(Either::Left(answer.boxed()))
    }
}
