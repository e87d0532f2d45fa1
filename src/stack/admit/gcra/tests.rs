use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn rate(requests: u32, per: Duration, burst: u32) -> Rate {
    Rate { requests, per, burst }
}

/// Rates from one in an hour to thousands in a second.
fn rates() -> impl Strategy<Value = Rate> {
    let periods = prop::sample::select(vec![1, 7, 1_000, 60_000, 3_600_000]);
    (1_u32..2_000, periods, 1_u32..50)
        .prop_map(|(requests, millis, burst)| rate(requests, Duration::from_millis(millis), burst))
}

/// How many requests a window of this length may have.
fn most(rate: Rate, window: Duration) -> u128 {
    let of_rate = window.as_nanos() * u128::from(rate.requests) / rate.per.as_nanos();
    u128::from(rate.burst) + of_rate
}

impl Gcra {
    /// Counts a request that is sent now, or says for how long it may not be.
    fn take(&mut self, tempo: Tempo, now: Instant) -> Result<(), Duration> {
        self.keep_to(tempo, now);
        let wait = self.earliest(tempo, now, now, 0).duration_since(now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.note(tempo, now);
        Ok(())
    }
}

proptest! {
    /// Against the whole list of what was sent: whichever two requests a window begins
    /// and ends with, there are never more than the burst and the rate times its length.
    #[test]
    fn r13_no_window_has_more_than_the_burst_and_the_rate_times_its_length(
        rate in rates(),
        pauses in prop::collection::vec(0_u64..3_000, 1..200),
    ) {
        let (tempo, mut gcra, mut now) = (Tempo::whole(rate), Gcra::default(), Instant::now());
        let mut sent = Vec::new();
        for pause in pauses {
            // In thousandths of the interval, so that every rate is tried at its edge.
            now += tempo.interval / 1_000 * u32::try_from(pause).unwrap();
            while gcra.take(tempo, now).is_ok() {
                sent.push(now);
            }
        }
        for (first, begin) in sent.iter().enumerate() {
            for (last, end) in sent.iter().enumerate().skip(first) {
                let count = u128::try_from(last - first + 1).unwrap();
                prop_assert!(count <= most(rate, *end - *begin), "{count} in {:?}", *end - *begin);
            }
        }
    }

    #[test]
    fn r13_the_delay_is_exact_to_the_nanosecond(rate in rates(), taken in 1_usize..200) {
        let (tempo, mut gcra, mut now) = (Tempo::whole(rate), Gcra::default(), Instant::now());
        for _ in 0..taken {
            while let Err(delay) = gcra.take(tempo, now) {
                prop_assert!(gcra.take(tempo, now + delay - Duration::from_nanos(1)).is_err());
                now += delay;
            }
        }
    }

    /// What those who wait are told is when they will be let through.
    #[test]
    fn r13_the_moment_of_each_of_those_who_wait_is_known(rate in rates(), taken in 0_u32..80) {
        let (tempo, mut gcra, now) = (Tempo::whole(rate), Gcra::default(), Instant::now());
        (0..taken).for_each(|_| { let _ = gcra.take(tempo, now); });
        let told: Vec<_> = (0..20).map(|ahead| gcra.earliest(tempo, now, now, ahead)).collect();
        let mut moment = now;
        for told in told {
            moment += gcra.take(tempo, moment).err().unwrap_or_default();
            if moment > now {
                gcra.take(tempo, moment).ok();
            }
            prop_assert_eq!(moment, told);
        }
    }

    /// The first request after a change waits for no more than the new rate asks.
    #[test]
    fn r13_a_change_of_the_rate_counts_at_once(old in rates(), new in rates(), taken in 0..60) {
        let (mut gcra, now) = (Gcra::default(), Instant::now());
        (0..taken).for_each(|_| { let _ = gcra.take(Tempo::whole(old), now); });
        let wait = gcra.take(Tempo::whole(new), now).err().unwrap_or_default();
        prop_assert!(wait <= Tempo::whole(new).interval);
        prop_assert!(gcra.take(Tempo::whole(new), now + wait).is_ok() || wait.is_zero());
    }

    #[test]
    fn r14_shares_together_are_no_more_than_the_whole(rate in rates(), replicas in 1_u32..10) {
        let (share, mut sent) = (Tempo::share(rate, replicas), 0);
        let begun = Instant::now();
        for _ in 0..replicas {
            let (mut gcra, mut now) = (Gcra::default(), begun);
            while now <= begun + rate.per {
                match gcra.take(share, now) {
                    Ok(()) => sent += 1,
                    Err(delay) => now += delay,
                }
            }
        }
        // A burst of one at least, for each.
        let bound = most(rate, rate.per) + u128::from(replicas);
        prop_assert!(sent <= bound, "{sent} of {bound}");
    }
}

#[test]
fn r13_a_clock_that_stands_still_lets_the_burst_through_and_no_more() {
    let (tempo, mut gcra, now) =
        (Tempo::whole(rate(1, SECOND, 5)), Gcra::default(), Instant::now());
    let sent = (0..1_000).filter(|_| gcra.take(tempo, now).is_ok()).count();
    assert_eq!(sent, 5);
}

#[test]
fn r13_a_rate_that_does_not_divide_its_period_is_never_exceeded() {
    let (tempo, mut gcra) = (Tempo::whole(rate(3, SECOND, 1)), Gcra::default());
    let begun = Instant::now();
    let mut now = begun;
    for _ in 0..3_000 {
        gcra.take(tempo, now).unwrap();
        now += gcra.take(tempo, now).unwrap_err();
    }
    assert!(now - begun >= 1_000 * SECOND);
}

#[test]
fn what_was_taken_elsewhere_is_counted_and_never_runs_ahead() {
    let (tempo, mut gcra, now) =
        (Tempo::whole(rate(1, SECOND, 5)), Gcra::default(), Instant::now());
    (0..100).for_each(|_| gcra.note(tempo, now));
    assert_eq!(gcra.take(tempo, now), Err(SECOND));
    gcra.set(Duration::ZERO, now);
    assert!(gcra.is_rested(now) && gcra.take(tempo, now).is_ok());
    gcra.set(FAR, now);
    assert_eq!(gcra.take(tempo, now), Err(SECOND));
}

#[test]
fn the_longest_periods_do_not_overflow() {
    for per in [Duration::MAX, Duration::ZERO] {
        let tempo = Tempo::share(rate(1, per, u32::MAX), u32::MAX);
        let (mut gcra, now) = (Gcra::default(), Instant::now());
        assert!(gcra.take(tempo, now).is_ok());
        let _ = gcra.earliest(tempo, now, now, usize::MAX);
    }
}
