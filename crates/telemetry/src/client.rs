//! The trace context on outgoing calls.

use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::context::{TRACEPARENT, traceparent_of_current};

/// Sends the current span along with every call, for a generated client's
/// `with_interceptor`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceInterceptor;

impl Interceptor for TraceInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Ok(value) = MetadataValue::try_from(traceparent_of_current())
            && !value.is_empty()
        {
            request.metadata_mut().insert(TRACEPARENT, value);
        }
        Ok(request)
    }
}
