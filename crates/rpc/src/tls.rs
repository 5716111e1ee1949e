//! Certificates and keys for both ends of a connection. Every connection is
//! mutual TLS; there is no plain form.

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

/// What a server shows, and whose clients it lets in.
#[derive(Clone)]
pub struct ServerTls {
    /// The server's certificate chain, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
    /// The authority that clients' certificates must come from, PEM.
    pub client_ca_pem: String,
}

/// What a client shows, and which servers it trusts.
#[derive(Clone)]
pub struct ClientTls {
    /// The authority that the server's certificate must come from, PEM.
    pub ca_pem: String,
    /// The client's certificate chain, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM.
    pub key_pem: String,
    /// Name that the server's certificate must have; the endpoint's host if absent.
    pub server_name: Option<String>,
}

impl ServerTls {
    pub(crate) fn config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(Identity::from_pem(&self.certificate_pem, &self.key_pem))
            .client_ca_root(Certificate::from_pem(&self.client_ca_pem))
            .client_auth_optional(false)
    }
}

impl ClientTls {
    pub(crate) fn config(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.ca_pem))
            .identity(Identity::from_pem(&self.certificate_pem, &self.key_pem));
        match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        }
    }
}

// Certificates name officers and keys are secret, so neither is ever printed.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
