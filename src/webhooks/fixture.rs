//! An endpoint for tests.

use crate::store::WebhookRow;
use crate::wire::secret::Hidden;

pub(super) fn hook(url: &str) -> WebhookRow {
    WebhookRow {
        id: "0".repeat(32),
        merchant: "default".to_owned(),
        campaign: None,
        url: url.to_owned(),
        events: Vec::new(),
        secret: Hidden("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        previous: None,
        note: None,
        created_at: 0,
        disabled: None,
        failing_since: None,
        tag: String::new(),
    }
}
