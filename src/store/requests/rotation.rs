//! Answers under a new key-encryption key.

use std::collections::VecDeque;

use super::super::{Error, Store};
use super::record::Request;
use crate::seal::Keyring;

/// How many records are read at a time; each holds an answer.
const PAGE: i64 = 10;

const UNDER_ANOTHER: &str = "SELECT id, key, partner, rpc, fingerprint, state, settles_by, ended, \
     answer, kek_id FROM requests WHERE kek_id <> $1 AND id > $2 ORDER BY id LIMIT $3";
const REWRAP: &str = "UPDATE requests SET answer = $1, kek_id = $2 WHERE id = $3 AND answer = $4";

// === impl Store ===

impl Store {
    /// Wraps the data keys of up to `batch` answers under the keyring's first key. Says how
    /// many it did.
    pub(in crate::store) async fn rotate_requests(
        &self,
        keyring: &Keyring,
        batch: u64,
    ) -> Result<u64, Error> {
        let (mut rewrapped, mut last, mut page) = (0, String::new(), VecDeque::new());
        while rewrapped < batch {
            if page.is_empty() {
                page = self.requests_under_another(keyring, &last).await?;
            }
            let Some(request) = page.pop_front() else { break };
            last = request.id.to_string();
            rewrapped += u64::from(self.rewrap_request(keyring, &request).await?);
        }
        Ok(rewrapped)
    }

    async fn requests_under_another(
        &self,
        keyring: &Keyring,
        after: &str,
    ) -> Result<VecDeque<Request>, Error> {
        let query = sqlx::query(UNDER_ANOTHER).bind(keyring.first_id().to_string());
        let rows = self.0.database.rows(query.bind(after).bind(PAGE)).await?;
        rows.iter().map(Request::read).collect()
    }

    /// Says whether it did; not if somebody else changed the record meanwhile.
    async fn rewrap_request(&self, keyring: &Keyring, old: &Request) -> Result<bool, Error> {
        let new = match old.rewrap(keyring) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.tell_unopenable(old.id, &error);
                return Ok(false);
            }
        };
        let query = sqlx::query(REWRAP)
            .bind(new.to_bytes())
            .bind(new.kek_id().to_string())
            .bind(old.id.to_string())
            .bind(old.answer.as_deref());
        Ok(self.0.database.change(query).await? == 1)
    }
}
