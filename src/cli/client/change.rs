//! Changes of what runs: made once under a key, and asked of control planes that may not know them yet.

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{API, Client, ClientError, Document};

/// The `Idempotency-Key` that was given, or one of its own.
pub fn key_or_own(given: Option<&str>) -> String {
    given.map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned)
}

impl Client {
    /// Sends JSON that changes something; the JSON that is answered. Under a `key` the same change is made once, however often it
    /// is sent. [`ClientError::Older`] where the control plane has no such path.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, ClientError> {
        let url = format!("{}{API}{path}", self.base);
        let body = body.to_string().into();
        let mut request = self.request(method.clone(), &url, Some("application/json"), body)?;
        if let Some(key) = key {
            let key = HeaderValue::from_str(key).map_err(|_| ClientError::Key)?;
            request.headers_mut().insert("idempotency-key", key);
        }
        let answer = self.answer(&url, request).await?;
        if answer.status.is_success() {
            return self.read(path, &answer);
        }
        let refused = self.refused(method.clone(), path, &answer);
        match matches!(&refused, ClientError::Refused { document, .. } if is_unknown(document)) {
            false => Err(refused),
            true => Err(ClientError::Older {
                url: self.base.clone(),
                method,
                path: format!("{API}{path}"),
            }),
        }
    }
}

/// Whether nothing is there that could make the change. Of a path that is there for other methods, the query is looked at first.
fn is_unknown(document: &Document) -> bool {
    document.is(StatusCode::NOT_FOUND, "not-found")
        || document.is(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
        || (document.is(StatusCode::BAD_REQUEST, "malformed")
            && document.detail.contains("no query parameter \"dry_run\""))
}
