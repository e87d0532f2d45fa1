//! What answers that ask for a pause do to the gates of a partner.

use super::*;

#[tokio::test(start_paused = true)]
async fn r11_a_refusal_with_a_hint_closes_the_gate_for_everybody_and_the_wait_runs_down() {
    for status in [429, 503] {
        let refuses = refuses_once(match status {
            429 => || refusal(429, Some(Duration::from_secs(60))),
            _ => || refusal(503, Some(Duration::from_secs(60))),
        });
        let setting = given(Limits::default(), refuses).await;
        setting.call(call_of("a", 10 * SECOND)).await.unwrap_err();
        // Half of the tenth that it may be late: 63 s.
        for passed in [0, 1, 20, 30] {
            let begun = Instant::now();
            sleep(Duration::from_secs(passed)).await;
            let wait = told_wait(setting.call(call_of("b", 10 * SECOND)).await);
            assert_eq!(begun.elapsed(), Duration::from_secs(passed), "at once");
            assert!(wait >= Duration::from_secs(9) && wait <= Duration::from_secs(63));
        }
        assert_eq!(setting.sent(), 1);
        // Who has the time waits for it.
        setting.call(call_of("c", 20 * SECOND)).await.unwrap();
        let sent = setting.sent.lock().unwrap();
        assert_eq!(sent[1].0 - sent[0].0, Duration::from_secs(63));
    }
}

/// R12: `Retry-After` wins over what is left of the window.
#[tokio::test(start_paused = true)]
async fn r12_a_refusal_with_a_hint_closes_for_the_hint_whatever_is_left() {
    for (status, remaining) in [(429, 0), (503, 0), (429, 10), (503, 10)] {
        let says = move |exchange: Exchange| -> BoxFuture<'static, Answer> {
            let reset = Duration::from_secs(50);
            exchange.quota.set(Quota { remaining, limit: Some(600), reset }).unwrap();
            Box::pin(async move { Err(refusal(status, Some(2 * SECOND))) })
        };
        let setting = given(Limits::default(), says).await;
        setting.call(call_of("a", 10 * SECOND)).await.unwrap_err();
        let lane = &setting.turns.snapshot().lanes[0];
        assert_eq!((lane.closed_for, lane.paced), (Some(SECOND.mul_f64(2.1)), None));
        assert_eq!(lane.heard.map(|(quota, _)| quota.remaining), Some(remaining));
    }
}

/// R11: a hint of nothing is none, or a partner that says so would be hammered.
#[tokio::test(start_paused = true)]
async fn r11_a_hint_of_nothing_closes_the_gate_as_no_hint_does() {
    let refuses = |status| {
        move |_: Exchange| -> BoxFuture<'static, Answer> {
            Box::pin(async move { Err(refusal(status, Some(Duration::ZERO))) })
        }
    };
    let setting = given(Limits::default(), refuses(429)).await;
    for expected in [1, 2, 4, 8] {
        setting.call(call_of("a", 100 * SECOND)).await.unwrap_err();
        let closed_for = setting.turns.snapshot().lanes[0].closed_for;
        assert_eq!(closed_for, Some(Duration::from_secs(expected).mul_f64(1.05)));
    }
    let setting = given(Limits::default(), refuses(503)).await;
    setting.call(call_of("a", 10 * SECOND)).await.unwrap_err();
    assert_eq!(setting.turns.snapshot().lanes[0].closed_for, None);
}

/// R11: too many requests are one account's; a partner that serves nobody is everybody's.
#[tokio::test(start_paused = true)]
async fn r11_a_503_with_a_hint_closes_the_gate_of_every_account() {
    let of = |account: &str| {
        let call = testing::call_with(Credential::AccountSignature);
        Exchange::new(Call { account: Some(account.to_owned()), ..call })
    };
    for (status, is_closed) in [(429, false), (503, true)] {
        let refuses = refuses_once(match status {
            429 => || refusal(429, Some(Duration::from_secs(60))),
            _ => || refusal(503, Some(Duration::from_secs(60))),
        });
        let setting = given(Limits::default(), refuses).await;
        setting.service.clone().oneshot(of("a")).await.unwrap_err();
        let begun = Instant::now();
        // One that is new, and one that came before.
        for account in ["b", "a"] {
            let result = setting.service.clone().oneshot(of(account)).await;
            assert_eq!(result.is_err(), is_closed || account == "a", "{status} {account}");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

/// R11: an account that is refused for an hour is, whatever the partner says to all.
#[tokio::test(start_paused = true)]
async fn r11_a_503_with_a_hint_closes_new_accounts_for_its_own_time() {
    let refuses = |exchange: Exchange| -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            match exchange.call.account.as_deref() {
                Some("hour") => Err(refusal(429, Some(3_600 * SECOND))),
                Some("down") => Err(refusal(503, Some(5 * SECOND))),
                _ => Ok(reply()),
            }
        })
    };
    let setting = given(Limits::default(), refuses).await;
    let call = |account: &str| {
        let call = testing::call_with(Credential::AccountSignature);
        setting.call(Call { account: Some(account.to_owned()), ..call })
    };
    for account in ["hour", "down"] {
        call(account).await.unwrap_err();
    }
    let begun = Instant::now();
    call("new").await.unwrap();
    assert_eq!(begun.elapsed(), SECOND.mul_f64(5.25));
    assert!(told_wait(call("hour").await) > 3_600 * SECOND);
}
