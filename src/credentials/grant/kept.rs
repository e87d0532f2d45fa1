//! A grant as the store keeps it.
//!
//! The secret is JSON of this module's own. A grant that the partner takes no longer stays
//! as a record without a token, expired, so that lists show that the user has to log in
//! again; it is put anew under the same name.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::store::{CredentialKind, Name, New, Origin};

/// The share of its life after which a grant is renewed though nobody uses it.
const RENEWAL: f64 = 0.8;
/// How often a grant is renewed whose life the partner does not tell.
const UNTOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The state of a grant.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// The refresh token that counts.
    Live(SecretString),
    /// The partner refused it for good.
    Ended(Refused),
}

/// Which refresh token was refused, the one of the version before: its successor, if
/// another replica is just about to write it, is as good as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(Option<String>);

/// The JSON.
#[derive(Deserialize, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Stored<T> {
    Live {
        refresh_token: T,
    },
    Ended {
        /// The token's SHA-256. Records of earlier versions have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
}

/// When a grant ends, and when it is renewed at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) expires: Option<Timestamp>,
    pub(super) renews: Option<Timestamp>,
}

// === impl Kept ===

impl Kept {
    /// The secret of a record; `None` for one that this version does not write.
    pub(super) fn read(secret: &SecretString) -> Option<Self> {
        Some(match serde_json::from_str(secret.expose_secret()).ok()? {
            Stored::Live { refresh_token } => Kept::Live(refresh_token),
            Stored::Ended { refused } => Kept::Ended(Refused(refused)),
        })
    }

    /// The secret for the store.
    pub(super) fn to_secret(&self) -> Result<SecretString, serde_json::Error> {
        let stored = match self {
            Kept::Live(token) => Stored::Live { refresh_token: token.expose_secret() },
            Kept::Ended(refused) => Stored::Ended { refused: refused.0.clone() },
        };
        serde_json::to_string(&stored).map(SecretString::from)
    }
}

// === impl Refused ===

impl Refused {
    /// By this token.
    pub(super) fn of(token: &SecretString) -> Self {
        Self(Some(STANDARD.encode(digest(&SHA256, token.expose_secret().as_bytes()))))
    }
}

// === impl Times ===

impl Times {
    /// Those of a grant that was used at `now` and lives for `life`.
    pub(super) fn of(life: Option<Duration>, now: Timestamp) -> Self {
        Self {
            expires: life.map(|life| later(now, life)),
            renews: Some(later(now, life.map_or(UNTOLD, |life| life.mul_f64(RENEWAL)))),
        }
    }

    /// Those of a grant that ended.
    pub(super) fn ended(now: Timestamp) -> Self {
        Self { expires: Some(now), renews: None }
    }
}

/// The name of a user's grant.
pub(super) fn name(partner: &str, user: &str) -> Name {
    let (partner, account) = (partner.to_owned(), user.to_owned());
    Name { partner, kind: CredentialKind::UserGrant, account }
}

/// A grant to be kept.
pub(super) fn new(name: Name, token: &SecretString, times: Times, origin: Origin) -> Option<New> {
    let secret = Kept::Live(token.clone()).to_secret().ok()?;
    Some(New { name, secret, expires: times.expires, renews: times.renews, origin })
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let live = Kept::Live("rt\"1".into()).to_secret().unwrap();
        assert_eq!(live.expose_secret(), r#"{"state":"live","refresh_token":"rt\"1"}"#);
        let Some(Kept::Live(token)) = Kept::read(&live) else { panic!() };
        assert_eq!(token.expose_secret(), "rt\"1");
        let ended = Kept::Ended(Refused::of(&"rt".into())).to_secret().unwrap();
        assert!(ended.expose_secret().starts_with(r#"{"state":"ended","refused":""#));
        let Some(Kept::Ended(refused)) = Kept::read(&ended) else { panic!() };
        assert_eq!(refused, Refused::of(&"rt".into()));
        assert!(matches!(Kept::read(&r#"{"state":"ended"}"#.into()), Some(Kept::Ended(_))));
        for other in ["", "{}", "rt-1", r#"{"state":"new"}"#, r#"{"state":"live"}"#] {
            assert!(Kept::read(&other.into()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_grant_is_renewed_after_80_percent_of_its_life_or_a_day() {
        let now = Timestamp::from_second(1_000).unwrap();
        let second = |seconds| Some(Timestamp::from_second(seconds).unwrap());
        let told = Times::of(Some(Duration::from_secs(1_800)), now);
        assert_eq!(told, Times { expires: second(2_800), renews: second(2_440) });
        let untold = Times::of(None, now);
        assert_eq!(untold, Times { expires: None, renews: second(1_000 + 86_400) });
        assert_eq!(Times::of(Some(Duration::MAX), now).expires, Some(Timestamp::MAX));
    }
}
