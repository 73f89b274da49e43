//! To which hosts and paths a browser sends a cookie.

use crate::error::ConfigError;

/// The attributes by which browsers tell cookies of one name apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CookieScope {
    /// Nothing: the host that sets the cookie, without its subdomains.
    pub(crate) domain: Option<String>,
    pub(crate) path: String,
}

impl Default for CookieScope {
    fn default() -> Self {
        Self {
            domain: None,
            path: "/".to_owned(),
        }
    }
}

impl CookieScope {
    /// Whether domain and path follow their grammar, so that neither can inject an attribute or a header.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let Self { domain, path } = self;
        if !path.starts_with('/') || !path.bytes().all(is_attribute_byte) {
            return Err(ConfigError::new(format!(
                "cookie path {path:?} is not usable: start it with \"/\" and leave out \";\", \
                 control characters and anything beyond ASCII"
            )));
        }
        if let Some(domain) = domain
            && !is_domain(domain)
        {
            return Err(ConfigError::new(format!(
                "cookie domain {domain:?} is not a host name: write it like \"example.com\", without a \
                 leading dot, a scheme or a port (an international name in its xn-- form), or leave it out \
                 to get a cookie for this host only"
            )));
        }
        Ok(())
    }

    /// Whether browsers keep one cookie for both. They compare domains without regard to case, and paths with it.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let domain = |scope: &Self| scope.domain.as_deref().map(str::to_ascii_lowercase);
        domain(self) == domain(other) && self.path == other.path
    }
}

/// RFC 6265's `av-octet`: printable ASCII without the semicolon.
fn is_attribute_byte(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte) && byte != b';'
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.split('.').all(is_label)
}
