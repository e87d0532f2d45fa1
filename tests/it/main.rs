//! The gateway as its callers, its partners and its operators see it: real sockets, a
//! real gRPC client, the simulators or a scripted partner behind it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step should stop the test")]
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a failed step should stop the test")]

mod architecture;
mod breaker;
mod byte_boundary;
mod callers;
mod catalogue;
mod cli;
mod coalesce;
mod connections;
mod credential_service;
mod deadlines;
mod deploy;
mod drain;
mod duplicates;
mod faults;
mod fixtures;
mod grants;
mod health;
mod image;
mod keys;
// Fail points are in debug builds only.
#[cfg(debug_assertions)]
mod kill;
mod limits;
mod logs;
mod metrics;
mod partners;
mod pushback;
mod readme;
mod reload;
mod replicas;
mod request_ids;
mod retries;
mod secret_files;
mod secrets;
mod server;
mod service_config;
mod shared_quota;
mod shared_tokens;
mod shutdown;
mod soak;
mod store;
mod storm;
mod streams;
mod support;
mod tokens;
mod traces;
mod trustap_contract;
mod trustap_errors;
mod trustap_f2f;
mod trustap_grants;
mod trustap_online;
mod upkeep;
