//! Key pairs that were read from the store of late.
//!
//! | what is known of an account | a call |
//! |---|---|
//! | a key that is held because nothing has taken it | goes on with it |
//! | a key, read within [`LIFE`] | goes on with it |
//! | a key, read before that | begins a look, and goes on with the key if that takes long |
//! | the same, while a look is under way | goes on with it |
//! | a key that the partner has refused, or that was just written | begins or joins a look; goes on with the key only if the store is away |
//! | that it had none, within [`ABSENCE`] | is told so |
//! | nothing | begins or joins a look |
//!
//! There is one look at a time for each account. Its result counts for nobody who asks
//! after a later change.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use lru::LruCache;
use tokio::sync::watch;
use tokio::time::Instant;

use super::held::Held;
use super::is_outage;
use crate::credentials::KeyPair;
use crate::store;

/// How long a key is used without looking into the store: what another replica changed
/// is seen within this time.
pub(super) const LIFE: Duration = Duration::from_secs(60);
/// How long the failure of a look spares the store another.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long an account without a key is not asked for again.
pub(super) const ABSENCE: Duration = Duration::from_secs(3);
/// More accounts than call within a minute.
const CAPACITY: usize = 10_000;
/// Accounts without a key are callers' own words: few and short ones are remembered, and
/// never instead of a key.
const ABSENT_CAPACITY: usize = 1_000;
const LONGEST_ABSENT: usize = 256;

/// What the store has of an account, or why it does not tell.
pub(super) type Looked = Result<Option<KeyPair>, Arc<store::Error>>;
/// A look into the store; `None` while it is under way.
pub(super) type Look = watch::Receiver<Option<Looked>>;
/// Ends a look.
pub(super) type Looking = watch::Sender<Option<Looked>>;

/// The cache. It is bounded, but for keys that are nowhere else.
pub(super) struct Opened {
    pairs: LruCache<String, Entry>,
    absent: LruCache<String, Instant>,
    /// What is under way. No more than calls are.
    looks: HashMap<String, Look>,
    /// Keys that neither the database nor the journal has taken yet.
    unkept: HashMap<String, Held>,
}

struct Entry {
    pair: KeyPair,
    /// Until when it counts; `None` if the store has to be asked before.
    until: Option<Instant>,
}

/// What is known of an account's key.
pub(super) enum Found {
    /// To be used, or that there is none.
    Known(Option<KeyPair>),
    /// To be used if the look does not end soon.
    Stale(KeyPair, Look),
    /// The look tells.
    Asked(Look),
}

// === impl Opened ===

impl Default for Opened {
    fn default() -> Self {
        let size = |size| NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        Self {
            pairs: LruCache::new(size(CAPACITY)),
            absent: LruCache::new(size(ABSENT_CAPACITY)),
            looks: HashMap::new(),
            unkept: HashMap::new(),
        }
    }
}

impl Opened {
    /// What is known of the key of `account`. Whoever gets something to end must look into
    /// the store and [`end`](Self::end) it.
    pub(super) fn find(&mut self, account: &str) -> (Found, Option<Looking>) {
        let now = Instant::now();
        if let Some(held) = self.unkept.get(account) {
            return (Found::Known(Some(held.pair.clone())), None);
        }
        if self.absent.get(account).is_some_and(|until| now < *until) {
            return (Found::Known(None), None);
        }
        // One whose sender is gone never ends.
        let under_way = self.looks.get(account).filter(|look| look.has_changed().is_ok()).cloned();
        let usable = self.pairs.get(account).and_then(|entry| Some((entry.until?, &entry.pair)));
        match (usable, under_way) {
            (Some((until, pair)), _) if now < until => (Found::Known(Some(pair.clone())), None),
            (Some((_, pair)), Some(_)) => (Found::Known(Some(pair.clone())), None),
            (Some((_, pair)), None) => {
                let pair = pair.clone();
                let (look, looking) = self.begin(account);
                (Found::Stale(pair, look), Some(looking))
            }
            (None, Some(look)) => (Found::Asked(look), None),
            (None, None) => {
                let (look, looking) = self.begin(account);
                (Found::Asked(look), Some(looking))
            }
        }
    }

    /// Ends a look, and notes what it saw unless the key has been changed since it began.
    /// While the store is away, what it had counts.
    pub(super) fn end(&mut self, account: &str, looking: &Looking, looked: Looked) {
        let look = looking.subscribe();
        let is_current = self.looks.get(account).is_some_and(|other| other.same_channel(&look));
        if is_current {
            self.looks.remove(account);
        }
        let known = self.pairs.get_mut(account);
        let result = match (looked, known) {
            (Ok(found), _) => {
                if is_current {
                    self.note(account, found.clone());
                }
                Ok(found)
            }
            (Err(error), Some(entry)) => {
                let is_usable = entry.until.is_some() || is_outage(&error);
                if is_current && is_usable {
                    entry.until = Some(Instant::now() + PATIENCE);
                }
                if is_outage(&error) { Ok(Some(entry.pair.clone())) } else { Err(error) }
            }
            (Err(error), None) => Err(error),
        };
        looking.send_replace(Some(result));
    }

    /// Says that the partner refuses the key of `account`: the next call looks into the
    /// store before it uses it again. A key that is nowhere else stays.
    pub(super) fn refresh(&mut self, account: &str) {
        self.looks.remove(account);
        self.absent.pop(account);
        if let Some(entry) = self.pairs.get_mut(account) {
            entry.until = None;
        }
    }

    /// Says that the store has another key of `account`, or none any more. One that was
    /// held makes way for it.
    pub(super) fn replace(&mut self, account: &str, pair: Option<KeyPair>) {
        self.unkept.remove(account);
        self.looks.remove(account);
        self.absent.pop(account);
        match pair {
            Some(pair) => drop(self.pairs.put(account.to_owned(), Entry { pair, until: None })),
            None => drop(self.pairs.pop(account)),
        }
    }

    /// Holds a key that is nowhere else.
    pub(super) fn hold(&mut self, account: &str, held: Held) {
        self.replace(account, None);
        self.unkept.insert(account.to_owned(), held);
    }

    /// The key of `account`, if it is nowhere else.
    pub(super) fn held(&self, account: &str) -> Option<Held> {
        self.unkept.get(account).cloned()
    }

    /// Says that the store has taken this key.
    pub(super) fn release(&mut self, account: &str, held: &Held) {
        if self.unkept.get(account).is_some_and(|other| other.is(held)) {
            self.replace(account, Some(held.pair.clone()));
        }
    }

    fn begin(&mut self, account: &str) -> (Look, Looking) {
        let (looking, look) = watch::channel(None);
        self.looks.insert(account.to_owned(), look.clone());
        (look, looking)
    }

    fn note(&mut self, account: &str, found: Option<KeyPair>) {
        let now = Instant::now();
        match found {
            Some(pair) => {
                let entry = Entry { pair, until: Some(now + LIFE) };
                self.pairs.put(account.to_owned(), entry);
            }
            None => {
                self.pairs.pop(account);
                if account.len() <= LONGEST_ABSENT {
                    self.absent.put(account.to_owned(), now + ABSENCE);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> KeyPair {
        KeyPair { access_key: name.to_owned(), secret_key: "secret".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn s14_a_key_that_is_nowhere_else_is_never_evicted_nor_dropped_by_a_refusal() {
        let mut opened = Opened::default();
        opened.hold("only", Held::new(pair("k")));
        for number in 0..CAPACITY * 2 {
            opened.replace(&number.to_string(), Some(pair("other")));
        }
        opened.refresh("only");
        tokio::time::advance(LIFE * 100).await;
        let (Found::Known(Some(found)), None) = opened.find("only") else { panic!("it is gone") };
        assert_eq!(found.access_key, "k");
        assert_eq!(opened.pairs.len(), CAPACITY);
    }

    #[tokio::test(start_paused = true)]
    async fn absence_is_remembered_of_few_and_costs_no_key_its_place() {
        let mut opened = Opened::default();
        opened.note("kept", Some(pair("k")));
        for number in 0..CAPACITY * 2 {
            opened.note(&number.to_string(), None);
        }
        opened.note(&"a".repeat(LONGEST_ABSENT + 1), None);
        assert_eq!((opened.absent.len(), opened.pairs.len()), (ABSENT_CAPACITY, 1));
    }

    #[tokio::test]
    async fn a_look_that_is_cut_off_is_begun_again() {
        let mut opened = Opened::default();
        let (_, looking) = opened.find("a");
        assert!(opened.find("a").1.is_none());
        drop(looking);
        assert!(opened.find("a").1.is_some());
    }
}
