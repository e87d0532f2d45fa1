//! partner-gateway: internal services call partners' REST APIs through one gRPC door.

pub mod call;
pub mod clock;
pub mod error;
pub mod operation;
pub mod simulator;
pub mod transcode;
