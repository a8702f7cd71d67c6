//! What the fuzz targets reach of this crate's inside. Compiled only for them.

pub use crate::server::query;
pub use crate::wire::flow::Flow;
pub use crate::wire::ws::{End, Handler, Reader};
