//! The keys there are, what the environment calls them, and what holds for each whatever module it belongs to.

/// A key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Dotted: `admission.batch`.
    pub name: &'static str,
    /// Whether 0 would stop something dead, so that it is refused.
    pub at_least_one: bool,
    /// Whether it takes effect when the configuration is read again; otherwise it does with the next start.
    pub reread: bool,
}

const fn key(name: &'static str) -> Key {
    Key {
        name,
        at_least_one: false,
        reread: false,
    }
}

impl Key {
    const fn at_least_one(self) -> Self {
        Self {
            at_least_one: true,
            ..self
        }
    }

    const fn reread(self) -> Self {
        Self { reread: true, ..self }
    }

    /// `RUSHGATE_ADMISSION_BATCH` for `admission.batch`.
    pub fn env_name(&self) -> String {
        env_name(self.name)
    }
}

/// Every key. `kafka.options`, `kafka.producer` and `kafka.consumer` are tables of their own, which the environment
/// writes as `name=value,name=value`.
pub const KEYS: &[Key] = &[
    key("listen"),
    key("admin_listen"),
    key("drain_delay_ms").reread(),
    key("drain_ms").reread(),
    key("admin_token_file"),
    key("payment_token_file"),
    key("redis.url"),
    key("redis.url_file"),
    key("redis.password"),
    key("redis.password_file"),
    key("redis.ca_file"),
    key("redis.certificate_file"),
    key("redis.key_file"),
    key("kafka.brokers"),
    key("kafka.prefix"),
    key("kafka.partitions").at_least_one(),
    key("kafka.replication").at_least_one(),
    key("kafka.sasl_password"),
    key("kafka.sasl_password_file"),
    key("kafka.options"),
    key("kafka.producer"),
    key("kafka.consumer"),
    key("seal.keys"),
    key("database.url"),
    key("database.url_file"),
    key("database.password"),
    key("database.password_file"),
    key("database.connections").at_least_one(),
    key("auth.jwt_hs256_secret_file").reread(),
    key("auth.jwt_public_key_file").reread(),
    key("auth.jwks_file").reread(),
    key("auth.jwks_url").reread(),
    key("auth.jwks_ca_file").reread(),
    key("auth.jwks_every_ms").at_least_one().reread(),
    key("auth.keys_keep_ms").at_least_one().reread(),
    key("auth.algorithms").reread(),
    key("auth.issuer").reread(),
    key("auth.audience").reread(),
    key("auth.private"),
    key("auth.insecure_dev_auth").reread(),
    key("gateway.connections").at_least_one(),
    key("gateway.peer_connections"),
    key("gateway.peer_connects"),
    key("gateway.in_vain").at_least_one(),
    key("gateway.memory_mb").at_least_one(),
    key("gateway.header_timeout_ms").at_least_one(),
    key("gateway.body_timeout_ms").at_least_one().reread(),
    key("gateway.write_timeout_ms").at_least_one(),
    key("gateway.proxies"),
    key("gateway.trusted_proxies").reread(),
    key("gateway.client_ip_header").reread(),
    key("gateway.database_wait_ms").at_least_one().reread(),
    key("gateway.streams").reread(),
    key("gateway.buyer_streams").at_least_one().reread(),
    key("gateway.peer_streams").reread(),
    key("gateway.heartbeat_ms").at_least_one().reread(),
    key("gateway.tls_cert_file"),
    key("gateway.tls_key_file"),
    key("cors.origins").reread(),
    key("cors.max_age_s").reread(),
    key("cors.credentials").reread(),
    key("admin.connections").at_least_one(),
    key("admin.tls_cert_file"),
    key("admin.tls_key_file"),
    key("admin.tls_client_ca_file"),
    key("admin.requests_per_second"),
    key("admin.failed_log_ins_per_minute"),
    key("campaigns.retention_days"),
    key("admission.answer").reread(),
    key("admission.accept_wait_ms").reread(),
    key("admission.queue").at_least_one(),
    key("admission.batch").at_least_one(),
    key("admission.deadline_ms").at_least_one().reread(),
    key("admission.watch_ms").at_least_one(),
    key("relay.age_ms"),
    key("relay.every_ms").at_least_one(),
    key("relay.lease_ms").at_least_one(),
    key("relay.in_flight").at_least_one(),
    key("reconcile.lease_ms").at_least_one(),
    key("reconcile.patience_ms").at_least_one(),
    key("reconcile.grace_ms"),
    key("reconcile.every_ms"),
    key("reconcile.repair"),
    key("landing.consumers").at_least_one(),
    key("landing.batch").at_least_one(),
    key("landing.wait_ms"),
    key("landing.busy_wait_ms"),
    key("landing.retry_delays"),
    key("landing.poison_share"),
    key("landing.poison_window").at_least_one(),
    key("landing.instance"),
    key("landing.redrive"),
    key("events.enabled"),
    key("webhooks.private"),
    key("flow.policy").reread(),
    key("flow.backlog_max").at_least_one().reread(),
    key("flow.every_ms").at_least_one(),
    key("ready.outbox_max").at_least_one().reread(),
    key("sample.attempts_max"),
    key("sample.attempts_per_second").at_least_one(),
    key("wasm.cache_dir"),
    key("log.format"),
    key("log.level").reread(),
];

/// `RUSHGATE_ADMISSION_BATCH` for `admission.batch`.
pub fn env_name(key: &str) -> String {
    format!("RUSHGATE_{}", key.replace('.', "_").to_ascii_uppercase())
}
