//! What the fuzz targets reach of this crate's inside. Compiled only for them.

pub use crate::engine::fuzzing::query;
pub use crate::ws::{Handler, Reader, Step};
