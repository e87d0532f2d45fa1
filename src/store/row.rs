//! Between the columns of the database and the types of the store.

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::{CredentialKind, Damage, Error, Flag, Intent, Name, Origin, Record};
use crate::seal::{Identity, Keyring, Sealed, Unsealable};

/// The columns that `record` and `sealed` read.
macro_rules! credential_columns {
    () => {
        "id, partner, kind, account, version, secret, kek_id, origin, created, updated, \
         last_used, expires, renews"
    };
}
pub(super) use credential_columns;

/// A credential as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) record: Record,
    /// The sealed secret's bytes.
    pub(super) secret: Vec<u8>,
}

// === impl Credential ===

impl Credential {
    /// Reads a row of [`credential_columns`].
    pub(super) fn read(row: &AnyRow) -> Result<Self, Error> {
        let kind = CredentialKind::parse(row.try_get("kind")?).ok_or(COLUMN)?;
        let name =
            Name { partner: row.try_get("partner")?, kind, account: row.try_get("account")? };
        let record = Record {
            id: id(row, "id")?,
            name,
            version: row.try_get("version")?,
            created: time(row.try_get("created")?),
            updated: time(row.try_get("updated")?),
            last_used: optional_time(row, "last_used")?,
            expires: optional_time(row, "expires")?,
            renews: optional_time(row, "renews")?,
            origin: Origin::parse(row.try_get("origin")?).ok_or(COLUMN)?,
            kek_id: row.try_get("kek_id")?,
        };
        Ok(Self { record, secret: row.try_get("secret")? })
    }

    /// Seals the secret of a record.
    pub(super) fn seal(
        keyring: &Keyring,
        record: Record,
        secret: &SecretString,
    ) -> Result<Self, Error> {
        let plain = secret.expose_secret().as_bytes();
        let sealed = keyring.seal(&identity(&record), plain)?;
        let record = Record { kek_id: sealed.kek_id().to_string(), ..record };
        Ok(Self { record, secret: sealed.to_bytes() })
    }

    /// Opens the secret.
    pub(super) fn open(&self, keyring: &Keyring) -> Result<SecretString, Error> {
        let sealed = Sealed::from_bytes(&self.secret)?;
        text(&keyring.open(&identity(&self.record), &sealed)?)
    }
}

/// What a credential's seal binds.
pub(super) fn identity(record: &Record) -> Identity<'_> {
    Identity {
        purpose: "credentials.secret",
        partner: &record.name.partner,
        kind: record.name.kind.as_str(),
        account: &record.name.account,
        id: record.id,
        version: record.version,
    }
}

const COLUMN: Error = Error::Corrupt(Damage::Column);

/// Reads an intent.
pub(super) fn intent(row: &AnyRow) -> Result<Intent, Error> {
    let since = optional_time(row, "flagged")?;
    let reason: Option<String> = row.try_get("reason")?;
    Ok(Intent {
        id: id(row, "id")?,
        partner: row.try_get("partner")?,
        rpc: row.try_get("rpc")?,
        call_id: id(row, "call_id")?,
        created: time(row.try_get("created")?),
        settles_by: time(row.try_get("settles_by")?),
        flag: since.map(|since| Flag { since, reason: reason.unwrap_or_default() }),
    })
}

/// The text of a secret that was opened.
fn text(plain: &secrecy::SecretSlice<u8>) -> Result<SecretString, Error> {
    let copy = Zeroizing::new(plain.expose_secret().to_vec());
    let text = std::str::from_utf8(&copy).map_err(|_| Unsealable::Tampered)?;
    Ok(SecretString::from(text))
}

fn id(row: &AnyRow, column: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(row.try_get(column)?).map_err(|_| COLUMN)
}

fn optional_time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(time))
}

/// A time from the database. One at the end of time reads as the end.
pub(super) fn time(micros: i64) -> Timestamp {
    let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(end)
}

/// A time as it is kept.
pub(super) fn kept(at: Timestamp) -> Timestamp {
    time(at.as_microsecond())
}

/// A time for the database.
pub(super) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_microsecond)
}
