//! Whether the database takes anything, asked before something is used up that could not
//! be kept then. An answer to a read does not tell: a standby and a full disk read well.

use uuid::Uuid;

use super::{Error, Store};

const WRITE: &str = "INSERT INTO intents (id, partner, rpc, call_id, created, settles_by) \
     VALUES ($1, '', '', $1, 0, 0)";
const REMOVE: &str = "DELETE FROM intents WHERE id = $1";

// === impl Store ===

impl Store {
    /// Proves that the database can be written: by a row that nobody gets to see.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it cannot be.
    pub async fn prove_writable(&self) -> Result<(), Error> {
        let id = Uuid::now_v7().to_string();
        let work = async {
            let mut connection = self.0.database.acquire().await?;
            let mut transaction = self.0.database.begin(&mut connection).await?;
            for statement in [WRITE, REMOVE] {
                sqlx::query(statement).bind(&id).execute(&mut *transaction).await?;
            }
            Ok(transaction.commit().await?)
        };
        self.0.database.within(work).await
    }
}
