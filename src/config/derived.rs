//! What a module's section lacks because other sections say it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Config;
use crate::bus::{DelaysError, Topics, kafka, orders_topic};
use crate::{admission, flow, gateway, landing, relay, wasm};

impl Config {
    /// The topics, groups and clients of this deployment; what is sent is sealed.
    pub fn kafka(&self) -> kafka::Config {
        kafka::Config {
            seal: self.keyring.clone(),
            ..self.kafka.clone().with_prefix(&self.kafka.prefix)
        }
    }

    pub fn gateway(&self) -> gateway::Config {
        gateway::Config {
            cors: self.cors.clone(),
            ..self.gateway.clone()
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
        landing::Config {
            seal: landing::SealConfig {
                keys: self.keyring.clone(),
                only: false,
            },
            deadline: self.admission.deadline,
            ..self.landing.clone().with_prefix(&self.kafka.prefix)
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
}
