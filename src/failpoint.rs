//! Places where a test can stop the process, or have its store fail.
//!
//! What is promised of a crash can only be shown by crashing at the place in question.
//! A point that is armed says so on stderr and goes no further, until the test kills the
//! process. Only builds with debug assertions have any of this: in a release build
//! `reach` is empty.

/// A step of a call that must not be lost half-way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The record of a call that is done once is not written yet.
    BeforeRecord,
    /// The record is durable.
    AfterRecord,
    /// The intent is not written yet.
    BeforeIntent,
    /// The intent is durable.
    AfterIntent,
    /// The attempt has begun, and nothing is sent.
    BeforeSend,
    /// The partner has answered.
    AfterAnswer,
    /// The key is known and not written.
    BeforeCommit,
    /// The key is durable.
    AfterCommit,
    /// The call has ended, and its record does not say how.
    BeforeEnd,
    /// The end is durable.
    AfterEnd,
    /// The reply is ready and not sent.
    BeforeReply,
}

/// A failure that was ordered in the place of what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected;

// === impl Point ===

impl Point {
    /// Those of a call that makes a key which the partner shows once, in their order.
    pub const OF_A_KEY: [Self; 7] = [
        Self::BeforeIntent,
        Self::AfterIntent,
        Self::BeforeSend,
        Self::AfterAnswer,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeReply,
    ];

    /// Those of a call that is done once for its request id, in their order.
    pub const OF_A_RECORD: [Self; 6] = [
        Self::BeforeRecord,
        Self::AfterRecord,
        Self::BeforeSend,
        Self::BeforeEnd,
        Self::AfterEnd,
        Self::BeforeReply,
    ];

    /// Every point there is.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::OF_A_KEY.into_iter().chain(Self::OF_A_RECORD)
    }

    /// The name that it is armed by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before-intent",
            Self::AfterIntent => "after-intent",
            Self::BeforeSend => "before-send",
            Self::AfterAnswer => "after-answer",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::BeforeRecord => "before-record",
            Self::AfterRecord => "after-record",
            Self::BeforeEnd => "before-end",
            Self::AfterEnd => "after-end",
            Self::BeforeReply => "before-reply",
        }
    }
}

/// Passes a point. An armed one is never passed, or fails.
///
/// # Errors
/// When a failure is ordered here.
#[cfg(not(debug_assertions))]
pub(crate) async fn reach(_: Point) -> Result<(), Injected> {
    Ok(())
}

#[cfg(debug_assertions)]
pub(crate) use armed::{arm, reach};

#[cfg(debug_assertions)]
mod armed {
    use std::io::{self, Write as _};
    use std::sync::OnceLock;

    use super::{Injected, Point};

    /// What to do, by point; set once, before anything is served.
    static ARMED: OnceLock<Vec<(Point, Act)>> = OnceLock::new();

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Act {
        Halt,
        Fail,
    }

    /// Arms points: each is `POINT=halt` or `POINT=fail`.
    ///
    /// # Errors
    /// When one is not of this form.
    pub(crate) fn arm(orders: &[String]) -> Result<(), String> {
        let orders = orders.iter().map(|order| {
            parse(order).ok_or_else(|| format!("{order:?} is not POINT=halt or POINT=fail"))
        });
        let orders = orders.collect::<Result<_, _>>()?;
        ARMED.set(orders).map_err(|_| "fail points are armed once".to_owned())
    }

    fn parse(order: &str) -> Option<(Point, Act)> {
        let (point, act) = order.split_once('=')?;
        let point = Point::all().find(|known| known.as_str() == point)?;
        match act {
            "halt" => Some((point, Act::Halt)),
            "fail" => Some((point, Act::Fail)),
            _ => None,
        }
    }

    /// Passes a point. An armed one is never passed, or fails.
    ///
    /// # Errors
    /// When a failure is ordered here.
    pub(crate) async fn reach(point: Point) -> Result<(), Injected> {
        let armed = ARMED.get().map(Vec::as_slice).unwrap_or_default();
        let acts = armed.iter().filter(|(at, _)| *at == point).map(|(_, act)| *act);
        for act in acts {
            let _ = writeln!(io::stderr().lock(), "fail point {} {act:?}", point.as_str());
            match act {
                Act::Halt => std::future::pending().await,
                Act::Fail => return Err(Injected),
            }
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_point_and_what_to_do() {
            for point in Point::all() {
                let name = point.as_str();
                assert_eq!(parse(&format!("{name}=halt")), Some((point, Act::Halt)));
                assert_eq!(parse(&format!("{name}=fail")), Some((point, Act::Fail)));
            }
            for wrong in ["", "before-send", "before-send=", "nowhere=halt", "halt=before-send"] {
                assert_eq!(parse(wrong), None, "{wrong}");
            }
        }
    }
}
