//! A JWK Set (RFC 7517) as a key set. Anybody may read such a set, so nothing secret in it is ever a key; what cannot be
//! used is left out with a note, because the others can.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::{Key, KeySet, Rules, TRIES_MAX};

/// Keys of a set, used or not: while one replaces another, an issuer has a handful.
const KEYS_MAX: usize = 64;
/// What RFC 7518 (3.3) asks for, and what the verifier takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// Bytes of an id that are shown.
const ID_SHOWN_MAX: usize = 64;
/// Members that only a private or shared key has (RFC 7518, 6.2.2, 6.3.2 and 6.4.1).
const SECRET_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

#[derive(Deserialize)]
struct Set {
    keys: Vec<Map<String, Value>>,
}

/// Reads a set. An error says what is wrong with it as a whole; a set without any key that can be used is wrong, too.
pub(super) fn read(bytes: &[u8], rules: &Rules) -> Result<KeySet, String> {
    let set: Set =
        serde_json::from_slice(bytes).map_err(|error| format!("is no JWK Set: {}", place(&error)))?;
    if set.keys.len() > KEYS_MAX {
        return Err(format!(
            "holds {} keys; {KEYS_MAX} are read at most",
            set.keys.len()
        ));
    }
    let (mut keys, mut notes) = (Vec::new(), Vec::new());
    for (at, members) in set.keys.into_iter().enumerate() {
        let name = name(at, &members);
        match key(members, rules) {
            Ok(key) => keys.push(key),
            Err(why) => notes.push(format!("{name} {why}")),
        }
    }
    if keys.is_empty() {
        return Err(match notes.is_empty() {
            true => "holds no key".to_owned(),
            false => format!("holds no key that can be used: {}", notes.join("; ")),
        });
    }
    notes.extend(crowded(&keys));
    let mut set = KeySet::new(keys, true);
    set.notes = notes;
    Ok(set)
}

/// Where it is wrong, without the words of the parser, which may quote the text.
fn place(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => "an object with a list `keys` of objects is expected".to_owned(),
        _ => format!("no JSON at line {}, column {}", error.line(), error.column()),
    }
}

/// `key 2 ("2026-11")`, counted from 1.
fn name(at: usize, members: &Map<String, Value>) -> String {
    match members.get("kid").and_then(Value::as_str) {
        Some(id) if id.len() <= ID_SHOWN_MAX => format!("key {} ({id:?})", at + 1),
        _ => format!("key {}", at + 1),
    }
}

fn key(members: Map<String, Value>, rules: &Rules) -> Result<Key, String> {
    if members.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(
            "is a shared secret (kty oct): whoever reads the set could make tokens. It is not used"
                .to_owned(),
        );
    }
    if SECRET_MEMBERS.iter().any(|member| members.contains_key(*member)) {
        return Err(
            "is published with its private part: whoever reads the set could make tokens. It is not used"
                .to_owned(),
        );
    }
    // The words of the parser may quote the key.
    let jwk: Jwk = serde_json::from_value(Value::Object(members))
        .map_err(|_| "lacks a member, or has one of another type")?;
    let common = &jwk.common;
    if common
        .public_key_use
        .as_ref()
        .is_some_and(|its| *its != PublicKeyUse::Signature)
    {
        return Err("is not for signatures (use)".to_owned());
    }
    let operations = common.key_operations.as_ref();
    if operations.is_some_and(|these| !these.contains(&KeyOperations::Verify)) {
        return Err("is not for verifying (key_ops)".to_owned());
    }
    let fitting = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            check_rsa(&rsa.n, &rsa.e)?;
            RSA
        }
        AlgorithmParameters::EllipticCurve(point) => {
            let (algorithm, bytes) = match point.curve {
                EllipticCurve::P256 => (&[Algorithm::ES256], 32),
                EllipticCurve::P384 => (&[Algorithm::ES384], 48),
                _ => return Err("is on a curve that is not known here (crv)".to_owned()),
            };
            check_length("x", &point.x, bytes)?;
            check_length("y", &point.y, bytes)?;
            algorithm
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            check_length("x", &pair.x, 32)?;
            &[Algorithm::EdDSA]
        }
        _ => return Err("is of a kind that is not known here (kty, crv)".to_owned()),
    };
    let algorithms = narrowed(fitting, common.key_algorithm)?;
    let decoding = DecodingKey::from_jwk(&jwk).map_err(|error| format!("cannot be read: {error}"))?;
    // A point that is not on its curve is found out when it is used: here, and not by the first buyer.
    for algorithm in &algorithms {
        jsonwebtoken::crypto::verify("AA", b"", &decoding, *algorithm)
            .map_err(|_| "is no key of its kind")?;
    }
    Key::new(jwk.common.key_id, decoding, &algorithms, rules)
        .ok_or_else(|| format!("is for {algorithms:?}, which auth.algorithms does not list"))
}

/// What the key is made for, as far as its kind can do it: a public RSA key that says HS256 is the oldest trick.
fn narrowed(fitting: &[Algorithm], named: Option<KeyAlgorithm>) -> Result<Vec<Algorithm>, String> {
    let Some(named) = named else {
        return Ok(fitting.to_vec());
    };
    match Algorithm::try_from(named) {
        Ok(algorithm) if fitting.contains(&algorithm) => Ok(vec![algorithm]),
        Ok(algorithm) => Err(format!(
            "is for {algorithm:?} (alg), which does not fit its kind (kty, crv)"
        )),
        Err(_) => Err("is for an algorithm that is not known here (alg)".to_owned()),
    }
}

fn bytes(member: &str, text: &str) -> Result<Vec<u8>, String> {
    let decoded = URL_SAFE_NO_PAD.decode(text);
    decoded.map_err(|_| format!("is not base64url ({member})"))
}

fn check_length(member: &str, text: &str, length: usize) -> Result<(), String> {
    match bytes(member, text)?.len() {
        found if found == length => Ok(()),
        found => Err(format!("has {found} bytes instead of {length} ({member})")),
    }
}

/// A key that is large enough, and not too large for the verifier. Both as in a JWK.
pub(super) fn check_rsa(modulus: &str, exponent: &str) -> Result<(), String> {
    let (modulus, exponent) = (bytes("n", modulus)?, bytes("e", exponent)?);
    check_modulus(&modulus)?;
    // With 1 every text is its own signature.
    let exponent = exponent.iter().copied().skip_while(|byte| *byte == 0);
    let exponent: Vec<u8> = exponent.collect();
    let is_odd = exponent.last().is_some_and(|last| last % 2 == 1);
    match is_odd && exponent != [1] && exponent.len() <= 4 {
        true => Ok(()),
        false => Err("has an exponent that no RSA key should have (e)".to_owned()),
    }
}

fn check_modulus(modulus: &[u8]) -> Result<(), String> {
    let significant = modulus.iter().position(|byte| *byte != 0);
    let bits = significant.map_or(0, |at| {
        (modulus.len() - at) * 8 - modulus[at].leading_zeros() as usize
    });
    match RSA_BITS.contains(&bits) {
        true => Ok(()),
        false => Err(format!(
            "is an RSA key of {bits} bits; {} to {} are taken",
            RSA_BITS.start(),
            RSA_BITS.end()
        )),
    }
}

/// More keys under one id, or without any, than one token is tried with.
fn crowded(keys: &[Key]) -> Option<String> {
    let same = |key: &Key| keys.iter().filter(|other| other.id == key.id).count();
    keys.iter().any(|key| same(key) > TRIES_MAX).then(|| {
        format!("more than {TRIES_MAX} keys have one id (kid), or none: a token is tried with the first {TRIES_MAX} that fit it")
    })
}

#[cfg(test)]
mod tests;
