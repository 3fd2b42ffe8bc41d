//! Where a component comes from: a file, or a folder in OCI image layout (as `oras` and `wkg` write it). What is named by
//! digest is verified; a signature is checked where the operator trusts keys.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The largest component that is read.
const COMPONENT_BYTES_MAX: u64 = 64 << 20;

/// What a layer with a component may be called.
const WASM_MEDIA_TYPES: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];

/// A component, and its digest in hexadecimal digits.
pub(crate) struct Package {
    pub(crate) component: Vec<u8>,
    pub(crate) digest: String,
}

/// Reads `FILE.wasm`, or `FOLDER` or `FOLDER:REF` in OCI image layout.
pub(crate) fn read(source: &str) -> anyhow::Result<Package> {
    let path = Path::new(source);
    if path.is_dir() {
        return read_layout(path, None);
    }
    if let Some((folder, reference)) = source.rsplit_once(':')
        && Path::new(folder).is_dir()
    {
        return read_layout(Path::new(folder), Some(reference));
    }
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {source}"))?.len();
    ensure!(size <= COMPONENT_BYTES_MAX, "{source} has {size} bytes; at most {COMPONENT_BYTES_MAX} are accepted");
    let component = std::fs::read(path).with_context(|| format!("cannot read {source}"))?;
    Ok(Package { digest: digest_of(&component), component })
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes what is written to it");
        digits
    })
}

/// `sha256:` is optional where a digest is asked for.
pub(crate) fn without_prefix(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

const REF_NAME: &str = "org.opencontainers.image.ref.name";

fn read_layout(folder: &Path, reference: Option<&str>) -> anyhow::Result<Package> {
    let shown = folder.display();
    ensure!(
        folder.join("oci-layout").is_file(),
        "{shown} is a folder without a file `oci-layout`: expected a component or a folder in OCI image layout"
    );
    let index = std::fs::read(folder.join("index.json")).with_context(|| format!("cannot read {shown}/index.json"))?;
    let index: Index = serde_json::from_slice(&index).with_context(|| format!("{shown}/index.json"))?;
    let name = |manifest: &Descriptor| manifest.annotations.get(REF_NAME).cloned().unwrap_or_default();
    let fitting = |manifest: &&Descriptor| reference.is_none_or(|wanted| name(manifest) == wanted);
    let mut manifests = index.manifests.iter().filter(fitting);
    let (first, second) = (manifests.next(), manifests.next());
    let names: Vec<_> = index.manifests.iter().map(name).collect();
    let Some(manifest) = first else {
        bail!("{shown} has no manifest {:?}; it has: {}", reference.unwrap_or_default(), names.join(", "));
    };
    ensure!(second.is_none(), "{shown} has several manifests: name one as FOLDER:REF, of: {}", names.join(", "));
    let manifest: Manifest =
        serde_json::from_slice(&blob(folder, manifest)?).with_context(|| format!("the manifest of {shown}"))?;
    let is_wasm = |layer: &&Descriptor| WASM_MEDIA_TYPES.contains(&layer.media_type.as_str());
    let mut layers = manifest.layers.iter().filter(is_wasm);
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        let types: Vec<_> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
        bail!(
            "the manifest of {shown} must have one layer of type {}; it has: {}",
            WASM_MEDIA_TYPES[0],
            types.join(", ")
        );
    };
    let component = blob(folder, layer)?;
    Ok(Package { digest: digest_of(&component), component })
}

/// A blob of the layout, verified.
fn blob(folder: &Path, descriptor: &Descriptor) -> anyhow::Result<Vec<u8>> {
    let hash = descriptor.digest.strip_prefix("sha256:").filter(|hash| hash.len() == 64);
    let hash = hash.filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some(hash) = hash else { bail!("digest {:?}: expected sha256: and 64 hexadecimal digits", descriptor.digest) };
    ensure!(descriptor.size <= COMPONENT_BYTES_MAX, "blob {hash} has {} bytes", descriptor.size);
    let path: PathBuf = folder.join("blobs/sha256").join(hash);
    let size = std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(size == descriptor.size, "{} has {size} bytes where {} are announced", path.display(), descriptor.size);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(digest_of(&bytes) == hash, "{} is not what its name says", path.display());
    Ok(bytes)
}

/// Whether one of the trusted keys signed the component. Without trusted keys everything is accepted that does not come
/// with a signature: one that nobody can check must not look as if somebody had.
pub(crate) fn check_signature(trusted: &[TrustedKey], component: &[u8], signature: &[u8]) -> Result<(), String> {
    if trusted.is_empty() {
        return match signature {
            [] => Ok(()),
            _ => Err("signature: this server has no key to check it with (policy.trusted_keys)".to_owned()),
        };
    }
    if signature.is_empty() {
        return Err("signature: is not set; this server accepts signed plugins only (policy.trusted_keys)".to_owned());
    }
    let signature = ed25519_compact::Signature::from_slice(signature)
        .map_err(|_| format!("signature: has {} bytes; an Ed25519 signature has 64", signature.len()))?;
    if trusted.iter().any(|key| key.0.verify(component, &signature).is_ok()) {
        return Ok(());
    }
    Err("signature: none of the keys in policy.trusted_keys made it for this component".to_owned())
}

/// An Ed25519 public key.
#[derive(Clone)]
pub(crate) struct TrustedKey(ed25519_compact::PublicKey);

impl TrustedKey {
    /// From 64 hexadecimal digits.
    pub(crate) fn parse(digits: &str) -> Result<Self, String> {
        let expected = || format!("{digits:?}; expected an Ed25519 public key as 64 hexadecimal digits");
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(expected());
        }
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
        let bytes: Result<Vec<u8>, _> = (0..64).step_by(2).map(byte).collect();
        let bytes = bytes.map_err(|_| expected())?;
        ed25519_compact::PublicKey::from_slice(&bytes).map(Self).map_err(|_| expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(folder: &Path, component: &[u8], tampered: bool) {
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).unwrap();
        let write = |bytes: &[u8]| {
            let digest = digest_of(bytes);
            std::fs::write(blobs.join(&digest), bytes).unwrap();
            digest
        };
        let layer = write(component);
        if tampered {
            let mut other = component.to_vec();
            other[0] ^= 1;
            std::fs::write(blobs.join(&layer), other).unwrap();
        }
        let manifest = serde_json::json!({ "schemaVersion": 2, "layers": [
            { "mediaType": "application/wasm", "digest": format!("sha256:{layer}"), "size": component.len() }
        ] });
        let manifest = manifest.to_string();
        let digest = write(manifest.as_bytes());
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
            { "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{digest}"),
              "size": manifest.len(), "annotations": { REF_NAME: "v1" } }
        ] });
        std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }

    #[test]
    fn a_component_is_read_from_a_file_and_from_an_oci_layout() {
        let folder = tempfile::tempdir().unwrap();
        layout(folder.path(), b"component", false);
        let path = folder.path().to_str().unwrap();
        assert_eq!(read(path).unwrap().component, b"component");
        assert_eq!(read(&format!("{path}:v1")).unwrap().digest, digest_of(b"component"));
        let error = read(&format!("{path}:v2")).err().unwrap().to_string();
        assert!(error.contains("no manifest \"v2\"; it has: v1"), "{error}");
        let file = folder.path().join("x.wasm");
        std::fs::write(&file, b"component").unwrap();
        assert_eq!(read(file.to_str().unwrap()).unwrap().digest, digest_of(b"component"));
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        layout(folder.path(), b"component", true);
        let error = read(folder.path().to_str().unwrap()).err().unwrap().to_string();
        assert!(error.contains("is not what its name says"), "{error}");
    }

    #[test]
    fn with_trusted_keys_only_signed_components_are_accepted() {
        let pair = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([7; 32]));
        let other = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new([8; 32]));
        let digits: String = pair.pk.iter().map(|byte| format!("{byte:02x}")).collect();
        let trusted = [TrustedKey::parse(&digits).unwrap()];
        let sign = |pair: &ed25519_compact::KeyPair| pair.sk.sign(b"component", None).to_vec();
        assert!(check_signature(&trusted, b"component", &sign(&pair)).is_ok());
        assert!(check_signature(&trusted, b"component", &sign(&other)).is_err());
        assert!(check_signature(&trusted, b"componenT", &sign(&pair)).is_err());
        assert!(check_signature(&trusted, b"component", b"").unwrap_err().contains("is not set"));
        assert!(check_signature(&[], b"component", b"").is_ok());
        assert!(check_signature(&[], b"component", &sign(&pair)).unwrap_err().contains("no key"));
        assert!(TrustedKey::parse("xy").is_err());
    }
}
