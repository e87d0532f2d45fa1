//! The binary: nothing yet, the library comes first.

fn main() {}
