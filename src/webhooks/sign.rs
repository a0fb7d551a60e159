//! Secrets, and what they sign: headers as Standard Webhooks has them (standardwebhooks.com, 1.0).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

use crate::store::WebhookRow;
use crate::wire::secret::Hidden;

/// What a secret begins with, so that it is known for one.
const PREFIX: &str = "whsec_";
/// Bytes of a secret: 24 to 64 are allowed.
const SECRET_BYTES: usize = 32;

/// A secret that nobody has. `Err` where the machine gives no randomness.
pub(super) fn new_secret() -> Result<Hidden, String> {
    let mut bytes = [0; SECRET_BYTES];
    let random = ring::default_provider().secure_random;
    random
        .fill(&mut bytes)
        .map_err(|_| "this machine gives no random numbers".to_owned())?;
    Ok(Hidden(format!("{PREFIX}{}", STANDARD.encode(bytes))))
}

/// The headers of a message that is sent at `now`. Also under the secret before, as long as that is kept.
pub(super) fn headers(
    hook: &WebhookRow,
    id: &str,
    body: &str,
    now: i64,
) -> Result<[(&'static str, String); 3], String> {
    let seconds = now.div_euclid(1000);
    let kept = hook.previous.as_ref().filter(|(_, until)| *until > now);
    let secrets = [&hook.secret].into_iter().chain(kept.map(|(secret, _)| secret));
    let signed = secrets.map(|secret| {
        let signer = Webhook::new(&secret.0)?;
        signer.sign(id, seconds, body.as_bytes())
    });
    // An error says nothing of the secret.
    let signed: Result<Vec<String>, _> = signed.collect();
    let signed = signed.map_err(|error| format!("it cannot be signed: {error}"))?;
    Ok([
        (HEADER_WEBHOOK_ID, id.to_owned()),
        (HEADER_WEBHOOK_TIMESTAMP, seconds.to_string()),
        (HEADER_WEBHOOK_SIGNATURE, signed.join(" ")),
    ])
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::clock::now_ms;
    use crate::webhooks::fixture::hook;

    fn sent(hook: &WebhookRow, body: &str, now: i64) -> HeaderMap {
        let headers = headers(hook, "0a.2", body, now).expect("signed");
        let pair = |(name, value): (&'static str, String)| {
            let value = HeaderValue::from_str(&value).expect("a value");
            (HeaderName::from_static(name), value)
        };
        headers.into_iter().map(pair).collect()
    }

    #[test]
    fn both_secrets_verify_while_the_old_one_is_kept() {
        let (new, old) = (new_secret().expect("random"), new_secret().expect("random"));
        assert_ne!(new, old);
        assert!(!format!("{new:?}").contains(&new.0), "it is never shown");
        let now = now_ms();
        let mut hook = hook("https://shop.example/");
        (hook.secret, hook.previous) = (new.clone(), Some((old.clone(), now + 1000)));
        let verified = |secret: &Hidden, headers: &HeaderMap, body: &str| {
            let receiver = Webhook::new(&secret.0).expect("a secret");
            receiver.verify(body.as_bytes(), headers).is_ok()
        };
        let headers = sent(&hook, "{}", now);
        assert!(verified(&new, &headers, "{}") && verified(&old, &headers, "{}"));
        assert!(!verified(&new, &headers, "{ }"), "another body");
        let headers = sent(&hook, "{}", now + 1000);
        assert!(verified(&new, &headers, "{}") && !verified(&old, &headers, "{}"));
    }
}
