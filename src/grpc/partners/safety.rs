//! How the layers that protect a partner, and its callers, do just now.

use std::time::Duration;

use jiff::Timestamp;

use super::{count, duration, timestamp};
use crate::operation::Effect;
use crate::partner::Quota;
use crate::pb::gateway::v1 as pb;
use crate::pb::gateway::v1::breaker::{Class, State as Passing};
use crate::stack::{LaneSnapshot, Standing, State};

/// Whether calls of each class pass.
pub(super) fn breakers(state: &State, now: Timestamp) -> Vec<pb::Breaker> {
    let breakers = state.breakers.look().into_iter().map(|look| {
        let (passing, open_end_time) = match look.position {
            Standing::Closed => (Passing::Closed, None),
            Standing::Open(time) => (Passing::Open, Some(later(now, time))),
            Standing::HalfOpen => (Passing::HalfOpen, None),
        };
        pb::Breaker {
            class: class(look.effect).into(),
            state: passing.into(),
            open_end_time,
            attempts: count(look.attempts),
            failures: count(look.failures),
            opened: count(look.opened),
        }
    });
    breakers.collect()
}

/// How calls get their turns.
pub(super) fn admission(state: &State, now: Timestamp) -> pb::Admission {
    let turns = state.turns.snapshot();
    pb::Admission {
        waiting: count(turns.waiting),
        in_flight: count(turns.in_flight),
        concurrency: count(turns.concurrency),
        counted_together: turns.is_shared,
        admitted: count(turns.counts.admitted),
        rate_limited: count(turns.counts.rate_limited),
        overloaded: count(turns.counts.overloaded),
        lanes: turns.lanes.into_iter().map(|told| lane(told, now)).collect(),
    }
}

/// What is left for attempts that are made again.
pub(super) fn retry_budget(state: &State) -> pb::RetryBudget {
    let balance = state.retry_budget.balance();
    pb::RetryBudget {
        left: count(balance.left),
        repeated: count(balance.repeated),
        refused: count(balance.refused),
    }
}

fn class(effect: Effect) -> Class {
    match effect {
        Effect::Read => Class::Read,
        Effect::Idempotent => Class::Idempotent,
        Effect::WriteOnce => Class::WriteOnce,
    }
}

fn lane(lane: LaneSnapshot, now: Timestamp) -> pb::Lane {
    pb::Lane {
        account: lane.account.unwrap_or_default(),
        waiting: count(lane.waiting),
        in_flight: count(lane.in_flight),
        wait: Some(duration(lane.wait)),
        closed_end_time: lane.closed_for.map(|time| later(now, time)),
        pace: lane.paced.map(duration),
        quota: lane.heard.map(|(said, age)| quota(said, age, now)),
    }
}

fn quota(said: Quota, age: Duration, now: Timestamp) -> pb::Quota {
    let heard = now.checked_sub(age).unwrap_or(now);
    pb::Quota {
        remaining: count(said.remaining),
        limit: said.limit.map(count),
        reset_time: Some(later(heard, said.reset)),
        heard_time: Some(timestamp(heard)),
    }
}

fn later(now: Timestamp, time: Duration) -> prost_types::Timestamp {
    timestamp(now.checked_add(time).unwrap_or(Timestamp::MAX))
}
