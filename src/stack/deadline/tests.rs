use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};
use uuid::Uuid;

use super::*;
use crate::call::Call;
use crate::operation::Credential;
use crate::stack::testing;

const SECOND: Duration = Duration::from_secs(1);
const ID: Uuid = Uuid::from_u128(0x1111_1111_2222_4333_8444_5555_5555_5555);

/// The layer before a partner of the test's own, as it stands in the stack.
struct Setting {
    service: BoxCloneSyncService<Exchange, Reply, Error>,
    stopping: CancellationToken,
    sent: Arc<AtomicU32>,
    ended: Arc<AtomicU32>,
}

/// A partner that is reached after `before`, and answers `after` that.
async fn given(before: Duration, after: Duration) -> Setting {
    let (sent, ended) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
    let counted = (Arc::clone(&sent), Arc::clone(&ended));
    let partner = service_fn(move |exchange: Exchange| {
        let (sent, ended) = counted.clone();
        async move {
            sleep(before).await;
            if exchange.progress.begin().is_none() {
                return Err(Error::new(Kind::Timeout, Outcome::NotSent));
            }
            sent.fetch_add(1, Ordering::SeqCst);
            sleep(after).await;
            exchange.progress.end(Outcome::Unknown);
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(reply())
        }
    });
    let context = testing::context().await;
    let stopping = context.stopping.clone();
    let service = BoxCloneSyncService::new(DeadlineLayer::new(&context).layer(partner));
    Setting { service, stopping, sent, ended }
}

impl Setting {
    async fn call(&self, call: Call) -> Result<Reply, Error> {
        self.service.clone().oneshot(Exchange::new(call)).await
    }

    fn sent(&self) -> u32 {
        self.sent.load(Ordering::SeqCst)
    }

    /// How many calls came to their end inside the layer.
    fn ended(&self) -> u32 {
        self.ended.load(Ordering::SeqCst)
    }
}

fn reply() -> Reply {
    Reply { attempts: 1, ..Reply::new(StatusCode::OK, HeaderMap::new(), "late".into()) }
}

/// A write with two seconds to go.
fn write() -> Call {
    Call { request_id: Some(ID), deadline: Instant::now() + 2 * SECOND, ..testing::call() }
}

/// A read with two seconds to go.
fn read() -> Call {
    let operation = testing::read_operation(&[Credential::Signature]);
    Call { operation, request_id: None, ..write() }
}

fn told(result: Result<Reply, Error>) -> (Kind, Outcome) {
    let error = result.unwrap_err();
    (error.kind().clone(), error.outcome())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_ends_at_its_deadline_not_sent() {
    for call in [read, write] {
        let start = Instant::now();
        let result = given(9 * SECOND, SECOND).await.call(call()).await;
        assert_eq!(told(result), (Kind::Timeout, Outcome::NotSent));
        assert_eq!(start.elapsed(), 2 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_call_that_is_under_way_ends_with_an_unknown_outcome() {
    for call in [read, write] {
        let result = given(SECOND, 9 * SECOND).await.call(call()).await;
        assert_eq!(told(result), (Kind::Timeout, Outcome::Unknown));
    }
}

#[tokio::test(start_paused = true)]
async fn g17_a_call_whose_deadline_has_passed_is_not_begun() {
    for call in [read, write] {
        let setting = given(Duration::ZERO, Duration::ZERO).await;
        let late = Call { deadline: Instant::now(), ..call() };
        assert_eq!(told(setting.call(late).await), (Kind::Timeout, Outcome::NotSent));
        sleep(SECOND).await;
        assert_eq!(setting.sent(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn g17_a_late_answer_arrives_though_nobody_waits_for_it() {
    let setting = given(Duration::ZERO, 5 * SECOND).await;
    assert_eq!(told(setting.call(write()).await), (Kind::Timeout, Outcome::Unknown));
    assert_eq!(setting.ended(), 0);
    sleep(5 * SECOND).await;
    assert_eq!((setting.ended(), setting.sent()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn g17_a_write_goes_on_when_its_caller_is_gone_and_a_read_does_not() {
    let setting = given(SECOND / 2, SECOND).await;
    tokio::time::timeout(SECOND / 4, setting.call(write())).await.unwrap_err();
    sleep(5 * SECOND).await;
    assert_eq!((setting.ended(), setting.sent()), (1, 1));

    let setting = given(SECOND / 2, SECOND).await;
    tokio::time::timeout(SECOND / 4, setting.call(read())).await.unwrap_err();
    sleep(5 * SECOND).await;
    assert_eq!(setting.sent(), 0);
}

/// The attempt would begin at the very moment at which its caller is told, before it and
/// after it.
#[tokio::test(start_paused = true)]
async fn g4_a_write_that_was_told_not_sent_is_never_sent_afterwards() {
    for milliseconds in 1_990..=2_010 {
        let setting = given(Duration::from_millis(milliseconds), 9 * SECOND).await;
        let (kind, outcome) = told(setting.call(write()).await);
        assert_eq!(kind, Kind::Timeout);
        sleep(20 * SECOND).await;
        let is_sent = setting.sent() == 1;
        assert_eq!(outcome == Outcome::Unknown, is_sent, "{milliseconds} ms: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_every_wait_and_tells_what_is_known() {
    for (before, outcome) in [(Duration::ZERO, Outcome::Unknown), (SECOND, Outcome::NotSent)] {
        for call in [read, write] {
            let setting = given(before, 9 * SECOND).await;
            let stop = async {
                sleep(SECOND / 2).await;
                setting.stopping.cancel();
            };
            let (result, ()) = tokio::join!(setting.call(call()), stop);
            assert_eq!(told(result), (Kind::ShuttingDown, outcome));
            // What was told stays true, and what was sent is brought to its end.
            sleep(20 * SECOND).await;
            assert_eq!(setting.sent() == 1, outcome == Outcome::Unknown);
            let late = setting.call(call()).await;
            assert_eq!(told(late), (Kind::ShuttingDown, Outcome::NotSent), "nothing begins");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_panics_is_told_by_how_far_it_came() {
    for (begins, outcome) in [(true, Outcome::Unknown), (false, Outcome::NotSent)] {
        let partner = service_fn(move |exchange: Exchange| async move {
            if begins {
                exchange.progress.begin();
            }
            if exchange.call.request_id.is_some() {
                panic!("a fault");
            }
            Ok(reply())
        });
        let service = DeadlineLayer::new(&testing::context().await).layer(partner);
        let result = service.oneshot(Exchange::new(write())).await;
        assert_eq!(told(result), (Kind::Internal, outcome));
    }
}
