//! CSRF tokens that are bound to the session.

use std::fmt;

use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::protocol::Found;
use crate::protocol::csrf::{self, CsrfEntry, CsrfSeed};
use crate::random::RandomError;
use crate::request::RequestState;
use crate::transport::{Pad, Unmasked};

/// A token that proves that a request was made by a page of this site: [`Session::csrf_token`] makes it, and
/// [`Session::check_csrf`] or the adapter's middleware asks for it.
///
/// `Display` is the text for a form field or a header: 86 characters of `A` to `Z`, `a` to `z`, `0` to `9`, `-` and `_`.
/// `Debug` doesn't show it.
#[derive(Clone)]
pub struct CsrfToken(String);

impl CsrfToken {
    /// The text for a form field or a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CsrfToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfToken(..)")
    }
}

impl<E: From<Error>> Session<E> {
    /// A CSRF token for this session, to be put into the forms and scripts of the response. Each call gives another text;
    /// all of them are good, until the next [`login`](Self::login) or the end of the session. After a mere
    /// [`regenerate`](Self::regenerate) the ones from before are good for as long as requests count as late: the
    /// [`grace`](crate::SessionConfigBuilder::grace) time and the clock tolerance.
    ///
    /// The first token of a visitor without a session begins one. Call this after `login` and `regenerate` where a
    /// handler does both. A late request, and one that came with several sessions, gets a token that is good for another
    /// such request, so that its visitor can log in or out.
    ///
    /// A login form that is sent twice is one login, but its second sending may be refused here: the first one has made its
    /// token void. So is the ninth of first tokens that requests of one session ask for at the same moment, and that of a
    /// login which met another login of the same session. Loading the page again helps.
    ///
    /// # Errors
    /// [`ErrorKind::Random`] if the random generator fails.
    pub fn csrf_token(&self) -> Result<CsrfToken, E> {
        let mut pad: Pad = [0; _];
        self.fill_random(&mut pad)?;
        let seed = self.csrf_seed()?;
        let keys = self.shared.manager().config().csrf_keys();
        Ok(CsrfToken(keys.token(&seed.bytes, seed.generation, &pad)))
    }

    /// Checks a CSRF token that came with this request, in a header or a form field, before anything is done for it. The
    /// adapters' middleware does this and more: it looks at where the request came from, too.
    ///
    /// A late request, whose session has moved to another id by a mere rotation, is checked against what the session has
    /// become; that is the only case in which the store is asked.
    ///
    /// # Errors
    /// [`ErrorKind::Csrf`] if the token isn't good for this session, and
    /// [`ErrorKind::StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if the store was asked and failed.
    pub async fn check_csrf(&self, token: &str) -> Result<(), E> {
        let entry = self.stored_csrf_entry().await?;
        let policy = self.shared.manager().config().policy();
        let keys = self.shared.manager().config().csrf_keys();
        let is_good = Unmasked::of(token.as_bytes()).is_some_and(|token| {
            let stored = entry.good_seeds(self.shared.now(), policy.window);
            let unstored = csrf::seed_without_session(&self.shared.state().found);
            let mut seeds = stored.into_iter().chain(unstored);
            seeds.any(|seed| keys.is_of(&token, &seed.bytes, seed.generation))
        });
        match is_good {
            true => Ok(()),
            false => {
                let reference = self.shared.state().found.reference();
                self.shared.events().csrf_refused(reference);
                Err(Error::csrf("the CSRF token isn't good for this session").into())
            }
        }
    }

    /// What tokens of this session are made of once the request is committed.
    fn csrf_seed(&self) -> Result<CsrfSeed, E> {
        let first = |state: &RequestState| -> Result<Option<CsrfSeed>, Error> {
            if let Some(seed) = state.csrf_seed_without_session() {
                return Ok(Some(seed));
            }
            let entry = CsrfEntry::of(&state.reserved()?);
            let seed = entry.seeds.first();
            Ok(seed.map(|seed| seed.renewed(state.renewal())))
        };
        if let Some(seed) = first(&self.shared.state())? {
            return Ok(seed);
        }
        let mut bytes = [0; csrf::SEED_LEN];
        self.fill_random(&mut bytes)?;
        let mut state = self.shared.state();
        // Another task of this request may have been quicker; one seed more does no harm.
        let recorded = state.record_reserved(csrf::add_seed(bytes));
        let seed = first(&state);
        drop(state);
        recorded.settle(self.shared.events());
        // There is none only where the request has been cancelled.
        let cancelled = CsrfSeed {
            bytes,
            generation: 0,
        };
        Ok(seed?.unwrap_or(cancelled))
    }

    /// What the record says that the request came with.
    async fn stored_csrf_entry(&self) -> Result<CsrfEntry, E> {
        let found = self.shared.state().found.clone();
        Ok(match found {
            Found::Live(live) => CsrfEntry::of_stored(&live),
            Found::Gone(gone) if gone.is_straggler => {
                let environment = self.shared.manager().environment();
                let entry = csrf::entry_after_rotations(environment, &gone).await?;
                entry.unwrap_or_default()
            }
            Found::Gone(_) | Found::Nothing | Found::SeveralLive(_) => CsrfEntry::default(),
        })
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let failed = |error: RandomError| {
            let message = "the random generator failed, which a CSRF token needs";
            Error::with_source(ErrorKind::Random, message, error)
        };
        let random = &self.shared.manager().environment().random;
        random.fill(bytes).map_err(failed)
    }
}
