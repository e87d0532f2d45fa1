//! Key pairs that were read from the store of late.

use std::num::NonZeroUsize;
use std::time::Duration;

use hashbrown::HashMap;
use lru::LruCache;
use tokio::time::Instant;

use crate::credentials::KeyPair;

/// How long a key is used without looking into the store: what another replica changed
/// is seen within this time.
const LIFE: Duration = Duration::from_secs(60);
/// How long one call's look into the store, or its failure, spares the others theirs.
const PATIENCE: Duration = Duration::from_secs(5);
/// More accounts than call within a minute.
const CAPACITY: usize = 10_000;

/// The cache. It is bounded, but for keys that are nowhere else.
pub(super) struct Opened {
    pairs: LruCache<String, Entry>,
    /// Keys that neither the database nor the journal has taken yet.
    unkept: HashMap<String, KeyPair>,
    /// Counts what was closed: what was read before must not be put in afterwards.
    generation: u64,
}

struct Entry {
    pair: KeyPair,
    until: Instant,
}

/// What is known of an account's key.
pub(super) enum Found {
    /// To be used.
    Current(KeyPair),
    /// To be used if the store does not answer.
    Stale(KeyPair),
    /// The store has to be asked.
    Nothing,
}

impl Default for Opened {
    fn default() -> Self {
        Self {
            pairs: LruCache::new(NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN)),
            unkept: HashMap::new(),
            generation: 0,
        }
    }
}

impl Opened {
    /// The key of `account`, and what [`put`](Self::put) wants to be told. Whoever is told
    /// that it is stale looks into the store; the others use it meanwhile.
    pub(super) fn find(&mut self, account: &str) -> (Found, u64) {
        let (now, generation) = (Instant::now(), self.generation);
        if let Some(pair) = self.unkept.get(account) {
            return (Found::Current(pair.clone()), generation);
        }
        let found = match self.pairs.get_mut(account) {
            None => Found::Nothing,
            Some(entry) if now < entry.until => Found::Current(entry.pair.clone()),
            Some(entry) => {
                entry.until = now + PATIENCE;
                Found::Stale(entry.pair.clone())
            }
        };
        (found, generation)
    }

    /// Notes what the store has of `account`, unless it may have changed since `find`.
    pub(super) fn put(&mut self, account: &str, pair: Option<KeyPair>, generation: u64) {
        if generation != self.generation {
            return;
        }
        match pair {
            Some(pair) => {
                let entry = Entry { pair, until: Instant::now() + LIFE };
                self.pairs.put(account.to_owned(), entry);
            }
            None => {
                self.pairs.pop(account);
            }
        }
    }

    /// Drops what is known of `account`.
    pub(super) fn close(&mut self, account: &str) {
        self.generation += 1;
        self.pairs.pop(account);
        self.unkept.remove(account);
    }

    /// Holds a key that is nowhere else.
    pub(super) fn hold(&mut self, account: String, pair: KeyPair) {
        self.unkept.insert(account, pair);
    }

    /// Whether the key of `account` is still nowhere else, and wanted.
    pub(super) fn holds(&self, account: &str) -> bool {
        self.unkept.contains_key(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> KeyPair {
        KeyPair { access_key: name.to_owned(), secret_key: "secret".into() }
    }

    fn seen(opened: &mut Opened, account: &str) -> (&'static str, String) {
        match opened.find(account).0 {
            Found::Current(pair) => ("current", pair.access_key),
            Found::Stale(pair) => ("stale", pair.access_key),
            Found::Nothing => ("nothing", String::new()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_looked_after_once_its_time_is_over_and_by_one_caller() {
        let mut opened = Opened::default();
        let (_, generation) = opened.find("a");
        opened.put("a", Some(pair("k")), generation);
        tokio::time::advance(LIFE - Duration::from_millis(1)).await;
        assert_eq!(seen(&mut opened, "a").0, "current");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(seen(&mut opened, "a"), ("stale", "k".to_owned()));
        assert_eq!(seen(&mut opened, "a").0, "current", "the others do not wait");
        tokio::time::advance(PATIENCE).await;
        assert_eq!(seen(&mut opened, "a").0, "stale", "however long the store is away");
        opened.put("a", None, 0);
        assert_eq!(seen(&mut opened, "a").0, "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_a_deletion_is_not_put_in_after_it() {
        let mut opened = Opened::default();
        let (_, generation) = opened.find("a");
        opened.close("a");
        opened.put("a", Some(pair("k")), generation);
        assert_eq!(seen(&mut opened, "a").0, "nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_nowhere_else_is_never_evicted() {
        let mut opened = Opened::default();
        opened.hold("only".to_owned(), pair("k"));
        for number in 0..CAPACITY * 2 {
            opened.put(&number.to_string(), Some(pair("other")), 0);
        }
        tokio::time::advance(LIFE * 100).await;
        assert_eq!(seen(&mut opened, "only"), ("current", "k".to_owned()));
        assert_eq!(opened.pairs.len(), CAPACITY);
    }
}
