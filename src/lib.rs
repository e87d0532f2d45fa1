//! partner-gateway: internal services call partners' REST APIs through one gRPC door.
//!
//! The life of a call, and the map of the modules:
//!
//! 1. [`server`] accepts it, gives it an id and a deadline, and finds its route.
//! 2. [`grpc`] finds the [`operation`] by its path, in the catalogue made from the contract.
//! 3. [`transcode`] turns the message's bytes into a [`call`], complete and checked.
//! 4. [`stack`] carries the call: deadline, credential, attempt, wire.
//! 5. [`credentials`] are put on by the stack; [`partner`] knows what a partner's answers mean,
//!    and the [`store`] keeps what must outlive the process, behind a [`seal`].
//! 6. [`transcode`] turns the answer's JSON into the bytes of the reply.
//! 7. [`grpc`] tells it to the caller: the reply, or one status for any [`error`].
//!
//! Each module knows only those to its right: `server`, `grpc`, `transcode`, `stack`,
//! `credentials`, `partner`, `store`. [`simulator`] knows none of them.

pub mod call;
pub mod callers;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod error;
pub mod failpoint;
pub mod grpc;
pub mod operation;
pub mod partner;
pub mod pb;
pub mod random;
pub mod redis;
pub mod seal;
pub mod server;
pub mod simulator;
pub mod stack;
pub mod store;
pub mod telemetry;
pub mod transcode;
