//! What is told of a credential without opening its secret.

use uuid::Uuid;

use super::row::{Credential, credential_columns};
use super::{Error, Record, Store};

const FIND: &str = concat!("SELECT ", credential_columns!(), " FROM credentials WHERE id = $1");

// === impl Store ===

impl Store {
    /// The credential of an id, without its secret, whether or not that can be opened.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the database does not answer.
    pub async fn describe(&self, id: Uuid) -> Result<Option<Record>, Error> {
        let query = sqlx::query(FIND).bind(id.to_string());
        let found = self.0.database.rows(query).await;
        match found.and_then(|rows| rows.first().map(Credential::read).transpose()) {
            Ok(Some(found)) => Ok(Some(found.record)),
            found => match self.journalled_description(id) {
                Some(record) => Ok(Some(record)),
                None => found.map(|_| None),
            },
        }
    }

    fn journalled_description(&self, id: Uuid) -> Option<Record> {
        let records = self.0.journal.as_ref()?.entries().into_iter();
        let mut records = records.map(|entry| entry.credential.record);
        records.find(|record| record.id == id)
    }
}
