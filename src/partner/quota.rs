//! What a partner says of the quota that it grants, in the headers of any answer.
//!
//! There are three ways to say it: the structured fields `RateLimit` and
//! `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), that draft's earlier forms,
//! and three `X-RateLimit-*` headers that nobody has ever specified. A value is either
//! understood or ignored: what is left is a help to keep below the limit, and no promise.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;
use sfv::{Dictionary, Item, List, ListEntry, Parser};

use super::retry_after;

/// The longest time to the end of a window that is believed.
const MAX_RESET: Duration = Duration::from_secs(24 * 3600);
/// Seconds from here on are a moment since 1970 and not a time from now.
const EPOCH_FROM: u64 = 1_000_000_000;
/// Limit, remaining and reset where each has a header, the more usual first.
const TRIOS: [[&str; 3]; 2] = [
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
];

/// What a partner said is left of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests that may still be sent in this window.
    pub remaining: u64,
    /// Requests in a whole window, if that was said.
    pub limit: Option<u64>,
    /// From the answer to the end of the window.
    pub reset: Duration,
}

/// What the headers of an answer say; `None` if nothing, or nothing that is understood.
pub(super) fn of_answer(headers: &HeaderMap, now: Timestamp) -> Option<Quota> {
    let trios = || TRIOS.iter().find_map(|names| of_trio(headers, names, now));
    of_fields(headers).or_else(trios)
}

/// What three headers say: limit, remaining, and reset in seconds, from now or of the
/// epoch.
pub(super) fn of_trio(headers: &HeaderMap, names: &[&str; 3], now: Timestamp) -> Option<Quota> {
    let [limit, remaining, reset] = names.map(|name| number(headers.get(name)?.to_str().ok()?));
    let reset = reset?;
    let reset = match i64::try_from(reset) {
        Ok(epoch) if reset >= EPOCH_FROM => {
            let end = Timestamp::from_second(epoch).ok()?;
            retry_after::until(end, retry_after::answered_at(headers).unwrap_or(now))
        }
        _ => Duration::from_secs(reset),
    };
    believed(Quota { remaining: remaining?, limit, reset })
}

/// The number at the beginning of a value; a policy may follow it (`100, 100;w=60`).
fn number(value: &str) -> Option<u64> {
    let first = value.split([',', ';']).next()?.trim_matches([' ', '\t']);
    let is_number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| first.parse().ok())?
}

/// The fields of the draft, in its present form or the one before.
fn of_fields(headers: &HeaderMap) -> Option<Quota> {
    let said = joined(headers, "ratelimit")?;
    if let Ok(quotas) = Parser::new(&said).parse::<List>() {
        let policies = joined(headers, "ratelimit-policy").unwrap_or_default();
        let policies = Parser::new(&policies).parse::<List>().unwrap_or_default();
        let quotas = quotas.iter().filter_map(item).filter_map(|item| of_item(item, &policies));
        // Of several the one that is used up first; of two, the one that lasts longer.
        return quotas.min_by_key(|quota| (quota.remaining, MAX_RESET.saturating_sub(quota.reset)));
    }
    let said: Dictionary = Parser::new(&said).parse().ok()?;
    let member = |name| integer(&item(said.get(name)?)?.bare_item);
    let reset = Duration::from_secs(member("reset")?);
    believed(Quota { remaining: member("remaining")?, limit: member("limit"), reset })
}

/// One quota, and its limit from the policy of the same name.
fn of_item(quota: &Item, policies: &List) -> Option<Quota> {
    let parameter = |item: &Item, name| integer(item.params.get(name)?);
    let named = |policy: &&Item| policy.bare_item == quota.bare_item;
    let policy = policies.iter().filter_map(item).find(named);
    believed(Quota {
        remaining: parameter(quota, "r")?,
        limit: policy.and_then(|policy| parameter(policy, "q")),
        reset: Duration::from_secs(parameter(quota, "t")?),
    })
}

fn item(entry: &ListEntry) -> Option<&Item> {
    match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    }
}

fn integer(value: &sfv::BareItem) -> Option<u64> {
    u64::try_from(i64::from(value.as_integer()?)).ok()
}

/// All lines of a field as one.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn believed(quota: Quota) -> Option<Quota> {
    (quota.reset <= MAX_RESET).then_some(quota)
}

#[cfg(test)]
mod tests;
