//! Nothing: the components are this crate's examples.
