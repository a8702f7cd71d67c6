//! The mounted files: which one a request's path means, and what kind of file it is.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// What a folder is asked for.
const INDEX: &str = "index.html";

/// Compressed twins that may lie beside a file: the name of the content coding and the twin's ending. The smallest first.
const CODINGS: &[(&str, &str)] = &[("br", "br"), ("gzip", "gz")];

pub struct File {
    /// Below the root of the site, without a slash in front.
    pub name: String,
    place: PathBuf,
}

impl File {
    /// The file of a request's path, if there is one.
    pub fn find(root: &Path, path: &str) -> Option<File> {
        let mut name = decode(path)?.strip_prefix('/')?.to_owned();
        if name.is_empty() || name.ends_with('/') {
            name.push_str(INDEX);
        }
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.split('/').all(is_plain) || name.contains(['\0', '\\']) {
            return None;
        }
        let place = root.join(&name);
        place.is_file().then_some(File { name, place })
    }

    pub fn read(&self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.place)
    }

    /// The codings that it lies there in, beside its own.
    pub fn codings(&self) -> Vec<Coded> {
        let coded = CODINGS.iter().map(|(coding, ending)| {
            let mut place = self.place.clone().into_os_string();
            place.push(".");
            place.push(ending);
            let place = PathBuf::from(place);
            Coded { coding, place }
        });
        coded.filter(|coded| coded.place.is_file()).collect()
    }

    pub fn content_type(&self) -> &'static str {
        let ending = self.name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "html" | "htm" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" | "mjs" => "application/javascript; charset=utf-8",
            "map" | "json" => "application/json; charset=utf-8",
            "webmanifest" => "application/manifest+json",
            "wasm" => "application/wasm",
            "xml" => "application/xml",
            "pdf" => "application/pdf",
            "txt" | "md" => "text/plain; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "webp" => "image/webp",
            "avif" => "image/avif",
            "ico" => "image/x-icon",
            "woff" => "font/woff",
            "woff2" => "font/woff2",
            "mp3" => "audio/mpeg",
            "ogg" => "audio/ogg",
            "wav" => "audio/wav",
            "mp4" => "video/mp4",
            "webm" => "video/webm",
            _ => "application/octet-stream",
        }
    }
}

/// A file's compressed twin.
pub struct Coded {
    pub coding: &'static str,
    place: PathBuf,
}

impl Coded {
    pub fn read(&self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.place)
    }
}

fn decode(path: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(path).decode_utf8().ok()
}
