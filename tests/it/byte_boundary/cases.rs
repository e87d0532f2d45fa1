//! Where a connection fails: the positions of every kind of connection.

use std::fmt;

use http::Version;

use super::bench::Bench;
use super::partner::{Partner, Tls};
use super::{EFFECTS, Effect, FAULTS};
use crate::support::proxy::{Cut, Fault, Way};

const LANES: [Lane; 8] = [
    Lane { wire: Wire::Http1, is_reused: false },
    Lane { wire: Wire::Http1, is_reused: true },
    Lane { wire: Wire::Http2, is_reused: false },
    Lane { wire: Wire::Http2, is_reused: true },
    Lane { wire: Wire::Http1Tls, is_reused: false },
    Lane { wire: Wire::Http1Tls, is_reused: true },
    Lane { wire: Wire::Http2Tls, is_reused: false },
    Lane { wire: Wire::Http2Tls, is_reused: true },
];

/// What is spoken to the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wire {
    Http1,
    /// Without TLS, and without asking.
    Http2,
    Http1Tls,
    /// As the partner chooses it by ALPN.
    Http2Tls,
}

/// On what kind of connection a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub(super) wire: Wire,
    /// Whether the connection has carried a call before.
    pub(super) is_reused: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) lane: Lane,
    pub(super) effect: Effect,
    pub(super) cut: Cut,
    /// Whether the answer's head gets through, and not all of its body.
    pub(super) is_in_body: bool,
}

// === impl Wire ===

impl Wire {
    pub(super) const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Http1Tls, Self::Http2Tls];

    pub(super) fn tls(self) -> Option<Tls> {
        match self {
            Self::Http1 | Self::Http2 => None,
            Self::Http1Tls => Some(Tls::new()),
            Self::Http2Tls => Some(Tls::with_http2()),
        }
    }

    pub(super) fn version(self) -> Version {
        match self {
            Self::Http1 | Self::Http1Tls => Version::HTTP_11,
            Self::Http2 | Self::Http2Tls => Version::HTTP_2,
        }
    }

    pub(super) fn is_tls(self) -> bool {
        matches!(self, Self::Http1Tls | Self::Http2Tls)
    }
}

// === impl Lane ===

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = match self.wire {
            Wire::Http1 => "HTTP/1.1",
            Wire::Http2 => "HTTP/2",
            Wire::Http1Tls => "HTTP/1.1 over TLS",
            Wire::Http2Tls => "HTTP/2 over TLS",
        };
        write!(f, "{wire}, {}", if self.is_reused { "reused" } else { "fresh" })
    }
}

/// The cases of every lane, in an order that a seed gives. Of what is not the most
/// dangerous, one position of so many is taken; which one, the seed says.
pub(super) async fn all(every: usize, random: &mut fastrand::Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    for lane in LANES {
        let bench = Bench::new(lane.wire).await;
        for effect in EFFECTS {
            let seen = bench.measure(lane.is_reused, effect).await;
            for (way, length) in [(Way::Request, seen.request), (Way::Answer, seen.answer)] {
                assert!(length > 20, "{lane} {effect:?} {way:?}: {length} bytes");
                let body_at = length - Partner::body_length(effect);
                for fault in FAULTS {
                    let step = step(effect, fault, every);
                    let places = (random.usize(0..step)..=length).step_by(step);
                    cases.extend(places.map(|after| Case {
                        lane,
                        effect,
                        cut: Cut { way, after, fault },
                        is_in_body: way == Way::Answer && (body_at..length).contains(&after),
                    }));
                }
            }
        }
    }
    random.shuffle(&mut cases);
    cases
}

fn step(effect: Effect, fault: Fault, every: usize) -> usize {
    match (effect, fault) {
        // What loses money first: a write that is cut off.
        (Effect::WriteOnce, Fault::Close | Fault::Reset) => 1,
        _ => every,
    }
}
