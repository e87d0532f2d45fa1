//! What end users granted to the gateway: a refresh token each, kept in the store, and the
//! access tokens that are had by them, in memory only.
//!
//! Each user has a [`TokenSource`], the same small machine as for the client's own token.
//! There are many users, so the sources are bounded: the one that nobody has used for
//! longest is forgotten, never one that is being renewed or waited for. What a forgotten
//! one knew is had again from the store.

mod endpoint;
mod gate;
mod keep_alive;
mod kept;
mod left;
mod renewal;
mod users;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use endpoint::PostForm;
use endpoint::{Endpoint, Granted};
use gate::Gate;
use kept::Times;
use left::{Left, Place};
use renewal::{Failure, Renewal, When};
use users::{End, LastWhy, Source, Users, Why};

use super::rotating::Rotating;
use super::token::{Event, Fetch, Refusal, Token, TokenSource};
use super::vault::of_store;
use super::{Client, SecretFiles, configured};
use crate::clock::Clock;
use crate::error::{Error, Kind, Outcome, Violation};
use crate::partner::{Partner, Status};
use crate::store::{Origin, Record, Store};

/// A grant as a caller brings it.
#[derive(Clone, Debug)]
pub enum Grant {
    /// What the partner's login sent to the redirect URI, not used yet.
    AuthorizationCode {
        /// The code.
        code: SecretString,
        /// The redirect URI of the request that it answers.
        redirect_uri: String,
        /// The PKCE verifier (RFC 7636), if that request had a challenge.
        code_verifier: Option<SecretString>,
    },
    /// A refresh token, from now on the gateway's alone.
    RefreshToken(SecretString),
}

/// The grants of one partner's users. Clones share them.
#[derive(Clone)]
pub(super) struct Grants(Arc<Inner>);

struct Inner {
    renewal: Arc<Renewal>,
    tasks: TaskTracker,
    users: Mutex<Users>,
}

/// What grants work with.
pub(super) struct Means {
    pub(super) partner: Arc<dyn Partner>,
    pub(super) client: Rotating<Client>,
    pub(super) post: PostForm,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) tasks: TaskTracker,
    pub(super) status: Arc<Status>,
}

/// An access token of a user, and where another is had when it is refused.
pub(super) type Current = (TokenSource, Arc<Token>);

/// Why a user's access token is not there.
#[derive(Debug)]
pub(super) enum Missing {
    /// No grant of the user is kept.
    Absent,
    /// The partner takes the grant no more.
    Ended,
    /// It is not to be had just now.
    Failed(Error),
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grants([REDACTED])")
    }
}

// === impl Grants ===

impl Grants {
    pub(super) fn new(means: Means) -> Self {
        let Means { partner, client, post, store, clock, tasks, status } = means;
        status.use_grants();
        let gate = Gate::default();
        let endpoint = Endpoint { partner, clock: clock.clone(), client, post, gate, status };
        let renewal = Arc::new(Renewal { endpoint, store, clock, left: Left::default() });
        Self(Arc::new(Inner { renewal, tasks, users: Mutex::default() }))
    }

    /// An access token of `user` that is good now. Waits for one if there is none, and may
    /// be dropped while it does.
    pub(super) async fn token(&self, user: &str) -> Result<Current, Missing> {
        let found = self.users().find(user, Instant::now(), || self.source(user));
        let (source, why) = found?;
        let refusal = match source.token().await {
            Ok(token) => return Ok((source, token)),
            Err(refusal) => refusal,
        };
        Err(match why.get() {
            Some(Why::None(end)) => {
                self.users().end(user, &why, end, Instant::now());
                end.into()
            }
            Some(Why::StoreAway) => {
                let error = Error::new(Kind::StoreUnavailable, Outcome::NotSent);
                Missing::Failed(error.with_source(refusal))
            }
            None => Missing::Failed(refusal.into()),
        })
    }

    /// Uses a grant for the first time and keeps it. It is durable when this returns.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] when the partner does not take it, or tells of another user
    /// than `user`; [`Kind::TokenUnavailable`] when its token endpoint cannot be asked;
    /// [`Kind::StoreUnavailable`].
    pub(super) async fn admit(&self, user: Option<String>, grant: Grant) -> Result<Record, Error> {
        // A task of its own: a caller that goes away must not take a used code with it.
        let grants = self.clone();
        let admitted = self.0.tasks.spawn(async move { grants.admit_here(user, &grant).await });
        admitted.await.map_err(Error::internal)?
    }

    async fn admit_here(&self, user: Option<String>, grant: &Grant) -> Result<Record, Error> {
        // A grant is good for one use: not for one that cannot be kept.
        self.0.renewal.store.prove_writable().await.map_err(of_store)?;
        let granted = self.0.renewal.endpoint.admit(grant).await;
        let granted = granted.map_err(|failure| match failure {
            endpoint::Failure::Grant => refused(grant),
            endpoint::Failure::Other(refusal) => refusal.into(),
        })?;
        let user = owner(user, granted.user.clone(), grant)?;
        let kept = self.keep(&user, granted, grant).await;
        self.users().forget(&user);
        let record = kept?;
        tracing::info!(credential = %record.id, "a user's grant is kept");
        Ok(record)
    }

    /// Forgets what is in memory of a user whose grant was deleted.
    pub(super) fn forget(&self, user: &str) {
        self.0.renewal.left.forget(user);
        self.users().forget(user);
    }

    /// Has the client's secret replaced when its file changes.
    pub(super) fn watch(&self, file: Option<PathBuf>, watch: &SecretFiles) {
        let (client, grants) = (&self.0.renewal.endpoint.client, self.clone());
        configured::watch_client(client, file, watch, move || {
            grants.0.renewal.endpoint.gate.open();
            grants.users().secret_changed();
        });
    }

    /// Renews grants that nobody uses, so that they do not die of it, until `stop`.
    pub(super) fn keep_alive(&self, stop: CancellationToken) {
        let renewal = Arc::clone(&self.0.renewal);
        self.0.tasks.spawn(keep_alive::run(renewal, stop));
    }

    async fn keep(&self, user: &str, granted: Granted, grant: &Grant) -> Result<Record, Error> {
        let renewal = &self.0.renewal;
        let token = match (granted.refresh_token, grant) {
            (Some(token), _) => token,
            (None, Grant::RefreshToken(token)) => token.clone(),
            (None, Grant::AuthorizationCode { .. }) => {
                let problem = "the partner gave no refresh token";
                return Err(Refusal { permanent: true, ..Refusal::transient(problem) }.into());
            }
        };
        let times = Times::of(granted.life, renewal.clock.now());
        let new = kept::new(renewal.name(user), &token, times, Origin::Imported);
        let new = new.ok_or_else(|| Error::internal("a grant cannot be written"))?;
        match renewal.store.keep(new.clone()).await {
            Ok(kept) => {
                renewal.left.forget(user);
                Ok(kept.record().clone())
            }
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    "a user's grant was used and is in memory only"
                );
                renewal.left.hold(new, Place::Put(renewal.clock.now()));
                Err(of_store(error))
            }
        }
    }

    fn source(&self, user: &str) -> Source {
        let why = LastWhy::default();
        let (renewal, user, told) = (Arc::clone(&self.0.renewal), user.to_owned(), why.clone());
        let fetch: Fetch = Box::new(move || {
            let (renewal, user, told) = (Arc::clone(&renewal), user.clone(), told.clone());
            Box::pin(async move {
                let renewed = renewal.renew(&user, When::Now).await;
                told.set(renewed.as_ref().err().and_then(Why::of));
                renewed.map_err(refusal)
            })
        });
        let report = Box::new(|_: Event| ());
        (TokenSource::new(fetch, self.0.tasks.clone(), report), why)
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<End> for Missing {
    fn from(end: End) -> Self {
        match end {
            End::Absent => Missing::Absent,
            End::Ended => Missing::Ended,
        }
    }
}

/// A failure as the source of tokens has it; what it cannot tell is told beside.
fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Absent => Refusal::transient("no grant of the user is kept"),
        Failure::Ended => Refusal::transient("the user's grant has ended"),
        Failure::NotDue => Refusal::transient("the grant was just renewed"),
        Failure::Store => Refusal::transient("the store is not available"),
    }
}

/// Whose grant it is: whom the partner tells, and that has to be `given` if that is set.
fn owner(given: Option<String>, told: Option<String>, grant: &Grant) -> Result<String, Error> {
    match (given, told) {
        (Some(given), Some(told)) if given != told => Err(violation(
            "account",
            "the partner tells of another user; the grant is used up and was not kept",
            "OTHER_USER",
        )),
        (_, Some(user)) | (Some(user), None) => Ok(user),
        (None, None) => Err(violation(
            "account",
            match grant {
                Grant::AuthorizationCode { .. } => {
                    "the partner tells no user (ask for the scope openid): the user is required"
                }
                Grant::RefreshToken(_) => "the partner tells no user: the user is required",
            },
            "REQUIRED",
        )),
    }
}

/// The partner does not take the grant that a caller brought.
fn refused(grant: &Grant) -> Error {
    let (field, description) = match grant {
        Grant::AuthorizationCode { .. } => (
            "user_grant.authorization_code.code",
            "the partner does not take it: it is too old, was used, or belongs to another client, redirect URI or verifier",
        ),
        Grant::RefreshToken(_) => (
            "user_grant.refresh_token",
            "the partner does not take it: it is too old, was used, or belongs to another client",
        ),
    };
    violation(field, description, "REFUSED_BY_PARTNER")
}

fn violation(field: &str, description: &str, reason: &'static str) -> Error {
    let (field, description) = (field.to_owned(), description.to_owned());
    Error::invalid(vec![Violation { field, description, reason }])
}

#[cfg(test)]
pub(in crate::credentials) mod testing;
#[cfg(test)]
mod tests;
