use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    "2026-10-21T07:27:00Z".parse().unwrap()
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// Remaining, limit, seconds to the reset.
type Said = Option<(u64, Option<u64>, u64)>;

fn said(lines: &[(&str, &str)]) -> Said {
    let quota = of_answer(&headers(lines), now())?;
    Some((quota.remaining, quota.limit, quota.reset.as_secs()))
}

#[test]
fn r12_the_structured_fields_are_understood_or_ignored() {
    let cases: &[(&str, &str, Said)] = &[
        // The examples of the draft.
        (r#""default";r=50;t=30"#, r#""default";q=100;w=10"#, Some((50, Some(100), 30))),
        (r#""default";r=999;pk=:dHJpYWwxMjEzMjM=:;t=5"#, "", Some((999, None, 5))),
        (
            r#""permin";r=50;t=30, "perhr";r=0;t=900"#,
            r#""perhr";q=1000;w=3600"#,
            Some((0, Some(1000), 900)),
        ),
        (r#""a";r=0;t=1, "b";r=0;t=60"#, "", Some((0, None, 60))),
        (r#""a";r=5;t=1"#, r#""b";q=10;w=1"#, Some((5, None, 1))),
        (r#""a";r=5;t=1"#, r#""a";q=-10"#, Some((5, None, 1))),
        (r#""a";r=5;t=1"#, "%", Some((5, None, 1))),
        ("limit=100, remaining=50, reset=40", "", Some((50, Some(100), 40))),
        ("remaining=0, reset=40", "", Some((0, None, 40))),
        // What cannot be used.
        (r#""a";r=5"#, "", None),
        (r#""a";t=5"#, "", None),
        (r#""a";r=-1;t=5"#, "", None),
        (r#""a";r=1.5;t=5"#, "", None),
        (r#""a";r=1;t=86401"#, "", None),
        (r#"("a" "b");r=1;t=5"#, "", None),
        (r#""a";r=1;t=5,"#, "", None),
        ("limit=100, remaining=50", "", None),
        ("limit=100, remaining=x, reset=1", "", None),
        ("", "", None),
        ("50", "", None),
    ];
    for (quota, policy, expected) in cases {
        let lines = [("ratelimit", *quota), ("ratelimit-policy", *policy)];
        assert_eq!(said(&lines), *expected, "{quota} {policy}");
    }
}

#[test]
fn r12_a_field_may_come_in_several_lines() {
    let lines = [("ratelimit", r#""a";r=7;t=9"#), ("ratelimit", r#""b";r=3;t=4"#)];
    assert_eq!(said(&lines), Some((3, None, 4)));
}

#[test]
fn r12_three_headers_are_understood_or_ignored() {
    let cases: &[([&str; 3], Said)] = &[
        (["100", "7", "30"], Some((7, Some(100), 30))),
        (["100, 100;w=60", " 7 ", "30"], Some((7, Some(100), 30))),
        (["x", "7", "30"], Some((7, None, 30))),
        (["100", "0", "1792567680"], Some((0, Some(100), 60))),
        (["100", "0", "1792567000"], Some((0, Some(100), 0))),
        // Milliseconds of the epoch, or next year.
        (["100", "0", "1792567680000"], None),
        (["100", "0", "1824103680"], None),
        (["100", "0", "86401"], None),
        (["100", "-1", "30"], None),
        (["100", "1.5", "30"], None),
        (["100", "7", "+30"], None),
        (["100", "7", "99999999999999999999"], None),
        (["100", "7", "18446744073709551615"], None),
        (["100", "7", ""], None),
        (["100", "é", "30"], None),
    ];
    for trio in TRIOS {
        for (values, expected) in cases {
            let lines: Vec<_> = trio.into_iter().zip(values.iter().copied()).collect();
            assert_eq!(said(&lines), *expected, "{lines:?}");
        }
    }
}

#[test]
fn r12_the_end_of_a_window_is_compared_with_the_answers_own_date() {
    let trio = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1792567680")];
    let dated = [trio[0], trio[1], ("date", "Wed, 21 Oct 2026 07:27:50 GMT")];
    assert_eq!(said(&trio), Some((0, None, 60)));
    assert_eq!(said(&dated), Some((0, None, 10)));
}

#[test]
fn r12_the_specified_field_is_believed_before_the_others() {
    let lines = [
        ("x-ratelimit-remaining", "1"),
        ("x-ratelimit-reset", "1"),
        ("ratelimit", r#""a";r=2;t=2"#),
    ];
    assert_eq!(said(&lines), Some((2, None, 2)));
    assert_eq!(said(&[lines[0], lines[1], ("ratelimit", "%")]), Some((1, None, 1)));
}

proptest! {
    #[test]
    fn r12_no_value_panics(values in prop::collection::vec(any::<Vec<u8>>(), 8)) {
        let names = ["ratelimit", "ratelimit-policy"].into_iter().chain(TRIOS.into_iter().flatten());
        let mut headers = HeaderMap::new();
        for (name, value) in names.zip(values) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let _ = of_answer(&headers, now());
    }

    #[test]
    fn r12_no_value_that_is_nearly_right_panics(
        quota in r#"("[a-z]"|[a-z]*)(;[rt]=-?[0-9]{0,20}(\.[0-9])?){0,3},?"#,
        trio in prop::collection::vec("-?[0-9]{0,20}[,; ]?", 3),
    ) {
        let mut lines = vec![("ratelimit", &*quota)];
        lines.extend(TRIOS[1].into_iter().zip(trio.iter().map(|value| &**value)));
        if let Some(quota) = of_answer(&headers(&lines), now()) {
            prop_assert!(quota.reset <= MAX_RESET);
        }
    }
}
