use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::stack::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);

fn budget() -> Budget {
    Budget::new(Tunable::new(Limits::default()))
}

fn withdraw_all(budget: &Budget) -> u64 {
    (0..u64::MAX).find(|_| budget.withdraw().is_none()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn r2_it_is_a_fifth_of_the_calls_and_one_a_second() {
    let budget = budget();
    assert_eq!(withdraw_all(&budget), 10, "the reserve of a window");
    (0..4).for_each(|_| budget.deposit());
    assert!(budget.withdraw().is_none(), "four calls are worth less than a repeat");
    budget.deposit();
    assert_eq!(withdraw_all(&budget), 1);
    (0..1_000).for_each(|_| budget.deposit());
    assert_eq!(withdraw_all(&budget), 200);
    let refused = budget.balance().refused;
    assert_eq!(budget.balance(), Balance { left: 0, repeated: 211, refused });
    assert_eq!(refused, 4);
}

#[tokio::test(start_paused = true)]
async fn r2_it_recovers_within_the_window() {
    let budget = budget();
    (0..100).for_each(|_| budget.deposit());
    assert_eq!(withdraw_all(&budget), 30);
    advance(9 * SECOND).await;
    assert_eq!(budget.balance().left, 0);
    advance(SECOND).await;
    assert_eq!(budget.balance().left, 10, "calls are forgotten as well");
    advance(1_000_000 * SECOND).await;
    assert_eq!(budget.balance().left, 10);
}

/// R2: what was taken and not used is there again, once, for as long as it would have counted.
#[tokio::test(start_paused = true)]
async fn r2_a_repeat_that_is_put_back_counts_no_more() {
    let limits = Tunable::new(Limits::default());
    let budget = Budget::new(limits.clone());
    let mut made = 0;
    for seconds in [0, 3, 9, 10, 30] {
        let withdrawn = budget.withdraw().unwrap();
        advance(seconds * SECOND).await;
        let others = withdraw_all(&budget);
        budget.put_back(withdrawn);
        let left = if seconds < 10 { 1 } else { 0 };
        assert_eq!((others + left, budget.balance().left), (10, left), "{seconds} s");
        made += others;
        assert_eq!(budget.balance().repeated, made, "{seconds} s");
        advance(10 * SECOND).await;
        assert_eq!(budget.balance().left, 10, "nothing is left over");
    }
    // Of another window it is forgotten.
    let withdrawn = budget.withdraw().unwrap();
    let mut other = Limits::default();
    other.retry.budget_window = 5 * SECOND;
    limits.set(other);
    assert_eq!(withdraw_all(&budget), 5);
    budget.put_back(withdrawn);
    assert_eq!(budget.balance().left, 0);
}

#[tokio::test(start_paused = true)]
async fn its_numbers_can_be_changed_while_it_is_in_use() {
    let limits = Tunable::new(Limits::default());
    let budget = Budget::new(limits.clone());
    (0..100).for_each(|_| budget.deposit());
    assert_eq!(withdraw_all(&budget), 30);
    let mut other = Limits::default();
    (other.retry.budget_percent, other.retry.budget_reserve) = (50, 0);
    limits.set(other.clone());
    assert_eq!(budget.balance().left, 20, "of the same calls");
    other.retry.budget_percent = 10;
    limits.set(other.clone());
    assert_eq!(budget.balance().left, 0);
    (other.retry.budget_window, other.retry.budget_reserve) = (5 * SECOND, 2);
    limits.set(other);
    assert_eq!(budget.balance().left, 10, "another window begins anew");
    assert_eq!(budget.balance().repeated, 30);
}

#[derive(Clone, Debug)]
enum Step {
    Calls(u16),
    Withdraw(u8),
    Advance(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..200_u16).prop_map(Step::Calls),
        (1..100_u8).prop_map(Step::Withdraw),
        (0..4_000_u16).prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// R2, against a list of all that happened: never more repeats than a fifth of the
    /// calls of the window and its reserve, and none is refused that the window leaves.
    #[test]
    fn r2_repeats_are_never_more_than_the_window_allows(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (budget, start) = (budget(), Instant::now());
            let mut log: Vec<(Duration, u64, u64)> = Vec::new();
            for step in steps {
                let now = start.elapsed();
                match step {
                    Step::Calls(calls) => {
                        (0..calls).for_each(|_| budget.deposit());
                        log.push((now, calls.into(), 0));
                    }
                    Step::Withdraw(times) => for _ in 0..times {
                        // The window moves by slices of a second.
                        let slice = |at: &Duration| at.as_secs() + 9 >= now.as_secs();
                        let recent: Vec<_> = log.iter().filter(|(at, ..)| slice(at)).collect();
                        let calls: u64 = recent.iter().map(|(_, calls, _)| calls).sum();
                        let repeats: u64 = recent.iter().map(|(_, _, repeats)| repeats).sum();
                        let allowed = repeats < calls / 5 + 10;
                        prop_assert_eq!(budget.withdraw().is_some(), allowed);
                        log.push((now, 0, allowed.into()));
                    },
                    Step::Advance(milliseconds) => {
                        advance(Duration::from_millis(milliseconds.into())).await;
                    }
                }
            }
            Ok(())
        })?;
    }
}
