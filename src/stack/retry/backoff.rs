//! How long to wait before an attempt is made again (R3, R11).

use std::time::Duration;

use crate::random::Random;
use crate::stack::limits::Retry;

/// How much later than a partner's hint its callers come back, at most: not all at once.
const HINT_JITTER: f64 = 0.1;

/// The pause before the repeat of this `number`, the first being 1: anything from nothing
/// to a cap that doubles each time, so that those who failed together do not come back
/// together. A partner's `hint` is never undercut; `None` if it is too long to wait for.
pub(super) fn pause(
    retry: &Retry,
    number: u32,
    hint: Option<Duration>,
    random: &Random,
) -> Option<Duration> {
    let factor = 2_u32.saturating_pow(number.saturating_sub(1));
    let cap = retry.base_delay.saturating_mul(factor).min(retry.max_delay);
    let jittered = cap.mul_f64(random.draw());
    match hint {
        None => Some(jittered),
        Some(hint) if hint > retry.max_delay => None,
        Some(hint) => Some(jittered.max(hint + hint.mul_f64(HINT_JITTER * random.draw()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn with(draw: f64, number: u32, hint: Option<Duration>) -> Option<Duration> {
        pause(&Retry::default(), number, hint, &Random::from_fn(move || draw))
    }

    #[test]
    fn r3_the_cap_doubles_from_100_ms_to_20_s() {
        let caps = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 20_000, 20_000];
        for (number, cap) in (1..).zip(caps) {
            assert_eq!(with(1.0, number, None), Some(ms(cap)), "repeat {number}");
            assert_eq!(with(0.5, number, None), Some(ms(cap) / 2), "repeat {number}");
            assert_eq!(with(0.0, number, None), Some(ms(0)), "repeat {number}");
        }
        assert_eq!(with(1.0, u32::MAX, None), Some(ms(20_000)), "no overflow");
    }

    #[test]
    fn r3_jitter_is_full_every_tenth_as_often_as_any_other() {
        let dice = std::sync::Mutex::new(fastrand::Rng::with_seed(7));
        let random = Random::from_fn(move || dice.lock().unwrap().f64());
        let (draws, cap) = (20_000_u32, ms(400).as_secs_f64());
        let mut tenths = [0_u32; 10];
        let mut sum = Duration::ZERO;
        for _ in 0..draws {
            let drawn = pause(&Retry::default(), 3, None, &random).unwrap();
            assert!(drawn <= ms(400));
            sum += drawn;
            let tenth = (0..9).find(|n| drawn.as_secs_f64() < cap * f64::from(n + 1) / 10.0);
            tenths[usize::try_from(tenth.unwrap_or(9)).unwrap()] += 1;
        }
        let mean = sum / draws;
        assert!((ms(196)..=ms(204)).contains(&mean), "half of the cap: {mean:?}");
        assert!(tenths.iter().all(|n| (1_800..=2_200).contains(n)), "{tenths:?}");
    }

    #[test]
    fn r11_a_hint_is_never_undercut_and_overdrawn_by_a_tenth_at_most() {
        for hint in [ms(1), ms(777), ms(5_000), ms(20_000)] {
            for draw in [0.0, 0.001, 0.5, 1.0] {
                let pause = with(draw, 1, Some(hint)).unwrap();
                assert!(pause >= hint, "{hint:?} {draw}: {pause:?}");
                let most = (hint + hint / 10).max(ms(100));
                assert!(pause <= most, "{hint:?} {draw}: {pause:?}");
            }
        }
        assert_eq!(with(0.0, 1, Some(ms(20_001))), None, "too long to wait for");
        assert_eq!(with(1.0, 1, Some(Duration::ZERO)), Some(ms(100)), "as if there were none");
    }
}
