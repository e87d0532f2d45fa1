//! The journal of what arrived. A reply tells what the gateway was told; only the journal tells
//! how many requests reached the partner and how many of them had an effect.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::locked;
use super::partner::Received;

const CAPACITY: usize = 10_000;

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// Not reset with the entries: an exchange in flight over a reset must not find its number
    /// given to another.
    last_sequence: u64,
    entries: VecDeque<Entry>,
}

/// One request, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    sequence: u64,
    time: String,
    partner: &'static str,
    method: String,
    path: String,
    query: Option<String>,
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// `null` when no head of an answer was sent.
    status: Option<u16>,
    acted: bool,
    fault: Option<&'static str>,
}

/// Which entries to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    pub(crate) partner: Option<String>,
    method: Option<String>,
    path: Option<String>,
}

// === impl Journal ===

impl Journal {
    /// Notes an arrival and returns its number.
    pub(crate) fn open(
        &self,
        partner: &'static str,
        time: Timestamp,
        request: &Received,
        fault: Option<&'static str>,
    ) -> u64 {
        let mut pages = locked(&self.0);
        pages.last_sequence += 1;
        let sequence = pages.last_sequence;
        if pages.entries.len() >= CAPACITY {
            pages.entries.pop_front();
        }
        pages.entries.push_back(Entry::new(sequence, partner, time, request, fault));
        sequence
    }

    /// Notes whether the request had its effect. Apart from the status, because an effect without
    /// an answer is what matters most.
    pub(crate) fn note_acted(&self, sequence: u64, acted: bool) {
        self.change(sequence, |entry| entry.acted = acted);
    }

    /// Notes that the head of an answer is on its way.
    pub(crate) fn note_status(&self, sequence: u64, status: StatusCode) {
        self.change(sequence, |entry| entry.status = Some(status.as_u16()));
    }

    pub(crate) fn entries(&self, filter: &Filter) -> Vec<Entry> {
        locked(&self.0).entries.iter().filter(|entry| filter.admits(entry)).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).entries.clear();
    }

    fn change(&self, sequence: u64, change: impl FnOnce(&mut Entry)) {
        let mut pages = locked(&self.0);
        if let Some(entry) = pages.entries.iter_mut().rev().find(|e| e.sequence == sequence) {
            change(entry);
        }
    }
}

// === impl Entry ===

impl Entry {
    fn new(
        sequence: u64,
        partner: &'static str,
        time: Timestamp,
        request: &Received,
        fault: Option<&'static str>,
    ) -> Self {
        let text = String::from_utf8(request.body.to_vec()).ok();
        let encoded = text.is_none().then(|| STANDARD.encode(&request.body));
        Self {
            sequence,
            time: format!("{time:.3}"),
            partner,
            method: request.method.to_string(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: headers(&request.headers),
            body: text,
            body_base64: encoded,
            status: None,
            acted: false,
            fault,
        }
    }
}

// === impl Filter ===

impl Filter {
    fn admits(&self, entry: &Entry) -> bool {
        self.partner.as_deref().is_none_or(|partner| partner == entry.partner)
            && self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(&entry.method))
            && self.path.as_deref().is_none_or(|path| path_matches(path, &entry.path))
    }
}

/// Whether `path` is `pattern`, or begins with it where it ends in `*`.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

// A repeated header is shown as the list that HTTP says it is.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let joined = |name: &http::HeaderName| {
        let values = headers.get_all(name).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        texts.collect::<Vec<_>>().join(", ")
    };
    headers.keys().map(|name| (name.to_string(), Value::from(joined(name)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, body: &'static [u8]) -> Received {
        let headers = HeaderMap::new();
        let body = bytes::Bytes::from_static(body);
        Received { method: http::Method::POST, path: path.into(), query: None, headers, body }
    }

    #[test]
    fn keeps_the_last_entries_and_filters_them() {
        let journal = Journal::default();
        for _ in 0..=CAPACITY {
            journal.open("trolley", Timestamp::UNIX_EPOCH, &request("/v1/a", b"{}"), None);
        }
        journal.open("trustist", Timestamp::UNIX_EPOCH, &request("/b", b"\xff"), Some("delay"));

        let all = journal.entries(&Filter::default());
        assert_eq!(all.len(), CAPACITY);
        assert_eq!(all[0].sequence, 3);
        let filter =
            Filter { method: Some("post".into()), path: Some("/b*".into()), partner: None };
        let found = journal.entries(&filter);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].body.as_deref(), found[0].body_base64.as_deref()),
            (None, Some("/w=="))
        );
    }

    #[test]
    fn an_effect_is_noted_before_any_status() {
        let journal = Journal::default();
        let sequence = journal.open("trolley", Timestamp::UNIX_EPOCH, &request("/", b""), None);
        journal.note_acted(sequence, true);
        let entry = &journal.entries(&Filter::default())[0];
        assert_eq!((entry.acted, entry.status), (true, None));
    }
}
