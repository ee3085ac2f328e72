//! The `sipreg` command.
fn main() {}
