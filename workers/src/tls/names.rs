//! Which certificate answers for which name (SNI, RFC 6066, 3).
//!
//! A name that no certificate is for, and a client that says no name, get the first certificate. Of several certificates
//! for one name the first counts that the client can check: so an ECDSA and an RSA one may stand side by side.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::Identity;

/// All certificates of a server.
#[derive(Debug)]
pub(super) struct Names {
    all: Vec<Arc<CertifiedKey>>,
    /// Places in `all`, by name; `*.example.com` is kept as `.example.com`, which no client can ask for (rustls takes host
    /// names only).
    by_name: HashMap<String, Vec<usize>>,
}

impl Names {
    pub(super) fn new(identities: &[Identity]) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, identity) in identities.iter().enumerate() {
            for name in &identity.names {
                let name = name.strip_prefix('*').unwrap_or(name);
                by_name.entry(name.to_owned()).or_default().push(place);
            }
        }
        Self { all: identities.iter().map(|identity| identity.key.clone()).collect(), by_name }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let places = name.as_deref().and_then(|name| {
            // A wildcard stands for exactly one label (RFC 6125, 6.4.3).
            let above = || name.find('.').and_then(|dot| self.by_name.get(&name[dot..]));
            self.by_name.get(name).or_else(above)
        });
        let fits = |place: &usize| {
            let key = self.all.get(*place)?;
            key.key.choose_scheme(schemes).map(|_| key.clone())
        };
        let named = places.and_then(|places| {
            let first = places.first().and_then(|place| self.all.get(*place)).cloned();
            places.iter().find_map(fits).or(first)
        });
        // rustls says to the client what is wrong when none of its schemes fits.
        named.or_else(|| self.all.first().cloned())
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};

    use super::*;

    fn identity(names: &[&str]) -> Identity {
        identity_with(names, KeyPair::generate().unwrap())
    }

    fn identity_with(names: &[&str], key: KeyPair) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Identity::read(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn each_name_gets_its_certificate_and_others_the_first() {
        let identities = [
            identity(&["first.example"]),
            identity(&["b.example", "*.b.example"]),
            identity(&["exact.b.example"]),
        ];
        let names = Names::new(&identities);
        for (name, expected) in [
            (Some("first.example"), 0),
            (Some("b.example"), 1),
            (Some("B.Example"), 1),
            (Some("any.b.example"), 1),
            (Some("exact.b.example"), 2),
            (Some("two.labels.b.example"), 0),
            (Some("elsewhere"), 0),
            (None, 0),
        ] {
            let chosen = names.choose(name, &[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
            let place = identities.iter().position(|one| Arc::ptr_eq(&one.key, &chosen));
            assert_eq!(place, Some(expected), "{name:?}");
        }
    }

    #[test]
    fn of_two_certificates_for_a_name_the_one_counts_that_the_client_can_check() {
        let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let identities = [identity(&["a.example"]), identity_with(&["a.example"], other)];
        let names = Names::new(&identities);
        for (scheme, expected) in [
            (SignatureScheme::ECDSA_NISTP256_SHA256, 0),
            (SignatureScheme::ECDSA_NISTP384_SHA384, 1),
        ] {
            let chosen = names.choose(Some("a.example"), &[scheme]).unwrap();
            assert!(Arc::ptr_eq(&identities[expected].key, &chosen), "{scheme:?}");
        }
    }
}
