//! One of two pieces of middleware that differ in their name only.

include!("shared/middleware.rs");
