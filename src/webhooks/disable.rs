//! An endpoint is disabled because of what it did: the others hear of it, and the audit trail has it.

use serde_json::json;

use super::message::{self, DISABLED};
use super::metrics::Metrics;
use crate::audit::{AuditLine, OWN};
use crate::reaching::Target;
use crate::store::{DeliveryOf, Disabled, NewDelivery, Store, StoreResult, WebhookRow};

/// Disables an endpoint; what is due waits.
pub(super) async fn disable(
    store: &Store,
    hook: &WebhookRow,
    disabled: Disabled,
    metrics: &Metrics,
) -> StoreResult<()> {
    // First, so that it is not lost where this process dies now; then it may be told twice.
    let others = store.webhooks().await?;
    let others = others.iter().filter(|other| {
        other.id != hook.id
            && other.disabled.is_none()
            && other.asks_for(DISABLED, hook.campaign.as_deref(), Some(&hook.merchant))
    });
    let body = message::disabled_body(hook, &disabled);
    let told = others.map(|other| NewDelivery {
        webhook: other.id.clone(),
        of: DeliveryOf {
            campaign: String::new(),
            order: hook.id.clone(),
            number: disabled.at,
        },
        event: DISABLED.to_owned(),
        body: body.clone(),
    });
    store.queue_deliveries(told.collect(), disabled.at).await?;
    let why = disabled.why.as_deref().unwrap_or_default();
    let target = Target::parse(&hook.url).map_or_else(|_| String::new(), |target| target.shown());
    let detail = json!({"url": target, "why": why, "from": "enabled", "to": "disabled"});
    let line = AuditLine::new(disabled.at, OWN, "webhook.disable", hook.id.as_str(), detail);
    if !store.disable_webhook(&hook.id, &disabled, &[line]).await? {
        return Ok(());
    }
    metrics.disabled.inc();
    tracing::warn!(
        webhook = hook.id,
        target,
        why,
        "a webhook is disabled; enable it when its endpoint answers again"
    );
    Ok(())
}
