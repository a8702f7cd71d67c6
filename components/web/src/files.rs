//! The embedded files, and how long a browser may keep each.

/// One file of the web client's build.
pub struct File {
    /// Below the root of the site, without a slash in front.
    pub path: &'static str,
    pub content_type: &'static str,
    /// Names the contents; without quotes.
    pub etag: &'static str,
    pub body: &'static [u8],
    /// The same, compressed: the name of the content coding and the bytes. The smallest first.
    pub codings: &'static [(&'static str, &'static [u8])],
}

/// Written by build.rs.
pub static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Where Socket.IO's client bundles are.
pub const SOCKET_IO: &str = "socket.io/";

/// Where Vite puts files that have a hash of their contents in their name.
const HASHED: &str = "assets/";

/// The file of a request's path.
pub fn find(path: &str) -> Option<&'static File> {
    let path = match path.strip_prefix('/')? {
        "" => "index.html",
        path => path,
    };
    FILES.iter().find(|file| file.path == path)
}

impl File {
    pub fn cache_control(&self) -> &'static str {
        if self.path.starts_with(HASHED) {
            "public, max-age=31536000, immutable"
        } else if self.path.starts_with(SOCKET_IO) {
            "public, max-age=0"
        } else {
            "no-cache"
        }
    }
}
