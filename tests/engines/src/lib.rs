//! Nothing but its tests: the suites over the stores that need a server. They are no part of the quick tier;
//! `cargo xtask test` runs them.
