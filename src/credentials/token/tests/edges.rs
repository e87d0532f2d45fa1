//! A test for each edge of the table, by its name. All of them are O1 to O8.

use super::*;

const NONE: Duration = Duration::ZERO;

/// The names in the first column of the table of edges in `text`.
fn named(text: &str, mark: &str) -> Vec<String> {
    let table = text.split_once(&format!("{mark}| edge | from | event | to |")).unwrap().1;
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix(mark)?.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
}

#[test]
fn the_tables_name_the_edges_that_are_tested() {
    let tests = include_str!("edges.rs").lines();
    let tests = tests.filter_map(|line| line.strip_prefix("async fn ")?.strip_suffix("() {"));
    let tests: Vec<_> = tests.map(str::to_owned).collect();
    assert!(tests.len() > 20);
    assert_eq!(named(include_str!("../../token.rs"), "//! "), tests);
    assert_eq!(named(include_str!("../../../../docs/credentials.md"), ""), tests);
}

#[tokio::test(start_paused = true)]
async fn first_caller() {
    let setting = given([(SECOND, Ok(3600))]);
    advance(3600 * SECOND).await;
    assert_eq!(setting.fetches(), 0, "nobody has asked");
    assert!(setting.source.token().now_or_never().is_none());
    settle().await;
    assert_eq!(setting.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_callers() {
    let setting = given([(SECOND, Ok(3600))]);
    let tokens = join_all((0..100).map(|_| setting.token())).await;
    assert!(tokens.iter().all(|token| token == "token-1"));
    assert_eq!(setting.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn caller_gone() {
    let setting = given([(SECOND, Ok(3600))]);
    assert!(setting.source.token().now_or_never().is_none(), "and it is dropped");
    sleep(SECOND + SECOND / 100).await;
    assert!(setting.source.token().now_or_never().is_some());
    assert_eq!(setting.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn token_came() {
    let setting = given([(SECOND, Ok(100))]);
    assert_eq!(setting.token().await, "token-1");
    assert_eq!(*setting.events.lock().unwrap(), [Event::Issued(Some(89 * SECOND))]);
}

#[tokio::test(start_paused = true)]
async fn token_without_life() {
    let setting = given([(NONE, Ok(0)), (NONE, Ok(0))]);
    assert_eq!(setting.token().await, "token-1");
    let start = Instant::now();
    assert_eq!((setting.token().await, start.elapsed()), ("token-2".into(), SECOND));
}

#[tokio::test(start_paused = true)]
async fn token_past_its_life() {
    let setting = given([(20 * SECOND, Ok(10))]);
    assert!(!setting.source.token().await.unwrap_err().permanent);
    advance(SECOND / 4).await;
    assert_eq!(setting.token().await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn failed_for_now() {
    for (draw, pauses) in [(0.0, [100, 100, 100, 100]), (1.0, [500, 1000, 1500, 1500])] {
        let random = Random::from_fn(move || draw);
        let setting = given_with(random, std::iter::repeat_n((NONE, transient()), 9));
        for (before, pause) in pauses.into_iter().enumerate() {
            assert!(!setting.source.token().await.unwrap_err().permanent);
            assert_eq!(setting.fetches(), before + 1);
            advance(Duration::from_millis(pause - 1)).await;
            assert!(setting.source.token().await.is_err());
            assert_eq!(setting.fetches(), before + 1, "{draw}: not yet");
            advance(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failed_for_good() {
    let setting = given(std::iter::repeat_n((NONE, permanent()), 9));
    for (before, minutes) in [1, 2, 4, 8, 15, 15].into_iter().enumerate() {
        assert!(setting.source.token().await.unwrap_err().permanent);
        assert_eq!(setting.fetches(), before + 1);
        advance(minutes * 60 * SECOND - Duration::from_millis(1)).await;
        assert!(setting.source.token().await.is_err());
        assert_eq!(setting.fetches(), before + 1, "not yet");
        advance(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn told_to_wait() {
    for (told, waited) in [(40, 40), (1 << 31, 15 * 60)] {
        let retry_after = Some(told * SECOND);
        let refusal = Refusal { retry_after, ..Refusal::transient("too many") };
        let setting = given([(NONE, Err(refusal))]);
        assert!(setting.source.token().await.is_err());
        advance(waited * SECOND - Duration::from_millis(1)).await;
        assert!(setting.source.token().await.is_err());
        advance(Duration::from_millis(1)).await;
        assert_eq!(setting.token().await, "token-2");
    }
}

#[tokio::test(start_paused = true)]
async fn cut_off() {
    let count = AtomicUsize::new(0);
    let fetch: Fetch = Box::new(move || match count.fetch_add(1, Ordering::SeqCst) {
        0 => async { panic!("cut off") }.boxed(),
        _ => async { Ok(Issued { secret: "t".into(), lifetime: Some(SECOND) }) }.boxed(),
    });
    let source = TokenSource::new(fetch, TaskTracker::new(), Box::new(|_| ()));
    assert!(!source.token().await.unwrap_err().permanent);
    assert!(source.token().await.is_err(), "one that is lost every time is not asked for at once");
    advance(SECOND / 2).await;
    assert!(source.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn asked_in_a_pause() {
    let setting = given([(NONE, permanent())]);
    assert!(setting.source.token().await.is_err());
    let refused = setting.source.token().now_or_never().expect("at once");
    assert!(refused.unwrap_err().permanent, "with the reason");
    let pause = 60 * SECOND;
    assert_eq!(*setting.events.lock().unwrap(), [Event::Failed { permanent: true, pause }]);
}

#[tokio::test(start_paused = true)]
async fn pause_over() {
    let setting = given([(NONE, permanent())]);
    assert!(setting.source.token().await.is_err());
    advance(3600 * SECOND).await;
    assert_eq!(setting.fetches(), 1, "nobody has asked");
    assert_eq!(setting.token().await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn secret_changed() {
    let setting = given([(NONE, permanent())]);
    assert!(setting.source.token().await.is_err());
    setting.source.secret_changed();
    assert_eq!(setting.token().await, "token-2");
    assert_eq!(setting.events.lock().unwrap()[1], Event::Forgiven);
    // It changes nothing for a token that is good.
    setting.source.secret_changed();
    assert_eq!(setting.token().await, "token-2");
}

/// O2: the bounds of the jitter.
#[tokio::test(start_paused = true)]
async fn asked_early() {
    for (draw, percent) in [(1.0, 72), (0.5, 76), (0.0, 80)] {
        let setting = given_with(Random::from_fn(move || draw), [(NONE, Ok(1000))]);
        setting.token().await;
        advance(percent * 10 * SECOND - SECOND).await;
        setting.token().await;
        settle().await;
        assert_eq!(setting.fetches(), 1, "{percent}");
        advance(SECOND).await;
        setting.token().await;
        settle().await;
        assert_eq!(setting.fetches(), 2, "{percent}");
    }
}

#[tokio::test(start_paused = true)]
async fn asked_late() {
    let setting = given([(NONE, Ok(100)), (SECOND, Ok(100))]);
    setting.token().await;
    advance(80 * SECOND).await;
    let tokens = join_all((0..100).map(|_| setting.token())).now_or_never().expect("no waiting");
    assert!(tokens.iter().all(|token| token == "token-1"));
    settle().await;
    assert_eq!(setting.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn renewed() {
    let setting = given([(NONE, Ok(100)), (SECOND, Ok(100))]);
    let first = setting.source.token().await.unwrap();
    advance(80 * SECOND).await;
    setting.token().await;
    sleep(SECOND + SECOND / 100).await;
    let second = setting.source.token().await.unwrap();
    assert_eq!((first.generation, second.generation), (1, 2));
    assert_eq!(second.secret.expose_secret(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn not_renewed() {
    let permanently = [(permanent(), [60, 120, 240]), (transient(), [11, 22, 44])];
    for (failure, pauses) in permanently {
        let script = std::iter::once((NONE, Ok(86_400)));
        let setting = given(script.chain(std::iter::repeat_n((NONE, failure), 9)));
        setting.token().await;
        advance(69_120 * SECOND).await;
        for (before, pause) in pauses.into_iter().enumerate() {
            assert_eq!(setting.token().await, "token-1");
            settle().await;
            assert_eq!(setting.fetches(), before + 2);
            advance(pause * SECOND - Duration::from_millis(2)).await;
            assert_eq!(setting.token().await, "token-1");
            settle().await;
            assert_eq!(setting.fetches(), before + 2, "not yet");
            advance(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn margin_reached() {
    let setting = given([(NONE, Ok(1000)), (500 * SECOND, Ok(1000))]);
    setting.token().await;
    advance(800 * SECOND).await;
    assert_eq!(setting.token().await, "token-1");
    settle().await;
    advance(170 * SECOND - Duration::from_millis(2)).await;
    assert!(setting.source.token().now_or_never().is_some());
    advance(Duration::from_millis(1)).await;
    assert!(setting.source.token().now_or_never().is_none(), "it waits for the renewal");
    assert_eq!((setting.token().await, setting.fetches()), ("token-2".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn woken() {
    let setting = given([(NONE, Ok(1000)), (SECOND, Ok(1000))]);
    setting.token().await;
    advance(100_000 * SECOND).await;
    assert_eq!(setting.fetches(), 1, "nobody has asked");
    assert_eq!((setting.token().await, setting.fetches()), ("token-2".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn refused() {
    let setting = given([]);
    let first = setting.source.token().await.unwrap();
    assert!(setting.source.invalidate(&first));
    assert_eq!(setting.events.lock().unwrap()[1], Event::Dropped);
    assert_eq!((setting.token().await, setting.fetches()), ("token-2".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn refused_late() {
    let setting = given([]);
    let first = setting.source.token().await.unwrap();
    assert!(setting.source.invalidate(&first));
    assert!((0..500).all(|_| setting.source.invalidate(&first)), "the next is on its way");
    assert_eq!(setting.token().await, "token-2");
    assert!((0..500).all(|_| setting.source.invalidate(&first)), "the next is there");
    assert_eq!((setting.token().await, setting.fetches()), ("token-2".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn replacement_refused() {
    let setting = given([]);
    setting.source.invalidate(&setting.source.token().await.unwrap());
    let second = setting.source.token().await.unwrap();
    advance(20 * SECOND).await;
    assert!(!setting.source.invalidate(&second));
    for _ in 0..29 {
        advance(SECOND).await;
        assert!(!setting.source.invalidate(&second));
        assert_eq!((setting.token().await, setting.fetches()), ("token-2".into(), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_again() {
    let setting = given([]);
    setting.source.invalidate(&setting.source.token().await.unwrap());
    let second = setting.source.token().await.unwrap();
    setting.source.invalidate(&second);
    advance(30 * SECOND).await;
    assert!(setting.source.invalidate(&second));
    assert_eq!((setting.token().await, setting.fetches()), ("token-3".into(), 3));
}
