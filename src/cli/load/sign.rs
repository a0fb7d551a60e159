//! Tokens as an issuer would make them, with a key for tests: gateways check them like everybody's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Map, Value, json};

use super::tokens::Tokens;
use crate::gateway::auth::{ALGORITHMS, Algorithm};

/// Seconds a token holds.
const LIFETIME_S: u64 = 3600;
/// A token that holds for less than so many seconds is not shown any more.
const LEFT_S_MIN: u64 = 300;
/// Bytes of a shared secret at least, as gateways ask of it.
const SECRET_BYTES_MIN: usize = 32;
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// What a key is tried for where nobody says, in this order: each kind of key fits one of them.
const USUAL: [Algorithm; 4] = [
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
];

/// The flags about tokens that are signed here.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "sign")]
pub struct Args {
    /// Signs a token for each buyer with this key, for tests only: a PEM private key (Ed25519, P-256, P-384 or RSA), or
    /// a shared secret of at least 32 bytes
    #[arg(long, value_name = "FILE", conflicts_with = "tokens")]
    sign_key: Option<PathBuf>,
    /// Algorithm of --sign-key [default: EdDSA, ES256, ES384 or RS256, whichever the key is for; HS256 for a secret]
    #[arg(long, value_name = "ALGORITHM", requires = "sign_key", value_parser = algorithm)]
    sign_alg: Option<Algorithm>,
    /// `kid` of the tokens, which names the key in a set
    #[arg(long, value_name = "ID", requires = "sign_key")]
    kid: Option<String>,
    /// `iss` of the tokens, where gateways ask for one (auth.issuer)
    #[arg(long, value_name = "ISSUER", requires = "sign_key")]
    issuer: Option<String>,
    /// `aud` of the tokens, where gateways ask for one (auth.audience)
    #[arg(long, value_name = "AUDIENCE", requires = "sign_key")]
    audience: Option<String>,
    /// A claim that every buyer has: `tier=gold`. JSON stands for itself, all else is text; repeat it for several
    #[arg(long = "claim", value_name = "NAME=VALUE", requires = "sign_key", value_parser = claim)]
    claims: Vec<(String, Value)>,
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    let known = ALGORITHMS.iter().find(|known| format!("{known:?}") == name);
    known
        .copied()
        .ok_or_else(|| format!("it is none of {ALGORITHMS:?}"))
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() || ["sub", "exp"].contains(&name) {
        return Err("sub and exp are each buyer's own; name another claim".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

impl Args {
    /// What signs, where somebody is to; the error is a sentence that shows no key.
    pub(super) fn tokens(&self) -> Result<Option<Tokens>, String> {
        let Some(path) = &self.sign_key else {
            return Ok(None);
        };
        let at = |what: String| format!("--sign-key {}: {what}", path.display());
        let (key, algorithm) = read(path, self.sign_alg).map_err(at)?;
        let mut claims: Map<String, Value> = self.claims.iter().cloned().collect();
        let named = [("iss", &self.issuer), ("aud", &self.audience)];
        for (name, value) in named {
            claims.extend(value.iter().map(|value| (name.to_owned(), value.as_str().into())));
        }
        let header = Header {
            kid: self.kid.clone(),
            ..Header::new(algorithm)
        };
        let signer = Signer {
            header,
            key,
            claims,
            known: Mutex::default(),
        };
        Ok(Some(Tokens::new(move |user| {
            signer.token(user, get_current_timestamp())
        })))
    }
}

/// The key in a file, and the algorithm it signs by.
fn read(path: &Path, wanted: Option<Algorithm>) -> Result<(EncodingKey, Algorithm), String> {
    let bytes = crate::pem::read_bounded(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    if !bytes.starts_with(b"-----BEGIN") {
        return secret(&bytes, wanted);
    }
    let candidates: &[Algorithm] = wanted.as_ref().map_or(&USUAL, std::slice::from_ref);
    let fitting = candidates.iter().find_map(|algorithm| {
        let key = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => return None,
            Algorithm::EdDSA => EncodingKey::from_ed_pem(&bytes),
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(&bytes),
            _ => EncodingKey::from_rsa_pem(&bytes),
        };
        // A key of another curve is only noticed when it signs.
        let key = key.ok()?;
        encode(&Header::new(*algorithm), &json!({}), &key).ok()?;
        Some((key, *algorithm))
    });
    fitting.ok_or_else(|| {
        let of = wanted.map_or("Ed25519, P-256, P-384 or RSA".to_owned(), |algorithm| {
            format!("{algorithm:?}")
        });
        format!(
            "is no PEM private key of {of}. One that begins with EC PRIVATE KEY becomes one by \
             `openssl pkcs8 -topk8 -nocrypt`; one with a passphrase, without it"
        )
    })
}

fn secret(bytes: &[u8], wanted: Option<Algorithm>) -> Result<(EncodingKey, Algorithm), String> {
    // As a gateway reads the same file.
    let secret = bytes.trim_ascii_end();
    if let Some(algorithm) = wanted.filter(|algorithm| *algorithm != Algorithm::HS256) {
        return Err(format!(
            "is no PEM file, and so a secret for HS256; {algorithm:?} signs with a private key"
        ));
    }
    match secret.len() < SECRET_BYTES_MIN {
        true => Err(format!(
            "is no PEM file, and as a secret too short: {} bytes; HS256 needs at least {SECRET_BYTES_MIN}",
            secret.len()
        )),
        false => Ok((EncodingKey::from_secret(secret), Algorithm::HS256)),
    }
}

/// Signs a buyer's token once for as long as it holds: with RSA that takes longer than an order.
struct Signer {
    header: Header,
    key: EncodingKey,
    claims: Map<String, Value>,
    /// By user: the token, and when it expires.
    known: Mutex<HashMap<String, (String, u64)>>,
}

impl Signer {
    /// `now`: seconds since 1970-01-01 UTC.
    fn token(&self, user: &str, now: u64) -> String {
        let mut known = self.known.lock().expect("no panic holds this lock");
        if let Some((token, expires)) = known.get(user)
            && *expires >= now + LEFT_S_MIN
        {
            return token.clone();
        }
        drop(known);
        let expires = now + LIFETIME_S;
        let mut claims = self.claims.clone();
        let own = [("sub", user.into()), ("iat", now.into()), ("exp", expires.into())];
        claims.extend(own.map(|(name, value): (&str, Value)| (name.to_owned(), value)));
        let token = encode(&self.header, &claims, &self.key).expect("the key has signed before");
        known = self.known.lock().expect("no panic holds this lock");
        known.insert(user.to_owned(), (token.clone(), expires));
        token
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::gateway::auth::{Auth, Config};

    const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys/");

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
        #[arg(long)]
        tokens: Option<PathBuf>,
    }

    fn parse(line: &[&str]) -> Result<Args, String> {
        let words = std::iter::once(&"load").chain(line);
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        assert!(line.tokens.is_none());
        Ok(line.args)
    }

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn bearer(line: &[&str]) -> String {
        let tokens = parse(line).expect("flags").tokens().expect("a key");
        let bearer = tokens.expect("it signs").bearer("u7");
        bearer.strip_prefix("Bearer ").expect("a scheme").to_owned()
    }

    #[test]
    fn a_gateway_takes_what_is_signed() {
        let secret = file(b"0123456789abcdef0123456789abcdef\n");
        let secret = secret.path().display().to_string();
        let with_secret = Config {
            jwt_hs256_secret_file: Some(secret.clone().into()),
            issuer: Some("login".into()),
            audience: Some("shop".into()),
            ..Config::default()
        };
        let line = [
            "--sign-key",
            &secret,
            "--issuer",
            "login",
            "--audience",
            "shop",
            "--claim",
            "tier=gold",
            "--claim",
            "age=7",
        ];
        let identity = Auth::new(&with_secret).expect("a key").verify(&bearer(&line));
        let identity = identity.expect("it is taken");
        assert_eq!(identity.user, "u7");
        for (name, value) in [("claim:tier", "gold"), ("claim:age", "7")] {
            let claim = (name.to_owned(), value.to_owned());
            assert!(identity.claims.contains(&claim), "{:?}", identity.claims);
        }
        for (private, public, algorithms) in [
            ("ed25519.pem", "ed25519.pub.pem", &["EdDSA"][..]),
            ("rsa.pem", "rsa.pub.pem", &["RS256"]),
        ] {
            let config = Config {
                jwt_public_key_file: Some((KEYS.to_owned() + public).into()),
                ..Config::default()
            };
            let auth = Auth::new(&config).expect("a key");
            let private = KEYS.to_owned() + private;
            assert_eq!(
                auth.verify(&bearer(&["--sign-key", &private]))
                    .expect("it is taken")
                    .user,
                "u7"
            );
            for algorithm in algorithms {
                let line = ["--sign-key", &private, "--sign-alg", algorithm];
                assert_eq!(auth.verify(&bearer(&line)).expect("it is taken").user, "u7");
            }
        }
    }

    #[test]
    fn keys_of_both_curves_are_told_apart() {
        for (kind, algorithm) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
        ] {
            let pair = rcgen::KeyPair::generate_for(kind).expect("a key");
            let private = file(pair.serialize_pem().as_bytes());
            let path = private.path().display().to_string();
            let token = bearer(&["--sign-key", &path, "--kid", "k1"]);
            let header = jsonwebtoken::decode_header(&token).expect("a token");
            assert_eq!((header.alg, header.kid.as_deref()), (algorithm, Some("k1")));
            let public = file(pair.public_key_pem().as_bytes());
            let config = Config {
                jwt_public_key_file: Some(public.path().to_owned()),
                ..Config::default()
            };
            let verified = Auth::new(&config).expect("a key").verify(&token);
            assert_eq!(verified.expect("it is taken").user, "u7");
        }
    }

    #[test]
    fn a_token_is_signed_again_before_it_expires() {
        let signer = Signer {
            header: Header::new(Algorithm::HS256),
            key: EncodingKey::from_secret(&[7; 32]),
            claims: Map::new(),
            known: Mutex::default(),
        };
        let first = signer.token("ada", 1000);
        assert_eq!(signer.token("ada", 1000 + LIFETIME_S - LEFT_S_MIN), first);
        assert_ne!(signer.token("ada", 1001 + LIFETIME_S - LEFT_S_MIN), first);
        assert_ne!(signer.token("bob", 1000), first);
    }

    #[test]
    fn what_does_not_fit_is_said_and_no_key_shown() {
        let short = file(b"s3cret");
        let short = short.path().display().to_string();
        let public = KEYS.to_owned() + "ed25519.pub.pem";
        let private = KEYS.to_owned() + "ed25519.pem";
        for (line, said) in [
            (vec!["--sign-key", "/nowhere/key"], "--sign-key /nowhere/key: "),
            (vec!["--sign-key", &short], "too short: 6 bytes"),
            (
                vec!["--sign-key", &short, "--sign-alg", "ES256"],
                "signs with a private key",
            ),
            (
                vec!["--sign-key", &public],
                "is no PEM private key of Ed25519, P-256",
            ),
            (
                vec!["--sign-key", &private, "--sign-alg", "RS256"],
                "is no PEM private key of RS256",
            ),
            (
                vec!["--sign-key", &private, "--sign-alg", "HS256"],
                "is no PEM private key of HS256",
            ),
        ] {
            let error = parse(&line).expect("flags").tokens().expect_err(said);
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
        for (line, said) in [
            (
                vec!["--sign-key", &private, "--tokens", "t"],
                "cannot be used with",
            ),
            (vec!["--issuer", "login"], "--sign-key"),
            (
                vec!["--sign-key", &private, "--sign-alg", "none"],
                "it is none of",
            ),
            (
                vec!["--sign-key", &private, "--claim", "sub=eve"],
                "each buyer's own",
            ),
            (vec!["--sign-key", &private, "--claim", "tier"], "NAME=VALUE"),
        ] {
            let error = parse(&line).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }
}
