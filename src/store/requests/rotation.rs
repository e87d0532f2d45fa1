//! Answers under a new key-encryption key, like all else that is sealed.

use sqlx::any::AnyRow;

use super::super::Error;
use super::super::rotation::{Holder, Statements, statements};
use super::record::Request;
use crate::seal::Identity;

// === impl Request ===

impl Holder for Request {
    // Few at a time: each holds an answer.
    const SQL: Statements = statements!(
        "requests",
        "id, key, partner, rpc, fingerprint, state, settles_by, ended, answer, kek_id",
        "answer",
        10
    );

    fn read(row: &AnyRow) -> Result<Self, Error> {
        Self::read(row)
    }

    fn identity(&self) -> Identity<'_> {
        self.key.identity(self.id)
    }

    fn bytes(&self) -> &[u8] {
        self.answer.as_deref().unwrap_or_default()
    }
}
