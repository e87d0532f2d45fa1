//! partner-gateway: internal services call partners' REST APIs through one gRPC door.

pub mod operation;
