//! What comes over the wire, parsed once: digests, digest functions and ByteStream resource names.

use berth_core::Digest;
use berth_proto::reapi;

use crate::error::Error;

/// How the bytes of a transfer are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Identity,
    Zstd,
}

/// `{instance}/blobs/{hash}/{size}` or `{instance}/compressed-blobs/zstd/{hash}/{size}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadName {
    pub(crate) instance: String,
    pub(crate) digest: Digest,
    pub(crate) compression: Compression,
}

/// `{instance}/uploads/{uuid}/...` and then as for reads; what follows the size is ignored, as REAPI allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WriteName {
    pub(crate) instance: String,
    pub(crate) upload: String,
    pub(crate) digest: Digest,
    pub(crate) compression: Compression,
}

impl ReadName {
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        let (instance, rest) = split_instance(name)?;
        let (digest, compression) = blob(name, &rest)?;
        Ok(Self { instance, digest, compression })
    }
}

impl WriteName {
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        let (instance, rest) = split_instance(name)?;
        match rest.as_slice() {
            ["uploads", upload, blob_name @ ..] if !upload.is_empty() && upload.len() <= 128 => {
                let (digest, compression) = blob(name, blob_name)?;
                Ok(Self { instance, upload: (*upload).into(), digest, compression })
            }
            _ => Err(bad_name(name, "a write needs {instance}/uploads/{uuid}/blobs/{hash}/{size}")),
        }
    }
}

/// Instance names may contain slashes, but never one of these words as a segment.
fn split_instance(name: &str) -> Result<(String, Vec<&str>), Error> {
    let segments: Vec<&str> = name.split('/').collect();
    let keyword = segments
        .iter()
        .position(|segment| matches!(*segment, "blobs" | "compressed-blobs" | "uploads"))
        .ok_or_else(|| bad_name(name, "it has none of the segments blobs, compressed-blobs, uploads"))?;
    Ok((segments[..keyword].join("/"), segments[keyword..].to_vec()))
}

fn blob(name: &str, segments: &[&str]) -> Result<(Digest, Compression), Error> {
    let (compression, rest) = match segments {
        ["blobs", rest @ ..] => (Compression::Identity, rest),
        ["compressed-blobs", "zstd", rest @ ..] => (Compression::Zstd, rest),
        ["compressed-blobs", ..] => return Err(bad_name(name, "the only compressor is zstd")),
        _ => return Err(bad_name(name, "expected blobs/{hash}/{size}")),
    };
    let (hash, size) = match rest {
        ["sha256", hash, size, ..] | [hash, size, ..] => (hash, size),
        _ => return Err(bad_name(name, "expected {hash}/{size} at its end")),
    };
    let size = size.parse::<i64>().map_err(|_| bad_name(name, "the size is not a number"))?;
    let digest = Digest::parse(hash, size).map_err(|error| bad_name(name, &error.to_string()))?;
    Ok((digest, compression))
}

fn bad_name(name: &str, problem: &str) -> Error {
    let shown: String = name.chars().take(300).collect();
    Error::field("resource_name", format!("{shown:?}: {problem}"))
}

/// Parses a digest field of a request.
pub(crate) fn digest(field: &'static str, wire: Option<&reapi::Digest>) -> Result<Digest, Error> {
    let wire = wire.ok_or_else(|| Error::field(field, "is not set"))?;
    Digest::parse(&wire.hash, wire.size_bytes).map_err(|error| Error::field(field, error.to_string()))
}

/// The digest as it goes over the wire.
pub(crate) fn to_wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest {
        hash: digest.hex(),
        size_bytes: i64::try_from(digest.size_bytes).expect("a digest is parsed from an i64 or counts bytes in memory"),
    }
}

/// Only SHA-256 is spoken; a client that says nothing means it too.
pub(crate) fn check_function(function: i32) -> Result<(), Error> {
    if function == reapi::digest_function::Value::Unknown as i32
        || function == reapi::digest_function::Value::Sha256 as i32
    {
        return Ok(());
    }
    Err(Error::field("digest_function", format!("{function} is not supported, only SHA256 (1) is")))
}

/// Which packing a request names.
pub(crate) fn compression(compressor: i32) -> Result<Compression, Error> {
    if compressor == reapi::compressor::Value::Identity as i32 {
        Ok(Compression::Identity)
    } else if compressor == reapi::compressor::Value::Zstd as i32 {
        Ok(Compression::Zstd)
    } else {
        Err(Error::field("compressor", format!("{compressor} is not supported, only IDENTITY (0) and ZSTD (1) are")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> String {
        "0123456789abcdef".repeat(4)
    }

    #[test]
    fn an_instance_name_may_be_empty_or_have_slashes() {
        for instance in ["", "main", "a/b/c"] {
            let prefix = if instance.is_empty() { String::new() } else { format!("{instance}/") };
            let read = ReadName::parse(&format!("{prefix}blobs/{}/7", hash())).unwrap();
            assert_eq!((read.instance.as_str(), read.digest.size_bytes), (instance, 7));
            let write = WriteName::parse(&format!("{prefix}uploads/u-1/compressed-blobs/zstd/{}/7/meta/data", hash()));
            let write = write.unwrap();
            assert_eq!((write.instance.as_str(), write.upload.as_str()), (instance, "u-1"));
            assert_eq!(write.compression, Compression::Zstd);
        }
    }

    #[test]
    fn a_bad_name_is_refused_with_what_is_wrong() {
        for (name, part) in [
            (format!("blobs/{}", hash()), "{hash}/{size}"),
            (format!("compressed-blobs/brotli/{}/1", hash()), "zstd"),
            (format!("blobs/{}/x", hash()), "not a number"),
            ("blobs/abc/1".into(), "64 lowercase"),
            ("nothing".into(), "none of the segments"),
        ] {
            let refused = ReadName::parse(&name).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
        assert!(WriteName::parse(&format!("blobs/{}/1", hash())).is_err());
    }
}
