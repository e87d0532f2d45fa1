//! R2: what a partner sees of a thousand calls a second that all fail.

use super::*;

const PER_SECOND: u32 = 1_000;

/// The calls of `seconds`, each told in the order in which they were made.
async fn storm(setting: &Setting, seconds: u32) -> Vec<Result<Reply, Error>> {
    let calls = (0..seconds * PER_SECOND).map(|number| async move {
        sleep(number * (SECOND / PER_SECOND)).await;
        setting.call(read()).await
    });
    join_all(calls).await
}

#[tokio::test(start_paused = true)]
async fn r2_a_partner_that_fails_sees_a_fifth_more_and_recovers() {
    let (seconds, calls) = (20, 20 * usize::try_from(PER_SECOND).unwrap());
    let setting = given([status(503)]).await;

    let failed = storm(&setting, seconds).await;

    let requests = setting.script.times().len();
    let reserve = usize::try_from(seconds).unwrap() + 10;
    assert!(requests <= calls + calls / 5 + reserve, "{requests} for {calls} calls");
    assert!(requests >= calls + calls / 5 - 10, "the budget is used: {requests}");
    for result in failed {
        let error = result.unwrap_err();
        assert_eq!(error.http_status().map(|s| s.as_u16()), Some(503), "the original error");
    }

    // As soon as it is well, every call goes through; soon its budget is as it was.
    *setting.script.acts.lock().unwrap() = [ok()].into();
    assert!(storm(&setting, 1).await.iter().all(Result::is_ok));
    sleep(10 * SECOND).await;
    assert_eq!(setting.budget.balance().left, 10);
    *setting.script.acts.lock().unwrap() = [status(503), ok()].into();
    assert_eq!(setting.call(read()).await.unwrap().attempts, 2);
}
