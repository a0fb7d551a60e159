//! Which keys of a set verify what, and what is never a key.

use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};
use serde_json::json;

use super::super::head::Head;
use super::super::keys::Found;
use super::super::{Wrong, verified};
use super::*;

const RSA_PRIVATE: &[u8] = include_bytes!("../../../../tests/fixtures/keys/rsa.pem");

/// A private key, and its public form as a JWK without `alg` and `kid`.
struct Pair {
    signing: EncodingKey,
    jwk: Value,
}

impl Pair {
    fn new(signing: EncodingKey, algorithm: Algorithm) -> Self {
        let jwk = Jwk::from_encoding_key(&signing, algorithm).expect("a JWK");
        let mut jwk = serde_json::to_value(jwk).expect("JSON");
        jwk.as_object_mut().expect("an object").remove("alg");
        Self { signing, jwk }
    }

    fn generate(kind: &'static SignatureAlgorithm, algorithm: Algorithm) -> Self {
        let pair = KeyPair::generate_for(kind).expect("a key");
        let pem = pair.serialize_pem();
        if algorithm == Algorithm::EdDSA {
            let signing = EncodingKey::from_ed_pem(pem.as_bytes()).expect("a key");
            let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
            return Self { signing, jwk };
        }
        Self::new(
            EncodingKey::from_ec_pem(pem.as_bytes()).expect("a key"),
            algorithm,
        )
    }

    fn ed() -> Self {
        Self::generate(&PKCS_ED25519, Algorithm::EdDSA)
    }

    fn rsa() -> Self {
        Self::new(
            EncodingKey::from_rsa_pem(RSA_PRIVATE).expect("a key"),
            Algorithm::RS256,
        )
    }

    fn with(&self, more: Value) -> Value {
        let mut jwk = self.jwk.clone();
        let members = more.as_object().expect("an object").clone();
        jwk.as_object_mut().expect("an object").extend(members);
        jwk
    }

    fn token(&self, algorithm: Algorithm, kid: Option<&str>) -> String {
        sign(&self.signing, algorithm, kid)
    }
}

fn sign(key: &EncodingKey, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header {
        kid: kid.map(str::to_owned),
        ..Header::new(algorithm)
    };
    let exp = jsonwebtoken::get_current_timestamp() + 3600;
    encode(&header, &json!({"sub": "ada", "exp": exp}), key).expect("a token")
}

fn set(keys: &[Value]) -> Result<KeySet, String> {
    read(json!({"keys": keys}).to_string().as_bytes(), &Rules::default())
}

/// `ok`, or how the token is refused.
fn says(set: &KeySet, token: &str) -> &'static str {
    match verified(token, set, &Rules::default()) {
        Ok(identity) => {
            assert_eq!(identity.user, "ada");
            "ok"
        }
        Err(Wrong::Final(_)) => "refused",
        Err(Wrong::Key(_)) => "other key",
        Err(Wrong::Unknown) => "unknown key",
        Err(Wrong::NoKeys) => "no keys",
    }
}

#[test]
fn every_kind_of_key_verifies_what_it_is_made_for() {
    let p256 = Pair::generate(&PKCS_ECDSA_P256_SHA256, Algorithm::ES256);
    let p384 = Pair::generate(&PKCS_ECDSA_P384_SHA384, Algorithm::ES384);
    let (ed, rsa) = (Pair::ed(), Pair::rsa());
    let keys = [
        ed.with(json!({"kid": "ed"})),
        p256.with(json!({"kid": "p256", "use": "sig"})),
        p384.with(json!({"kid": "p384", "key_ops": ["verify"]})),
        rsa.with(json!({"kid": "rsa"})),
        rsa.with(json!({"kid": "ps512", "alg": "PS512"})),
    ];
    let set = set(&keys).expect("a set");
    assert!(set.notes.is_empty(), "{:?}", set.notes);
    for (pair, algorithm, kid, expected) in [
        (&ed, Algorithm::EdDSA, "ed", "ok"),
        (&p256, Algorithm::ES256, "p256", "ok"),
        (&p384, Algorithm::ES384, "p384", "ok"),
        (&rsa, Algorithm::RS256, "rsa", "ok"),
        (&rsa, Algorithm::RS512, "rsa", "ok"),
        (&rsa, Algorithm::PS384, "rsa", "ok"),
        (&rsa, Algorithm::PS512, "ps512", "ok"),
        // The key's own algorithm holds.
        (&rsa, Algorithm::RS512, "ps512", "refused"),
        (&ed, Algorithm::EdDSA, "p256", "refused"),
        (&Pair::ed(), Algorithm::EdDSA, "ed", "refused"),
        (&ed, Algorithm::EdDSA, "new", "unknown key"),
    ] {
        let token = pair.token(algorithm, Some(kid));
        assert_eq!(says(&set, &token), expected, "{algorithm:?} {kid}");
        assert_eq!(
            says(&set, &token),
            expected,
            "the second time, maybe from the cache"
        );
    }
    // A token without an id is tried with every key that fits.
    assert_eq!(says(&set, &p384.token(Algorithm::ES384, None)), "ok");
    assert_eq!(says(&set, &Pair::ed().token(Algorithm::EdDSA, None)), "other key");
}

#[test]
fn a_public_key_is_never_a_secret() {
    let rsa = Pair::rsa();
    let set = set(&[
        rsa.with(json!({"kid": "a"})),
        Pair::ed().with(json!({"kid": "b"})),
    ])
    .expect("a set");
    let modulus = rsa.jwk["n"].as_str().expect("a text");
    for secret in [
        modulus.as_bytes(),
        &URL_SAFE_NO_PAD.decode(modulus).expect("base64url"),
        b"",
    ] {
        for kid in [None, Some("a"), Some("new")] {
            for algorithm in [Algorithm::HS256, Algorithm::HS512] {
                let token = sign(&EncodingKey::from_secret(secret), algorithm, kid);
                assert_eq!(says(&set, &token), "refused", "no key is looked for, either");
            }
        }
    }
}

#[test]
fn keys_without_an_id_and_keys_with_the_same_one_are_all_tried() {
    let (one, other, named) = (Pair::ed(), Pair::ed(), Pair::ed());
    let nameless = set(&[
        one.jwk.clone(),
        other.jwk.clone(),
        named.with(json!({"kid": "a"})),
    ])
    .expect("a set");
    for token in [
        one.token(Algorithm::EdDSA, None),
        other.token(Algorithm::EdDSA, Some("whatever")),
        named.token(Algorithm::EdDSA, Some("a")),
        named.token(Algorithm::EdDSA, None),
    ] {
        assert_eq!(says(&nameless, &token), "ok");
    }
    assert_eq!(
        says(&nameless, &one.token(Algorithm::EdDSA, Some("a"))),
        "refused",
        "another key has the name"
    );
    let twice = set(&[one.with(json!({"kid": "a"})), other.with(json!({"kid": "a"}))]).expect("a set");
    assert_eq!(says(&twice, &other.token(Algorithm::EdDSA, Some("a"))), "ok");
}

#[test]
fn one_token_is_tried_with_a_few_keys_only() {
    let pairs: Vec<Pair> = (0..=TRIES_MAX).map(|_| Pair::ed()).collect();
    let jwks: Vec<Value> = pairs.iter().map(|pair| pair.jwk.clone()).collect();
    let crowd = set(&jwks).expect("a set");
    assert!(crowd.notes[0].contains("the first 8"), "{:?}", crowd.notes);
    let Ok(head) = Head::read(&pairs[0].token(Algorithm::EdDSA, None)) else {
        panic!("no head");
    };
    let Found::Fitting(found) = crowd.find(&head, &Rules::default()) else {
        panic!("not fitting");
    };
    assert_eq!(found.len(), TRIES_MAX);
    let many: Vec<Value> = (0..=KEYS_MAX).map(|_| pairs[0].jwk.clone()).collect();
    assert!(set(&many).err().expect("too many").contains("65 keys; 64"));
}

#[test]
fn what_cannot_be_used_is_left_out_with_a_note() {
    let (good, rsa) = (Pair::ed(), Pair::rsa());
    let p256 = Pair::generate(&PKCS_ECDSA_P256_SHA256, Algorithm::ES256);
    let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
    let long = URL_SAFE_NO_PAD.encode([0xff; 1024]);
    for (bad, why) in [
        (
            json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32]), "alg": "HS256"}),
            "shared secret",
        ),
        (good.with(json!({"d": "s3cret"})), "private part"),
        (rsa.with(json!({"p": "s3cret"})), "private part"),
        (good.with(json!({"use": "enc"})), "not for signatures"),
        (good.with(json!({"key_ops": ["sign"]})), "not for verifying"),
        (rsa.with(json!({"alg": "HS256"})), "does not fit its kind"),
        (rsa.with(json!({"alg": "ES256"})), "does not fit its kind"),
        (
            rsa.with(json!({"alg": "RSA-OAEP"})),
            "an algorithm that is not known",
        ),
        (rsa.with(json!({"n": short})), "1024 bits"),
        (rsa.with(json!({"n": long})), "8192 bits"),
        (rsa.with(json!({"e": "AQ"})), "exponent"),
        (rsa.with(json!({"e": "AA"})), "exponent"),
        (rsa.with(json!({"n": "not base64!"})), "not base64url"),
        (p256.with(json!({"crv": "P-521"})), "a curve that is not known"),
        (p256.with(json!({"crv": "P-384"})), "32 bytes instead of 48"),
        (
            p256.with(json!({"y": URL_SAFE_NO_PAD.encode([1; 32])})),
            "no key of its kind",
        ),
        (good.with(json!({"crv": "X25519"})), "a"),
        (json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}), ""),
        (json!({"kty": "RSA"}), ""),
        (json!({}), ""),
    ] {
        let alone = set(std::slice::from_ref(&bad)).err().expect("no key");
        assert!(
            alone.starts_with("holds no key that can be used: key 1 "),
            "{alone}"
        );
        let beside = set(&[bad, good.with(json!({"kid": "good"}))]).expect("the other one can be used");
        assert_eq!((beside.keys.len(), beside.notes.len()), (1, 1));
        assert!(
            beside.notes[0].contains(why) && !beside.notes[0].contains("s3cret"),
            "{:?}",
            beside.notes
        );
        assert_eq!(says(&beside, &good.token(Algorithm::EdDSA, Some("good"))), "ok");
    }
}

#[test]
fn what_is_no_set_says_what_it_is_not() {
    for (text, why) in [
        ("<html>s3cret</html>", "no JSON at line 1"),
        ("", "no JSON at line 1"),
        ("[]", "a list `keys`"),
        ("{}", "a list `keys`"),
        ("{\"keys\":7}", "a list `keys`"),
        ("{\"keys\":[\"s3cret\"]}", "a list `keys`"),
        ("{\"keys\":[]}", "holds no key"),
    ] {
        let error = read(text.as_bytes(), &Rules::default()).err().expect(text);
        assert!(error.contains(why) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn the_configurations_algorithms_hold_too() {
    let (ed, rsa) = (Pair::ed(), Pair::rsa());
    let rules = Rules {
        algorithms: Some(vec![Algorithm::PS256]),
        ..Rules::default()
    };
    let keys = json!({"keys": [ed.jwk, rsa.jwk]}).to_string();
    let set = read(keys.as_bytes(), &rules).expect("a set");
    assert!(set.notes[0].contains("auth.algorithms"), "{:?}", set.notes);
    for (token, good) in [
        (rsa.token(Algorithm::PS256, None), true),
        (rsa.token(Algorithm::RS256, None), false),
        (ed.token(Algorithm::EdDSA, Some("new")), false),
    ] {
        match verified(&token, &set, &rules) {
            Ok(_) => assert!(good),
            Err(wrong) => assert!(!good && matches!(wrong, Wrong::Final(_))),
        }
    }
}
