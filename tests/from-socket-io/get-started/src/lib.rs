//! The program that docs/from-socket-io.md begins with.

include!(concat!(env!("OUT_DIR"), "/program.rs"));
