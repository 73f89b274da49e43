//! TLS by rustls on ring, with the system's root certificates or the application's.

use std::sync::{Arc, OnceLock};

use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::error::{BoxError, SetupError};

/// What encrypted connections are made with. Nothing is looked for as long as there is none.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    roots: Option<RootCertStore>,
    client: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    server_name: Option<ServerName<'static>>,
    config: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    pub(crate) fn trust(&mut self, pem: &[u8]) -> Result<(), SetupError> {
        let unreadable = "the root certificates are no certificates in PEM";
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(SetupError::config_because(unreadable))?;
            let added = roots.add(certificate);
            added.map_err(SetupError::config_because(unreadable))?;
        }
        if roots.is_empty() {
            return Err(SetupError::config(unreadable));
        }
        self.roots = Some(roots);
        Ok(())
    }

    pub(crate) fn identify(&mut self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), SetupError> {
        let unreadable = "the client's certificates or its private key can't be read as PEM";
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem).collect();
        let chain = chain.map_err(SetupError::config_because(unreadable))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(SetupError::config_because(unreadable))?;
        self.client = Some(Arc::new((chain, key)));
        Ok(())
    }

    pub(crate) fn expect_name(&mut self, name: String) -> Result<(), SetupError> {
        let none = "the name of the servers' certificates is none";
        let name = ServerName::try_from(name).map_err(SetupError::config_because(none))?;
        self.server_name = Some(name);
        Ok(())
    }

    pub(crate) async fn encrypt(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, BoxError> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())?,
        };
        let connector = TlsConnector::from(self.config()?);
        Ok(connector.connect(name, stream).await?)
    }

    /// Whether there is something to encrypt with.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        self.config().map(drop)
    }

    /// The provider is named, because rustls panics if it has to choose one of several that the application's other
    /// dependencies have brought along.
    fn config(&self) -> Result<Arc<ClientConfig>, SetupError> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => roots_of_the_system()?,
        };
        let unusable = "rustls can't use the certificates";
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(SetupError::config_because(unusable))?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(client.0.clone(), client.1.clone_key())
                .map_err(SetupError::config_because(unusable))?,
        };
        Ok(self.config.get_or_init(|| Arc::new(config)).clone())
    }
}

fn roots_of_the_system() -> Result<RootCertStore, SetupError> {
    let found = load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if !roots.is_empty() {
        return Ok(roots);
    }
    let none = "this system has no root certificates that TLS could trust";
    Err(match found.errors.into_iter().next() {
        Some(source) => SetupError::config_because(none)(source),
        None => SetupError::config(none),
    })
}
