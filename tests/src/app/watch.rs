//! Server-sent events about a session, for as long as somebody listens.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use session_core::{Refreshed, Session};
use tokio::time::Instant;

use super::SessionError;

/// How often the session is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

type Look = Pin<Box<dyn Future<Output = Option<Refreshed>> + Send>>;

/// The events of a stream, for the binding to send one after the other: `alive` at once and each second, `changed` when
/// another request has changed the session, and `ended` at its end, which is the last.
pub struct Watch {
    /// What has become of the session; nothing if the store failed.
    look: Box<dyn Fn() -> Look + Send + Sync>,
    until: Instant,
    waiting: VecDeque<&'static str>,
    is_over: bool,
}

impl Watch {
    pub(super) fn new<E: SessionError>(session: Session<E>, time: Duration) -> Self {
        let look = move || -> Look {
            let session = session.clone();
            Box::pin(async move { session.refresh().await.ok() })
        };
        Self {
            look: Box::new(look),
            until: Instant::now() + time,
            waiting: VecDeque::from(["alive"]),
            is_over: false,
        }
    }

    /// The next event as it is sent; `None` when it is time to close the connection.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(format!("event: {event}\ndata: {{}}\n\n"));
            }
            let next = Instant::now() + INTERVAL;
            if self.is_over || next > self.until {
                return None;
            }
            tokio::time::sleep_until(next).await;
            self.is_over = match (self.look)().await {
                Some(Refreshed::Ended) => {
                    self.waiting.push_back("ended");
                    true
                }
                Some(Refreshed::Changed) => {
                    self.waiting.extend(["changed", "alive"]);
                    false
                }
                Some(_) => {
                    self.waiting.push_back("alive");
                    false
                }
                // Nobody knows whether it lives; the next look may.
                None => false,
            };
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
