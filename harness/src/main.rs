//! The control binary.

fn main() {}
