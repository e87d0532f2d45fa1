use super::*;

#[test]
fn what_is_written_is_read_again_and_nothing_else_is() {
    let kept = KeyPair { access_key: "a\"b".into(), secret_key: "s\\\n\u{1F511}".into() };
    let again = read(&write(&kept)).unwrap();
    assert_eq!(again.access_key, kept.access_key);
    assert_eq!(again.secret_key.expose_secret(), kept.secret_key.expose_secret());
    let error = read(&r#"{"secret_key":"canary"}"#.into()).unwrap_err();
    assert!(!format!("{error:?}").contains("canary"));
}

struct Setting {
    vault: Vault,
    store: Store,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

async fn given() -> Setting {
    let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
    let store = Store::in_memory(Clock::system()).await.unwrap();
    let (clock, tasks_of_it) = (Clock::system(), tasks.clone());
    let means =
        Means { store: store.clone(), clock, tasks: tasks_of_it, stopping: stopping.clone() };
    Setting { vault: Vault::new("example", means), store, stopping, tasks }
}

fn pair(name: &str) -> KeyPair {
    KeyPair { access_key: name.to_owned(), secret_key: "secret".into() }
}

impl Setting {
    /// An intent whose key nothing has taken.
    async fn held(&self, account: &str, access_key: &str) -> Uuid {
        let intent = NewIntent {
            partner: "example".to_owned(),
            rpc: "rpc".to_owned(),
            call_id: Uuid::nil(),
            settles_by: Timestamp::MAX,
        };
        let id = self.store.begin_intent(intent).await.unwrap();
        let pair = pair(access_key);
        let new = self.vault.new_record(account, &pair, Origin::Issued);
        Intent::new(id, self.vault.clone()).keep_in_memory(account.to_owned(), pair, new);
        id
    }

    /// The access key that the store has, and the flags of the intents, when everything
    /// that goes on has come to its end.
    async fn left(&self, account: &str) -> (Option<String>, Vec<bool>) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let found = self.store.get(&name("example", account)).await.unwrap();
        let found = found.map(|(_, secret)| read(&secret).unwrap().access_key);
        let intents = self.store.intents(&store::IntentFilter::default(), 10, None).await;
        let flags = intents.unwrap().items.into_iter().map(|intent| intent.flag.is_some());
        (found, flags.collect())
    }
}

#[tokio::test]
async fn s14_a_key_that_is_only_held_is_written_though_the_partner_refuses_it() {
    let setting = given().await;
    setting.held("S-1", "only").await;
    setting.vault.refresh("S-1");
    assert_eq!(setting.vault.get("S-1").await.unwrap().unwrap().access_key, "only");
    assert_eq!(setting.left("S-1").await, (Some("only".to_owned()), vec![]));
}

#[tokio::test]
async fn s14_a_key_that_is_only_held_makes_way_for_one_that_is_put() {
    let setting = given().await;
    setting.held("S-1", "only").await;
    setting.vault.import("S-1", &pair("put")).await.unwrap();
    assert_eq!(setting.vault.get("S-1").await.unwrap().unwrap().access_key, "put");
    assert_eq!(setting.left("S-1").await, (Some("put".to_owned()), vec![]));
}

/// Which of the two is the account's only a person can tell.
#[tokio::test]
async fn s14_a_key_that_is_only_held_does_not_replace_one_that_another_replica_was_given() {
    let setting = given().await;
    setting.held("S-1", "only").await;
    let put = setting.vault.new_record("S-1", &pair("put"), Origin::Imported);
    setting.store.put(put).await.unwrap();
    assert_eq!(setting.left("S-1").await, (Some("put".to_owned()), vec![true]));
    assert!(setting.vault.0.cache.opened().held("S-1").is_none());
}

#[tokio::test]
async fn s14_a_key_that_is_only_held_ends_with_its_account() {
    let setting = given().await;
    setting.held("S-1", "only").await;
    setting.vault.delete("S-1".to_owned()).await;
    assert!(setting.vault.get("S-1").await.unwrap().is_none());
    assert_eq!(setting.left("S-1").await, (None, vec![]));
}

/// Another replica has sealed it with a key that this one has not read yet.
#[tokio::test]
async fn a_record_under_a_key_that_is_not_known_yet_is_an_outage() {
    let setting = given().await;
    setting.vault.import("S-1", &pair("k")).await.unwrap();
    setting.vault.get("S-1").await.unwrap();
    setting.store.set_keyring(crate::seal::Keyring::generate().unwrap());
    setting.vault.refresh("S-1");
    assert_eq!(setting.vault.get("S-1").await.unwrap().unwrap().access_key, "k");
    setting.vault.forget("S-1").await;
    let error = setting.vault.get("S-1").await.unwrap_err();
    assert_eq!(*error.kind(), Kind::StoreUnavailable);
}

#[test]
fn a_damaged_record_does_not_pass_by_itself() {
    let error = of_store(store::Error::Corrupt(Damage::Column));
    assert_eq!(*error.kind(), Kind::Internal);
    assert!(matches!(seen(Err(store::Error::InvalidName)), Ok(None)));
}
