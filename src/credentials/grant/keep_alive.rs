//! Renews grants that nobody uses: a refresh token dies of disuse, in half an hour at some
//! partners, and its user would have to log in again.
//!
//! The store knows which are due, and the lease that a renewal takes lets one replica do
//! it. What is due is taken in batches, a few at a time and so many a second; when the
//! token endpoint fails they wait longer and longer.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::renewal::{Failure, Renewal, When};
use crate::credentials::token::Refusal;
use crate::random::Random;
use crate::store::{CredentialKind, Name};

/// Between two looks for grants that are due; jitter takes up to half of it away.
const INTERVAL: Duration = Duration::from_secs(5);
/// The longest time between two looks while the token endpoint fails: short beside a
/// fifth of a grant's life, which is what is left when it is due.
const LONGEST: Duration = Duration::from_secs(60);
/// How many grants are taken at a look.
const BATCH: u32 = 64;
/// How many are renewed at once.
const AT_ONCE: usize = 4;
/// Between two batches when more are due.
const BETWEEN: Duration = Duration::from_secs(1);
/// How long a grant that fails by itself waits behind the others, at least and at most; a
/// tenth of its age in between, so that a short life holds some more tries.
const POSTPONED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
/// How many of a batch the endpoint may fail before the rest is left for later.
const FAILURES: usize = 2 * AT_ONCE;

/// Renews what is due until `stop`.
pub(super) async fn run(renewal: Arc<Renewal>, stop: CancellationToken) {
    let random = Random::system();
    let mut pause = INTERVAL;
    loop {
        let jittered = pause.mul_f64(1.0 - random.draw() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(jittered)).await.is_none() {
            return;
        }
        pause = match round(&renewal, &stop).await {
            Round::Done => INTERVAL,
            Round::More => BETWEEN,
            Round::Failed => (pause.max(INTERVAL) * 2).min(LONGEST),
        };
    }
}

/// How a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Nothing more is due.
    Done,
    /// There may be more.
    More,
    /// Too many failed.
    Failed,
}

pub(super) async fn round(renewal: &Renewal, stop: &CancellationToken) -> Round {
    renewal.bring_all_home().await;
    let (partner, now) = (renewal.endpoint.partner.name(), renewal.clock.now());
    let due = renewal.store.due(partner, CredentialKind::UserGrant, now, BATCH).await;
    let Ok(due) = due else { return Round::Failed };
    let tried = due.len();
    let failures = AtomicUsize::new(0);
    let go_on = || failures.load(Ordering::Relaxed) < FAILURES && !stop.is_cancelled();
    // What has begun is brought to its end: its refresh token may be used up.
    stream::iter(due)
        .take_while(|_| ready(go_on()))
        .for_each_concurrent(AT_ONCE, async |name: Name| {
            if !renew(renewal, &name).await {
                failures.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await;
    match failures.into_inner() {
        failures if failures > 0 && failures >= tried.min(FAILURES) => Round::Failed,
        _ if u32::try_from(tried).is_ok_and(|tried| tried == BATCH) => Round::More,
        _ => Round::Done,
    }
}

/// Renews one. What fails goes behind the others, or the oldest failures would be all that
/// is ever tried. Says whether the others may be tried: `false` when the token endpoint or
/// the store fails, whoever's grant it is.
async fn renew(renewal: &Renewal, name: &Name) -> bool {
    // The access token is not for anybody.
    let is_general = match renewal.renew(&name.account, When::Due).await {
        Ok(_) | Err(Failure::Absent | Failure::Ended | Failure::NotDue) => return true,
        Err(Failure::Refused(refusal)) => is_general(&refusal),
        Err(Failure::Store) => false,
    };
    let (least, most) = if is_general { (Duration::ZERO, Duration::ZERO) } else { POSTPONED };
    let postponed = renewal.store.postpone(name, least, most).await;
    postponed.is_ok() && !is_general
}

/// Whether the next grant would fare no better: there was no answer, or one that tells of
/// the endpoint or of the client.
fn is_general(refusal: &Refusal) -> bool {
    let tells_of_endpoint = |status: StatusCode| matches!(status.as_u16(), 429 | 502..=504);
    let is_wish = refusal.retry_after.is_some();
    is_wish || refusal.refuses_client || refusal.status.is_none_or(tells_of_endpoint)
}
