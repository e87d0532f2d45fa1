//! Between a caller's protobuf message and a partner's JSON, by table.
//!
//! Nothing here is generated and no tree is built in between. A request is read once:
//! each field's bytes go to a slot, and the slots to path, query, headers, control and
//! body, which is written straight to bytes. A reply's JSON is read by serde_json,
//! whose seeds write protobuf bytes straight away. What no table knows is kept.
//!
//! Everything is pure: bytes and tables in, bytes out. No layer, no client, no clock.

mod any;
mod blank;
mod decimal;
pub mod page;
mod percent;
mod reply;
mod request;
mod rules;
mod scalar;
mod slots;
mod wire;

#[cfg(test)]
mod tests;

pub use blank::without_secrets;
pub use page::Page;
pub use percent::is_unsafe_segment;
pub use reply::{Decoded, Unreadable, reply};
pub use request::{Request, request};
