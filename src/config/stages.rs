//! From keys to the `Config` each module owns. The built-in values are theirs: the keys' defaults are
//! read from them, so a value stands in one place.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Auth, Config, Database, Landing};
use crate::bus::{DelaysError, Topics, landing_group, orders_topic};
use crate::engine::redis;
use crate::serving::tls;
use crate::{admission, flow, gateway, landing, relay, store, wasm};

fn ms(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

impl Default for Auth {
    fn default() -> Self {
        let stage = gateway::auth::Config::default();
        Self {
            jwt_hs256_secret_file: None,
            jwt_public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_every_ms: ms(stage.jwks_every),
            keys_keep_ms: ms(stage.keys_keep),
            algorithms: String::new(),
            issuer: None,
            audience: None,
            insecure_dev_auth: stage.insecure_dev_auth,
        }
    }
}

impl Default for Landing {
    fn default() -> Self {
        let guard = landing::GuardConfig::default();
        Self {
            consumers: 2,
            batch: 1024,
            wait_ms: 20,
            busy_wait_ms: 60,
            retry_delays: "5s,30s,5m".into(),
            poison_share: guard.share,
            poison_window: guard.window,
            instance: None,
            redrive: String::new(),
        }
    }
}

impl Config {
    /// The data plane's TLS; `None`: plain HTTP.
    pub fn tls(&self) -> Option<tls::Files> {
        let gateway = &self.gateway;
        Some(tls::Files {
            cert: gateway.tls_cert_file.clone()?,
            key: gateway.tls_key_file.clone()?,
            client_ca: None,
        })
    }

    /// The control plane's TLS; `None`: plain HTTP.
    pub fn admin_tls(&self) -> Option<tls::Files> {
        let admin = self.admin.clone();
        Some(tls::Files {
            cert: admin.tls_cert_file?,
            key: admin.tls_key_file?,
            client_ca: admin.tls_client_ca_file,
        })
    }

    pub fn auth(&self) -> gateway::auth::Config {
        let auth = self.auth.clone();
        gateway::auth::Config {
            algorithms: super::tokens::algorithms(&auth.algorithms).unwrap_or_default(),
            jwt_hs256_secret_file: auth.jwt_hs256_secret_file,
            jwt_public_key_file: auth.jwt_public_key_file,
            jwks_file: auth.jwks_file,
            jwks_url: auth.jwks_url,
            jwks_ca_file: auth.jwks_ca_file,
            jwks_every: Duration::from_millis(auth.jwks_every_ms),
            keys_keep: Duration::from_millis(auth.keys_keep_ms),
            issuer: auth.issuer,
            audience: auth.audience,
            insecure_dev_auth: auth.insecure_dev_auth,
        }
    }

    pub fn admission(&self) -> admission::Config {
        admission::Config {
            keys: self.keyring.clone(),
            ..self.admission.clone()
        }
    }

    pub fn relay(&self) -> relay::Config {
        relay::Config {
            keys: self.keyring.clone(),
            ..self.relay.clone()
        }
    }

    pub fn flow(&self) -> flow::Config {
        flow::Config {
            topics: vec![orders_topic(&self.kafka.prefix)],
            ..self.flow.clone()
        }
    }

    /// The topics an order may pass through.
    pub fn topics(&self) -> Result<Topics, DelaysError> {
        Topics::new(&orders_topic(&self.kafka.prefix), &self.landing.retry_delays)
    }

    /// How the orders topic is landed.
    pub fn landing(&self) -> landing::Config {
        let Landing {
            batch,
            wait_ms,
            poison_share,
            poison_window,
            ..
        } = self.landing;
        let orders = orders_topic(&self.kafka.prefix);
        landing::Config {
            group: landing_group(&self.kafka.prefix),
            dead_letters: format!("{orders}.dlt"),
            topic: orders,
            batch_records: batch,
            batch_wait: Duration::from_millis(wait_ms),
            guard: Some(landing::GuardConfig {
                share: poison_share,
                window: poison_window,
            }),
            seal: self.seals(),
            deadline: self.admission.deadline,
            ..landing::Config::default()
        }
    }

    /// Name of this lander, by which brokers and lists of the group's members know it. Unless it is given, host and admin
    /// port: two processes of one host cannot have the same. None where the port is chosen anew at each start.
    pub fn instance(&self) -> Option<String> {
        let given = self.landing.instance.clone().filter(|name| !name.is_empty());
        given.or_else(|| {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
            let port = Some(self.admin_listen.port()).filter(|port| *port != 0)?;
            // A dot parts the host from the port.
            let host = host.trim().replace('.', "_");
            Some(format!("{host}.{port}"))
        })
    }

    /// The engine of a real deployment. A file that is named by the empty text is none.
    pub fn engine(&self) -> redis::Config {
        let named = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        redis::Config {
            tls: redis::Tls {
                ca_file: named(&self.redis.ca_file),
                certificate_file: named(&self.redis.certificate_file),
                key_file: named(&self.redis.key_file),
            },
            ..redis::Config::new(self.redis.url.as_str())
        }
    }

    pub fn store(&self) -> store::Config {
        let Database { url, connections, .. } = self.database.clone();
        store::Config { url, connections }
    }

    /// Compiled modules are kept where the configuration says, else in the folder `data`, else in the user's
    /// folder for such things; `env` reads an environment variable.
    pub fn wasm(&self, data: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> wasm::Config {
        let of_user = || {
            let home = || Some(PathBuf::from(env("HOME").filter(|home| !home.is_empty())?).join(".cache"));
            let caches = env("XDG_CACHE_HOME").filter(|caches| !caches.is_empty());
            Some(caches.map(PathBuf::from).or_else(home)?.join("rushgate/wasm"))
        };
        let cache_dir = match &self.wasm.cache_dir {
            Some(folder) => Some(folder.clone()).filter(|folder| !folder.as_os_str().is_empty()),
            None => data.map(|data| data.join("wasm")).or_else(of_user),
        };
        wasm::Config {
            cache_dir,
            program: Some(wasm::own_program()),
        }
    }

    pub fn drain_delay(&self) -> Duration {
        Duration::from_millis(self.drain_delay_ms)
    }

    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
