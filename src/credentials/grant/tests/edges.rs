//! A test for each edge of the table of grants, by its name. All of them are O4, and S14
//! where the store fails.

use super::outages::Place;
use super::*;

/// The names in the first column of the table of grants in `text`.
fn named(text: &str) -> Vec<String> {
    let grants = text.split_once("## Users' grants").unwrap().1;
    let table = grants.split_once("| edge | from | event | to |").unwrap().1;
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn the_table_names_the_edges_that_are_tested() {
    let tests = include_str!("edges.rs").lines();
    let tests = tests.filter_map(|line| line.strip_prefix("async fn ")?.strip_suffix("() {"));
    let tests: Vec<_> = tests.map(str::to_owned).collect();
    assert!(tests.len() > 15);
    assert_eq!(named(include_str!("../../../../docs/credentials.md")), tests);
}

/// A grant of `u-1` whose store takes no secret from the first renewal on.
async fn refused_once(place: &Place, has_journal: bool) -> Setting {
    let setting = Setting::in_place(place, has_journal).await;
    place.refuse().await;
    let token = setting.token().await;
    assert_eq!(token.is_ok(), has_journal, "{token:?}");
    setting.time.pass(180).await;
    setting
}

/// Another replica is given another grant of the same user.
async fn put_elsewhere(setting: &Setting, place: &Place) -> String {
    let other = place.open(false, setting.time.clock()).await;
    let (fresh, now) = (setting.sso.log_in(), setting.time.clock().now());
    let new = kept::new(name(), &fresh.clone().into(), Times::of(None, now), Origin::Imported);
    other.put(new.unwrap()).await.unwrap();
    fresh
}

async fn delete_elsewhere(setting: &Setting, place: &Place) {
    let other = place.open(false, setting.time.clock()).await;
    other.delete_named(&name()).await.unwrap().unwrap();
}

/// The user's grant is renewed by a replica that is stopped while it is asking, until its
/// lease is over and `meanwhile` has been done.
async fn stopped_in_renewal(
    setting: &Setting,
    meanwhile: impl Future<Output = ()>,
) -> Result<String, Missing> {
    setting.sso.fail(Fault::Held);
    let before = setting.sso.count();
    let meanwhile = async {
        while setting.sso.count() == before {
            tokio::task::yield_now().await;
        }
        // Its answer is under way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        setting.time.jump(60);
        meanwhile.await;
        setting.sso.release();
    };
    let (token, ()) = tokio::join!(setting.token(), meanwhile);
    token
}

#[tokio::test]
async fn put() {
    let setting = without_grant().await;
    assert!(matches!(setting.token().await, Err(Missing::Absent)));
    setting.admit_code().await.unwrap();
    assert!(setting.kept().await.1.contains("rt-2"));
    assert!(setting.token().await.is_ok());
}

#[tokio::test]
async fn put_refused() {
    let setting = without_grant().await;
    let grant = Grant::RefreshToken("unknown".into());
    let error = setting.grants.admit(Some("u-1".into()), grant).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::InvalidRequest(_)));
    assert!(setting.store.get(&name()).await.unwrap().is_none());
}

#[tokio::test]
async fn put_without_store() {
    let place = Place::new();
    let setting = Setting::in_place(&place, true).await;
    place
        .execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON intents \
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
                .to_owned(),
        )
        .await;
    let error = setting.admit_code().await.unwrap_err();
    assert_eq!(error.kind(), &Kind::StoreUnavailable);
    assert_eq!(setting.sso.count(), 1, "the code is not used");
}

#[tokio::test]
async fn put_held() {
    let place = Place::new();
    let setting = Setting::in_place(&place, false).await;
    place.refuse().await;
    let error = setting.admit_code().await.unwrap_err();
    assert_eq!(error.kind(), &Kind::StoreUnavailable);
    assert!(matches!(setting.token().await, Err(Missing::Failed(_))));
    assert_eq!(setting.sso.count(), 2, "nothing is shown that was not kept");
    place.accept().await;
    setting.time.pass(2).await;
    assert_eq!(setting.token().await.unwrap(), "at-5", "by what was held");
}

#[tokio::test]
async fn renewed() {
    let setting = given().await;
    assert_eq!(setting.token().await.unwrap(), "at-3");
    let (record, kept) = setting.kept().await;
    assert!(record.version == 2 && kept.contains("rt-3"), "{kept}");
}

#[tokio::test]
async fn renewed_unused() {
    let setting = given().await;
    let renewal = &setting.grants.0.renewal;
    let stop = CancellationToken::new();
    setting.time.jump(1439);
    keep_alive::round(renewal, &stop).await;
    assert_eq!(setting.sso.count(), 1, "it is not due");
    setting.time.jump(1);
    keep_alive::round(renewal, &stop).await;
    assert!(setting.kept().await.1.contains("rt-3"));
}

#[tokio::test]
async fn failed() {
    let setting = given().await;
    setting.sso.fail(Fault::Busy);
    assert!(matches!(setting.token().await, Err(Missing::Failed(_))));
    assert!(setting.kept().await.1.contains("rt-2"));
    setting.time.pass(60).await;
    assert!(setting.token().await.is_ok());
}

#[tokio::test]
async fn failed_unused() {
    for status in [500, 503] {
        let setting = given().await;
        setting.sso.answer_unknown(status);
        let clock = setting.time.clock();
        let times = Times::of(Some(Duration::from_secs(100)), clock.now());
        for number in 0..70 {
            let name = Name { account: format!("broken-{number}"), ..name() };
            let new = kept::new(name, &"unknown".into(), times, Origin::Imported);
            setting.store.put(new.unwrap()).await.unwrap();
        }
        setting.time.jump(1500);
        for _ in 0..10 {
            keep_alive::round(&setting.grants.0.renewal, &CancellationToken::new()).await;
            setting.time.jump(1);
        }
        assert!(setting.kept().await.1.contains("rt-3"), "{status}: it had its turn");
        if status == 500 {
            assert_eq!(setting.sso.count(), 2 + 70, "each failed once, and waits");
        }
    }
}

#[tokio::test]
async fn refused() {
    let setting = given().await;
    setting.sso.revoke();
    assert!(matches!(setting.token().await, Err(Missing::Ended)));
    setting.time.pass(3600).await;
    assert!(matches!(setting.token().await, Err(Missing::Ended)));
    assert_eq!(setting.sso.count(), 2, "it is not asked for again");
}

/// A replica is stopped in the middle of a renewal, and the next shows the same token.
#[tokio::test]
async fn successor_over_ended() {
    let setting = given().await;
    let replica = setting.replica();
    let token_here = stopped_in_renewal(&setting, async {
        assert!(matches!(token(&replica).await, Err(Missing::Ended)));
        assert!(setting.kept().await.1.contains("ended"));
    });
    assert_eq!(token_here.await.unwrap(), "at-3");
    assert!(setting.kept().await.1.contains("rt-3"), "the successor is as good as before");
    setting.time.pass(10).await;
    assert_eq!(token(&replica).await.unwrap(), "at-4");
}

#[tokio::test]
async fn successor_over_same() {
    let setting = given().await;
    let token_here = stopped_in_renewal(&setting, async {
        // Another replica has written the same token again, without rotation.
        let (record, secret) = setting.store.get(&name()).await.unwrap().unwrap();
        let Record { version, expires, renews, .. } = record;
        let (store, name) = (&setting.store, name());
        assert!(store.replace(&name, version, &secret, expires, renews).await.unwrap());
    });
    assert_eq!(token_here.await.unwrap(), "at-3");
    let (record, kept) = setting.kept().await;
    assert!(record.version == 3 && kept.contains("rt-3"), "{kept}");
}

#[tokio::test]
async fn put_in_renewal() {
    let setting = given().await;
    let token_here = stopped_in_renewal(&setting, async {
        let (fresh, now) = (setting.sso.log_in().into(), setting.time.clock().now());
        let new = kept::new(name(), &fresh, Times::of(None, now), Origin::Imported);
        setting.store.put(new.unwrap()).await.unwrap();
    });
    let token_here = token_here.await.unwrap();
    assert_eq!(setting.sso.requests().pop().unwrap().split('=').next_back().unwrap(), "code-4");
    assert_eq!(token_here, "at-5");
    assert!(setting.kept().await.1.contains("rt-5"));
}

#[tokio::test]
async fn deleted_in_renewal() {
    let setting = given().await;
    let token_here = stopped_in_renewal(&setting, async {
        setting.store.delete_named(&name()).await.unwrap();
    });
    assert!(matches!(token_here.await, Err(Missing::Absent)));
    assert!(setting.store.get(&name()).await.unwrap().is_none());
}

#[tokio::test]
async fn journalled() {
    let place = Place::new();
    let setting = refused_once(&place, true).await;
    // Leases can be had, and the token in the journal must not be used before it is home.
    assert!(matches!(setting.token().await, Err(Missing::Failed(_))));
    assert_eq!((setting.sso.count(), setting.store.journalled()), (2, 1));
    place.accept().await;
    setting.time.pass(2).await;
    assert_eq!(setting.token().await.unwrap(), "at-4");
    assert_eq!(setting.store.journalled(), 0);
    assert!(setting.kept().await.1.contains("rt-4"));
}

#[tokio::test]
async fn journalled_over_ended() {
    let place = Place::new();
    let setting = refused_once(&place, true).await;
    place.accept().await;
    let other = place.open(false, setting.time.clock()).await;
    let replica = grants(&setting.sso, &other, setting.time.clock());
    assert!(matches!(token(&replica).await, Err(Missing::Ended)));
    assert_eq!(setting.store.replay_journal().await.unwrap(), 1);
    assert!(setting.kept().await.1.contains("rt-3"));
    assert_eq!(setting.token().await.unwrap(), "at-4");
}

#[tokio::test]
async fn journalled_and_put() {
    let place = Place::new();
    let setting = refused_once(&place, true).await;
    place.accept().await;
    // The other replica's clock is behind: it is not asked.
    let fresh = put_elsewhere(&Setting { time: Time::new(), ..setting.clone() }, &place).await;
    assert_eq!(setting.store.replay_journal().await.unwrap(), 1);
    assert!(setting.kept().await.1.contains(&fresh));
}

#[tokio::test]
async fn journalled_and_deleted() {
    let place = Place::new();
    let setting = refused_once(&place, true).await;
    place.accept().await;
    delete_elsewhere(&setting, &place).await;
    assert_eq!(setting.store.replay_journal().await.unwrap(), 1);
    assert!(setting.store.get(&name()).await.unwrap().is_none(), "it does not come back");
}

#[tokio::test]
async fn held() {
    let place = Place::new();
    let setting = refused_once(&place, false).await;
    assert!(matches!(setting.token().await, Err(Missing::Failed(_))));
    assert_eq!(setting.sso.count(), 2, "what is used up is not shown again");
    place.accept().await;
    // Nobody has to ask for it.
    keep_alive::round(&setting.grants.0.renewal, &CancellationToken::new()).await;
    assert!(setting.kept().await.1.contains("rt-3"));
}

#[tokio::test]
async fn held_and_put() {
    let place = Place::new();
    let setting = refused_once(&place, false).await;
    place.accept().await;
    let fresh = put_elsewhere(&setting, &place).await;
    setting.grants.0.renewal.bring_all_home().await;
    assert!(setting.kept().await.1.contains(&fresh));
}

#[tokio::test]
async fn held_and_deleted() {
    let place = Place::new();
    let setting = refused_once(&place, false).await;
    place.accept().await;
    delete_elsewhere(&setting, &place).await;
    assert!(matches!(setting.token().await, Err(Missing::Absent)));
}

#[tokio::test]
async fn put_again() {
    let setting = given().await;
    setting.sso.revoke();
    assert!(matches!(setting.token().await, Err(Missing::Ended)));
    setting.admit_code().await.unwrap();
    assert!(setting.token().await.is_ok());
}

#[tokio::test]
async fn deleted() {
    let setting = given().await;
    setting.token().await.unwrap();
    setting.store.delete_named(&name()).await.unwrap();
    setting.grants.forget("u-1");
    assert!(matches!(setting.token().await, Err(Missing::Absent)));
}
