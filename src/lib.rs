//! partner-gateway: internal services call partners' REST APIs through one gRPC door.

pub mod call;
pub mod clock;
pub mod credentials;
pub mod error;
pub mod operation;
pub mod partner;
pub mod simulator;
pub mod stack;
pub mod transcode;
