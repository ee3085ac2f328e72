//! Certificates for tests, made as they are needed: an authority, and what it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use tempfile::TempDir;

/// An authority with a folder for its files.
pub struct Authority {
    pub folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Its own certificate is in `ca.pem`.
    pub fn new() -> Authority {
        Authority::of("Quantum Root")
    }

    /// One of this name.
    pub fn of(name: &str) -> Authority {
        let folder = tempfile::tempdir().unwrap();
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn ca(&self) -> String {
        self.path("ca.pem")
    }

    /// A certificate for these names, with its key in the same file.
    pub fn signs(&self, file: &str, names: &[&str]) -> String {
        self.signs_with(file, names, |_| {})
    }

    /// The same with changes.
    pub fn signs_with(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let mut params = named(names.first().unwrap_or(&"nobody"), names);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        self.write(file, &(made.pem() + &key.serialize_pem()))
    }

    /// A certificate that is signed by itself, with its key in the same file.
    pub fn self_signed(&self, file: &str, names: &[&str]) -> String {
        let key = KeyPair::generate().unwrap();
        let made = named(names[0], names).self_signed(&key).unwrap();
        self.write(file, &(made.pem() + &key.serialize_pem()))
    }

    pub fn write(&self, file: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        private(&path);
        path.to_str().unwrap().to_owned()
    }
}

#[cfg(unix)]
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[cfg(not(unix))]
fn private(_path: &Path) {}

fn named(subject: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, subject);
    let san = |name: &&str| match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) if name.contains(':') => SanType::URI((*name).try_into().unwrap()),
        Err(_) => SanType::DnsName((*name).try_into().unwrap()),
    };
    params.subject_alt_names = names.iter().map(san).collect();
    params
}
