//! Without TLS nobody connects in the clear where it was asked for.

use tokio::net::TcpStream;

use crate::error::{BoxError, SetupError};

#[derive(Clone, Default)]
pub(crate) struct Tls {}

impl Tls {
    #[expect(
        clippy::unused_async,
        reason = "where there is TLS, this has to be waited for"
    )]
    pub(crate) async fn encrypt(&self, _: &str, stream: TcpStream) -> Result<TcpStream, BoxError> {
        self.check()?;
        Ok(stream)
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        Err(SetupError::config(
            "TLS needs the Cargo feature `tls` of session-store-redis",
        ))
    }
}
