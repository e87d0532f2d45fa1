//! What the Trustap double remembers. One store per part, so that a life cycle can be read
//! without the others.

use jiff::{SignedDuration, Timestamp};

use super::charge::Versions;
use super::notification::Notification;
use super::settings::{Settings, Switches};
use super::sso::Sso;
use super::user::Users;
use super::{f2f, listing, online};

/// All of it, in its starting state after a reset.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) switches: Switches,
    pub(crate) users: Users,
    pub(crate) versions: Versions,
    pub(crate) online: online::Store,
    pub(crate) f2f: f2f::Store,
    pub(crate) listings: listing::Listings,
    pub(crate) sso: Sso,
    /// Oldest first.
    pub(crate) notifications: Vec<Notification>,
    /// Ids rise through all kinds, so that one taken for another is found.
    last_id: i64,
}

// === impl State ===

impl State {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            switches: settings.switches.clone(),
            users: Users::default(),
            versions: Versions::default(),
            online: online::Store::default(),
            f2f: f2f::Store::default(),
            listings: listing::Listings::default(),
            sso: Sso::default(),
            notifications: Vec::new(),
            last_id: 1308,
        }
    }

    /// Lets happen what the clock has brought since the last request.
    pub(crate) fn pass_time(&mut self, now: Timestamp) {
        online::pass_time(self, now);
        f2f::pass_time(self, now);
    }

    /// An id that nothing else has.
    pub(crate) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

/// A moment as transactions show it: RFC 3339 to the second.
pub(crate) fn time(moment: Timestamp) -> String {
    format!("{moment:.0}")
}

/// A moment so many seconds later, held at the end of the representable range.
pub(crate) fn later(moment: Timestamp, seconds: i64) -> Timestamp {
    moment.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
