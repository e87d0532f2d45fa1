//! Pages by key: the newest first, bounded by the ids before and after. Which end a bound cuts off
//! is inferred, as the description contradicts itself.

use std::cmp::Reverse;

use super::call::Input;
use super::refusal::Refusal;

const USUAL: i64 = 25;
const MOST: i64 = 50;

/// The part of a list that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    before: Option<i64>,
    after: Option<i64>,
    limit: usize,
}

/// Reads `before_id`, `after_id` and `limit`.
pub(crate) fn read(input: &Input) -> Result<Page, Refusal> {
    let id = |name| match input.integer(name) {
        Some(id) if id < 0 => Err(Refusal::invalid(format!("invalid_{name}"))),
        id => Ok(id),
    };
    let limit = input.integer("limit").unwrap_or(USUAL);
    let limit = Some(limit).filter(|limit| (1..=MOST).contains(limit));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.ok_or_else(|| Refusal::invalid("invalid_limit"))?;
    Ok(Page { before: id("before_id")?, after: id("after_id")?, limit })
}

// === impl Page ===

impl Page {
    /// The page's items, newest first.
    pub(crate) fn of<'a, T>(
        self,
        items: impl Iterator<Item = &'a T>,
        id: impl Fn(&T) -> i64,
    ) -> Vec<&'a T> {
        let is_within = |item: &&T| {
            let id = id(item);
            self.before.is_none_or(|before| id < before)
                && self.after.is_none_or(|after| id > after)
        };
        let mut found: Vec<_> = items.filter(is_within).collect();
        found.sort_by_key(|item| Reverse(id(item)));
        found.truncate(self.limit);
        found
    }
}
