//! TLS by rustls on ring, with the system's root certificates.

use std::net::IpAddr;
use std::sync::Arc;

use fred::rustls::crypto::ring;
use fred::rustls::{ClientConfig, RootCertStore};
use fred::rustls_native_certs::load_native_certs;
use fred::types::config::{TlsConfig, TlsHostMapping};

use crate::error::SetupError;

/// What `rediss://` stands for. The provider is named, because rustls panics if it has to choose one of several that
/// the application's other dependencies have brought along.
pub(crate) fn config() -> Result<TlsConfig, SetupError> {
    let found = load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let error = SetupError::config("this system has no root certificates that TLS could trust");
        return Err(match found.errors.into_iter().next() {
            Some(source) => error.with_source(source),
            None => error,
        });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            SetupError::config("rustls has none of its protocol versions").with_source(error)
        })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config.into())
}

/// The name that the certificate of a node has to have, if it isn't the host by which the cluster knows the node.
/// Clusters often know their nodes by addresses that no certificate has; a client that was handed in may say what to
/// do then.
pub(crate) fn name_of(tls: &TlsConfig, host: &str, seed_host: &str) -> Option<String> {
    let address: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    match &tls.hostnames {
        TlsHostMapping::None => None,
        TlsHostMapping::DefaultHost => Some(seed_host.to_owned()),
        TlsHostMapping::Custom(mapping) => mapping.map(&address, seed_host),
    }
}
