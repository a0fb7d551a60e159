//! Keys that verify tokens, and which of them may have signed one.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};

use super::Identity;
use super::cache::{Cache, KeysId};
use super::head::Head;

/// Clocks of issuer and gateway may differ by so many seconds.
const LEEWAY_SECONDS: u64 = 10;
/// Keys that one token is tried with at most: whoever can connect has them tried.
pub(super) const TRIES_MAX: usize = 8;

/// What every key of a source is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// None: whatever a key is made for.
    pub algorithms: Option<Vec<Algorithm>>,
}

impl Rules {
    pub(super) fn allow(&self, algorithm: Algorithm) -> bool {
        let listed = self.algorithms.as_ref();
        listed.is_none_or(|listed| listed.contains(&algorithm))
    }

    /// At least one algorithm.
    fn validation(&self, algorithms: Vec<Algorithm>) -> Validation {
        let mut validation = Validation::new(algorithms[0]);
        validation.algorithms = algorithms;
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = self.audience.is_some();
        // Whoever reads the claims asks for `sub`, which may be a number.
        let mut required = vec!["exp"];
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

/// One key, with the algorithms it may have signed with: one family, and never the key's secret and its public form.
pub(super) struct Key {
    /// `kid`.
    pub id: Option<String>,
    pub decoding: DecodingKey,
    pub validation: Validation,
}

impl Key {
    /// None when no algorithm is left that the configuration allows, too.
    pub(super) fn new(
        id: Option<String>,
        decoding: DecodingKey,
        algorithms: &[Algorithm],
        rules: &Rules,
    ) -> Option<Self> {
        let allowed = algorithms.iter().copied().filter(|each| rules.allow(*each));
        let allowed: Vec<Algorithm> = allowed.collect();
        (!allowed.is_empty()).then(|| Self {
            id,
            decoding,
            validation: rules.validation(allowed),
        })
    }

    fn takes(&self, algorithm: Algorithm) -> bool {
        self.validation.algorithms.contains(&algorithm)
    }
}

/// Which keys may have signed a token.
pub(super) enum Found<'a> {
    /// These have its `kid`.
    Named(Vec<&'a Key>),
    /// The token names none, or these have none: they fit the algorithm.
    Fitting(Vec<&'a Key>),
    /// There are such keys, for other algorithms.
    OtherAlgorithm,
    /// The token names a key that is not there.
    Unknown,
}

/// All keys of a source as they were read together.
pub(super) struct KeySet {
    pub keys: Vec<Key>,
    /// What was left out of the source, and why.
    pub notes: Vec<String>,
    /// Whether the source's next keys may be for other algorithms and have other ids.
    pub changing: bool,
    /// Of tokens that these keys verified, as far as it says that they did. Only where verifying costs much more than looking up.
    cache: Option<Arc<Cache>>,
    id: KeysId,
}

impl KeySet {
    pub(super) fn new(keys: Vec<Key>, changing: bool) -> Self {
        let costly = keys
            .iter()
            .any(|key| key.decoding.family() != AlgorithmFamily::Hmac);
        Self {
            keys,
            notes: Vec::new(),
            changing,
            cache: costly.then(Arc::default),
            id: KeysId::new(),
        }
    }

    /// The same, which remember in a cache that others use as well.
    pub(super) fn remembering_in(mut self, cache: &Arc<Cache>) -> Self {
        self.cache = self.cache.map(|_| cache.clone());
        self
    }

    /// The identity of a token that these keys verified.
    pub(super) fn remembered(&self, token: &str, now: u64) -> Option<Arc<Identity>> {
        self.cache.as_ref()?.get(self.id, token, now)
    }

    pub(super) fn remember(&self, token: &str, identity: &Arc<Identity>, expires: u64) {
        if let Some(cache) = &self.cache {
            cache.put(self.id, token, identity.clone(), expires);
        }
    }

    pub(super) fn find(&self, head: &Head, rules: &Rules) -> Found<'_> {
        let algorithm = head.algorithm;
        if !self.may_take(algorithm, rules) {
            return Found::OtherAlgorithm;
        }
        let named: Vec<&Key> = match &head.key {
            Some(id) => self
                .keys
                .iter()
                .filter(|key| key.id.as_ref() == Some(id))
                .collect(),
            None => Vec::new(),
        };
        let is_named = !named.is_empty();
        let mut found = match is_named {
            true => named,
            // A key without an id may be the one that is named.
            false => {
                let nameless = |key: &&Key| head.key.is_none() || key.id.is_none();
                self.keys.iter().filter(nameless).collect()
            }
        };
        found.retain(|key| key.takes(algorithm));
        found.truncate(TRIES_MAX);
        match (found.is_empty(), is_named) {
            (true, true) => Found::OtherAlgorithm,
            (true, false) => Found::Unknown,
            (false, true) => Found::Named(found),
            (false, false) => Found::Fitting(found),
        }
    }

    /// Whether the source has, or may yet have, a key for this algorithm. A set that is published never has a secret.
    fn may_take(&self, algorithm: Algorithm, rules: &Rules) -> bool {
        let later = self.changing && algorithm.family() != AlgorithmFamily::Hmac && rules.allow(algorithm);
        later || self.keys.iter().any(|key| key.takes(algorithm))
    }
}

/// A PEM public key, with the algorithms it verifies.
pub(super) fn public_key(pem: &[u8]) -> Option<(DecodingKey, Algorithm)> {
    if let Ok(key) = DecodingKey::from_ed_pem(pem) {
        return Some((key, Algorithm::EdDSA));
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        // An uncompressed point: a byte, and two coordinates.
        let algorithm = match key.try_get_as_bytes().map(<[u8]>::len) {
            Ok(65) => Algorithm::ES256,
            Ok(97) => Algorithm::ES384,
            _ => return None,
        };
        return Some((key, algorithm));
    }
    let key = DecodingKey::from_rsa_pem(pem).ok()?;
    Some((key, Algorithm::RS256))
}
