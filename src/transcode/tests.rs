//! The transcoder against an oracle that shares nothing with it: prost-reflect's
//! dynamic messages and their ProtoJSON, and tables of what a partner or a caller may
//! well send.

mod additional;
mod contract;
mod fits;
mod forms;
mod generate;
mod json_suite;
mod oracle;
mod properties;
mod replies;
mod requests;
mod robust;
mod rules;
mod scramble;
mod source;
mod spell;
