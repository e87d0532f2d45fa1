//! What the tests stand on.

pub(crate) mod client;
pub(crate) mod collector;
pub(crate) mod control;
pub(crate) mod daemon;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod kept;
pub(crate) mod page;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod python;
pub(crate) mod redis;
pub(crate) mod scripted;
pub(crate) mod tool;
pub(crate) mod trustap;
pub(crate) mod upstream;
pub(crate) mod usage;
pub(crate) mod wire;
