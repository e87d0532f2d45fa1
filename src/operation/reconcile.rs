//! What to read when nobody knows whether a write had its effect.
//!
//! The contract tells mostly by itself: the write answers with a resource, and some read
//! answers with the same or with a list of it. Where it does not, the write names the read.

use super::{Effect, Kind, Operation, Shape};

/// The read that tells what became of `write`, among `reads` of its partner.
///
/// # Errors
/// The contract names one that is none of them.
pub(super) fn resolve(
    named: &str,
    write: &Operation,
    reads: &[&'static Operation],
) -> Result<Option<&'static Operation>, String> {
    let reads = reads.iter().copied().filter(|read| {
        read.effect == Effect::Read && read.partner == write.partner && read.paging.is_none()
    });
    if named.is_empty() {
        return Ok((write.effect == Effect::WriteOnce).then(|| derived(write, reads)).flatten());
    }
    let found = { reads }.find(|read| read.rpc() == named);
    found.map(Some).ok_or_else(|| format!("there is no read {named:?} to reconcile it with"))
}

/// The nearest of those that tell something.
fn derived(
    write: &Operation,
    reads: impl Iterator<Item = &'static Operation>,
) -> Option<&'static Operation> {
    let rated = reads.filter_map(|read| Some((distance(write, read)?, read)));
    // Of two that are as near the one that says more of where it is, for it is the nearer.
    rated
        .min_by_key(|(distance, read)| (*distance, usize::MAX - read.path.as_str().len()))
        .map(|(_, read)| read)
}

/// How far a read is from telling what became of a write; `None` if it does not.
fn distance(write: &Operation, read: &Operation) -> Option<u32> {
    let (is_same_place, is_above) = (read.path == write.path, is_above(read, write));
    let is_same_service = read.service == write.service;
    let can_be_asked = read.path.variables().all(|name| write.path.variables().any(|n| n == name));
    let is_same = read.reply == write.reply;
    match () {
        () if is_same && (is_same_place || is_above) => Some(0),
        () if lists(read, write) && can_be_asked => match () {
            () if is_same_place => Some(1),
            () if is_same_service => Some(2),
            () => Some(3),
        },
        () if is_same && is_same_service && !read.names_a_resource() => Some(4),
        () if is_above => Some(5),
        () => None,
    }
}

/// Whether the path of `write` leads to something of the resource that `read` reads.
fn is_above(read: &Operation, write: &Operation) -> bool {
    let rest = write.path.as_str().strip_prefix(read.path.as_str());
    read.path.as_str().ends_with('}') && rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the elements of a list in the reply of `read` are what `write` answers with.
fn lists(read: &Operation, write: &Operation) -> bool {
    let mut fields = read.reply().fields.iter();
    fields.any(|field| field.shape == Shape::List && field.kind == Kind::Message(write.reply))
}
