//! The layers that a call passes on its way to a partner, composed in one place.
//!
//! Each layer is a file: it does one thing to a call or to its answer, and calls only the
//! layer inside it. What two of them share, as circuits and budgets are, both are given
//! here. Their order is part of what they do, so it is written once, in [`build`], with the
//! reason for each place.

mod admit;
mod attempt;
mod authenticate;
mod breaker;
mod coalesce;
mod deadline;
mod exchange;
mod idempotency;
mod judge;
mod keep;
mod limits;
mod outcome;
mod reauthenticate;
mod records;
mod repeat;
mod retry;
mod scrub;
mod settings;
mod state;
mod token_endpoint;
mod trace;
mod transport;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use crate::call::{Call, Reply};
use crate::clock::Clock;
use crate::credentials::{Authenticator, Means, Post, SecretFiles};
use crate::error::Error;
use crate::operation::Operation;
use crate::partner::{Partner, Status};
use crate::random::Random;
use crate::redis::Redis;
use crate::store::{Retention, Store};
use crate::telemetry::metrics::Metrics;
pub(crate) use admit::LaneSnapshot;
pub use breaker::Breakers;
pub(crate) use breaker::Standing;
use exchange::Exchange;
pub use limits::{Breaker, Concurrency, Limits, Rate, Retry, Tunable};
pub use retry::Budget;
pub use settings::{Problem, Settings, Timeouts};
pub use state::State;
use transport::Transport;

/// Whether the answer to a call can be told to its caller. The layers cannot know: they
/// read no message.
pub type Readable = fn(&Operation, &Reply) -> bool;

/// The way to one partner. Clones share connections, tokens and keys.
pub type Stack = BoxCloneSyncService<Call, Reply, Error>;

/// What the process lends to a stack.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time of day, for signatures and the operators' view.
    pub clock: Clock,
    /// Owns the tasks that fetch tokens and bring writes to their end.
    pub tasks: TaskTracker,
    /// When it is cancelled, nobody is kept waiting for a partner any more.
    pub stopping: CancellationToken,
    /// Is told how the partner does.
    pub status: Arc<Status>,
    /// Keeps credentials, and the records of calls that are done once.
    pub store: Store,
    /// For how long it keeps those.
    pub retention: Retention,
    /// Tells a success that is kept from one that nobody could be told.
    pub is_readable: Readable,
    /// Is told which secrets are in files.
    pub secret_files: SecretFiles,
    /// What replicas share tokens and quotas over, if they do.
    pub redis: Option<Redis>,
    /// What is counted.
    pub metrics: Metrics,
    /// Where jitter comes from.
    pub random: Random,
}

/// What is inside a layer.
trait Next:
    Service<Exchange, Response = Reply, Error = Error, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Next for S where
    S: Service<Exchange, Response = Reply, Error = Error, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The future of every layer.
type Answering = BoxFuture<'static, Result<Reply, Error>>;

/// What leads to one partner.
#[derive(Clone, Debug)]
pub struct Built {
    /// Carries calls.
    pub stack: Stack,
    /// What can be looked at while it runs.
    pub state: State,
    /// Holds the credentials that the stack's calls are made with.
    pub(crate) authenticator: Arc<Authenticator>,
}

/// Builds the stack of `partner`. The partner is not called before a call is.
///
/// # Errors
/// Every problem of `settings`.
pub fn build(
    partner: Arc<dyn Partner>,
    settings: Settings,
    context: &Context,
) -> Result<Built, Vec<Problem>> {
    let transport = Transport::try_new(&settings)?;
    let means = Means {
        clock: context.clock.clone(),
        tasks: context.tasks.clone(),
        stopping: context.stopping.clone(),
        status: Arc::clone(&context.status),
        store: context.store.clone(),
        secret_files: context.secret_files.clone(),
        post: post(transport.clone()),
        post_form: token_endpoint::post(&settings)?,
        redis: context.redis.clone(),
        base_url: settings.base_url.clone(),
    };
    let authenticator =
        Arc::new(Authenticator::new(Arc::clone(&partner), settings.credentials, means));
    let limits = Tunable::new(settings.limits);
    let retry_budget = Budget::new(limits.clone());
    let breakers = Breakers::new(partner.name(), limits.clone(), context.random.clone());
    let turns =
        admit::turns(partner.name(), &settings.base_url, limits.clone(), breakers.clone(), context);
    let layers = ServiceBuilder::new()
        // Outermost, so that an error gets what every other layer did for the call.
        .layer(trace::TraceLayer::new(transport.host()))
        // Bounds the waiting for everything below, a token and a second attempt too; a
        // write goes on below it.
        .layer(deadline::DeadlineLayer::new(context))
        // Inside deadline, for each of those who wait has their own; outside all else, for
        // what is shared is done once.
        .layer(coalesce::CoalesceLayer::new(context))
        // Inside deadline, so that an answer that comes too late is recorded; outside
        // everything that sends, so that a record is there before the first byte is.
        .layer(idempotency::IdempotencyLayer::new(context, settings.timeouts.total))
        // Inside idempotency, for a replay makes no key; outside of what sends, so that the
        // intent is there before the first byte is, once for all attempts.
        .layer(keep::KeepLayer::new(
            Arc::clone(&partner),
            authenticator.vault().clone(),
            settings.timeouts.total,
        ))
        // Inside keep and idempotency, which are for the call as a whole, however many
        // attempts it takes; outside what each attempt needs anew: a turn, a credential.
        .layer(retry::RetryLayer::new(limits.clone(), retry_budget.clone(), context))
        // Outside authenticate, which it runs again with what it invalidated.
        .layer(reauthenticate::ReauthenticateLayer::new(
            Arc::clone(&authenticator),
            limits.clone(),
            context,
        ))
        // For each attempt; outside authenticate, for a signature must not wait.
        .layer(admit::AdmitLayer::new(turns.clone()))
        // Inside admit: whether the partner is left alone is decided when the turn comes.
        .layer(breaker::BreakerLayer::new(breakers.clone()))
        // Once per attempt: a signature is over its bytes and its moment.
        .layer(authenticate::AuthenticateLayer::new(
            Arc::clone(&authenticator),
            transport.host(),
            context,
        ))
        // Inside authenticate: waiting for a token is not an attempt yet.
        .layer(attempt::AttemptLayer::new(Arc::clone(&partner), transport.origin(), context))
        // Next to the wire: from here outwards an answer is a success or an error.
        .layer(judge::JudgeLayer::new(partner, transport.host(), context.clock.clone()));
    let stack = BoxCloneSyncService::new(layers.service(transport));
    Ok(Built { stack, state: State { limits, turns, breakers, retry_budget }, authenticator })
}

/// How tokens are fetched: over the same connections and within the same limits as
/// calls, and without the layers, which need a token first.
fn post(transport: Transport) -> Post {
    Box::new(move |target, body| {
        let transport = transport.clone();
        Box::pin(async move {
            transport.send(&Method::POST, target, HeaderMap::new(), Some(body)).await
        })
    })
}
