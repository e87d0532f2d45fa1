//! Calls whose caller stops waiting, and what becomes of their answers.

use super::*;

fn read_with(patience: Duration) -> Call {
    let operation = testing::read_operation(&[Credential::Signature]);
    Call { operation, deadline: Instant::now() + patience, ..call() }
}

#[tokio::test]
async fn the_deadline_bounds_the_wait_for_a_token() {
    let setting = given(|_, _| Act::SendAndStall(Vec::new())).await;
    let mut call = bearer_call();
    call.deadline = Instant::now() + Duration::from_millis(300);
    let error = setting.call(call).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::NotSent));
    assert_eq!((error.attempts(), setting.status.attempts()), (0, 0));
}

#[tokio::test]
async fn the_deadline_bounds_the_wait_for_an_answer() {
    let setting = given(|_, _| Act::SendAndStall(Vec::new())).await;
    let mut call = call();
    call.deadline = Instant::now() + Duration::from_millis(300);
    let error = setting.call(call).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::Unknown));
    assert_eq!((error.attempts(), setting.status.failures()), (1, 0));
}

#[tokio::test]
async fn a_read_is_dropped_at_its_deadline_and_counted() {
    let setting = given(|_, _| Act::SendAndStall(Vec::new())).await;
    let error = setting.call(read_with(Duration::from_millis(300))).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::Unknown));
    assert_eq!((error.attempts(), setting.status.failures()), (1, 1));
    assert_eq!(setting.status.last_failure().unwrap().kind, "ABANDONED");
}

#[tokio::test]
async fn g17_a_late_answer_is_kept_with_the_key_that_it_shows() {
    let late = Duration::from_millis(300);
    let key = r#"{"account":"S-1","access":"ak-1","secret":"sk-1"}"#;
    let setting = given(move |_, _| Act::SendLate(late, answer(200, "", key))).await;
    let create = |patience| Call {
        request_id: Some(Uuid::from_u128(7)),
        deadline: Instant::now() + patience,
        ..call()
    };
    let error = setting.call(create(late / 3)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::Unknown));
    setting.settle().await;

    let reply = setting.call(create(20 * late)).await.unwrap();
    assert_eq!((reply.replayed, &*reply.body), (true, key.as_bytes()));
    let of_account =
        Call { account: Some("S-1".into()), ..call_with(Credential::AccountSignature) };
    setting.call(of_account).await.unwrap();
    let requests = setting.server.requests();
    assert_eq!(requests.len(), 2, "one creates, one signs with its key");
    assert!(requests[1].header("x-signature").unwrap().starts_with("ak-1 sk-1"));
}

#[tokio::test]
async fn g17_a_key_is_kept_though_the_caller_of_its_creation_is_gone() {
    let late = Duration::from_millis(300);
    let key = r#"{"account":"S-1","access":"ak-1","secret":"sk-1"}"#;
    let setting = given(move |_, _| Act::SendLate(late, answer(200, "", key))).await;
    tokio::time::timeout(late / 3, setting.call(call())).await.unwrap_err();
    setting.settle().await;
    let of_account =
        Call { account: Some("S-1".into()), ..call_with(Credential::AccountSignature) };
    setting.call(of_account).await.unwrap();
}

/// The caller was told NOT_SENT: the token that comes too late is for others.
#[tokio::test]
async fn g17_a_write_is_not_sent_when_its_token_comes_after_the_deadline() {
    let late = Duration::from_millis(300);
    let setting = given(move |request, _| match is_token(request) {
        true => Act::SendLate(
            late,
            answer(200, "", r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#),
        ),
        false => done(),
    })
    .await;
    let write = |patience| Call {
        request_id: Some(Uuid::from_u128(7)),
        deadline: Instant::now() + patience,
        ..bearer_call()
    };
    let error = setting.call(write(late / 3)).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::Timeout, Outcome::NotSent));
    // The record of what was not sent is not held until the token comes: it is gone as soon
    // as the store has dropped it.
    let freed = Instant::now() + late / 3;
    let reply = loop {
        match setting.call(write(20 * late)).await {
            Err(error) if *error.kind() == Kind::RequestInFlight => assert!(Instant::now() < freed),
            answered => break answered.unwrap(),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(!reply.replayed);
    setting.settle().await;
    assert_eq!(setting.server.requests_to("/things").len(), 1);
}

/// G10: the domain of a reason does not depend on who ended the waiting.
#[tokio::test]
async fn whoever_ends_an_attempt_its_error_names_the_host() {
    let setting = given(|_, _| Act::SendAndStall(Vec::new())).await;
    let soon = Duration::from_millis(100);
    let write = || Call { deadline: Instant::now() + soon, ..call() };
    let read = || read_with(soon);
    for error in [setting.call(write()).await, setting.call(read()).await] {
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.host()), (&Kind::Timeout, Some("127.0.0.1")));
    }
    let unsent = Call { deadline: Instant::now(), ..call() };
    assert_eq!(setting.call(unsent).await.unwrap_err().host(), None);

    let stop = async {
        tokio::time::sleep(soon).await;
        setting.stopping.cancel();
    };
    let (result, ()) = tokio::join!(setting.call(call()), stop);
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::ShuttingDown, Outcome::Unknown));
    assert_eq!((error.host(), error.attempts()), (Some("127.0.0.1"), 1));
    let error = setting.call(call()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&Kind::ShuttingDown, Outcome::NotSent));
    assert_eq!((error.host(), error.attempts()), (None, 0));
}
