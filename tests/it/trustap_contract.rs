//! Trustap's contract against Trustap's facts: `src/simulator/trustap/facts.json`, which
//! was made from the published descriptions and not from the proto.

mod facts;
mod manifest;
mod sample;
mod twins;
mod width;
