//! What a running process takes over from a configuration that is read again, and what waits for its next start.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::keys::{KEYS, Key};
use super::load::put;
use crate::wire::secret::{shown_path, shown_url};

/// A configuration over the one that is in force.
pub struct Reread {
    /// In force from now on: the old one, with the keys that take effect at once as they were read.
    pub config: Config,
    /// `key: old → new` of what takes effect. None of these keys holds a secret, but for the query of a URL.
    pub applied: Vec<String>,
    /// Keys whose new value needs a restart.
    pub restart: Vec<&'static str>,
}

impl Config {
    /// What becomes of this configuration when `read` is what its sources say now.
    pub fn take_over(&self, read: &Self) -> Reread {
        let (mut table, new) = (as_table(self), as_table(read));
        let (mut applied, mut restart) = (Vec::new(), Vec::new());
        for Key {
            name: key, reread, ..
        } in KEYS
        {
            let (before, after) = (get(&table, key).cloned(), get(&new, key));
            if before.as_ref() == after {
                continue;
            }
            if !reread {
                restart.push(*key);
                continue;
            }
            applied.push(format!(
                "{key}: {} → {}",
                shown(key, before.as_ref()),
                shown(key, after)
            ));
            match after {
                Some(after) => put(&mut table, key, after.clone()),
                None => remove(&mut table, key),
            }
        }
        // Both configurations were valid, and so is one that has each key from either.
        let mut config = Self::deserialize(table).unwrap_or_else(|_| self.clone());
        config.admin_token.clone_from(&self.admin_token);
        config.payment_token.clone_from(&self.payment_token);
        config.warnings.clone_from(&read.warnings);
        Reread {
            config,
            applied,
            restart,
        }
    }
}

fn as_table(config: &Config) -> Table {
    Table::try_from(config).unwrap_or_default()
}

pub(super) fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => get(table.get(section)?.as_table()?, rest),
    }
}

fn remove(table: &mut Table, key: &str) {
    match key.split_once('.') {
        None => drop(table.remove(key)),
        Some((section, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(section) {
                remove(inner, rest);
            }
        }
    }
}

fn shown(key: &str, value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::String(url)) if key.ends_with("_url") => format!("{:?}", shown_url(url)),
        Some(Value::String(path)) if key.ends_with("_file") => format!("{:?}", shown_path(Path::new(path))),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Policy;

    #[test]
    fn what_can_be_taken_over_is_and_the_rest_waits() {
        let old = Config::default();
        let mut new = old.clone();
        new.flow.policy = Policy::Refuse;
        new.flow.every = std::time::Duration::from_millis(7);
        new.log.level = "debug".into();
        new.auth.jwt_public_key_file = Some("/new.pem".into());
        new.auth.jwks_url = Some("https://login.example/keys?code=s3cret".into());
        new.database.url = "mysql://me:secret@db/other".into();
        let reread = old.take_over(&new);
        assert_eq!(
            reread.applied,
            [
                "auth.jwt_public_key_file: none → \"/new.pem\"",
                "auth.jwks_url: none → \"https://login.example/keys\"",
                "flow.policy: \"accept\" → \"refuse\"",
                "log.level: \"info\" → \"debug\"",
            ]
        );
        assert_eq!(reread.restart, ["database.url", "flow.every_ms"]);
        assert!(reread.config.flow.policy == Policy::Refuse);
        assert!(reread.config.database == old.database && reread.config.flow.every == old.flow.every);

        let back = reread.config.take_over(&old);
        assert!(back.config == old, "a key that is left out again is none again");
        assert_eq!(back.applied.len(), 4);
        assert!(back.restart.is_empty());
    }

    #[test]
    fn the_same_configuration_changes_nothing() {
        let config = Config {
            admin_token: Some("secret".into()),
            payment_token: Some("another".into()),
            ..Config::default()
        };
        let same = config.take_over(&Config::default());
        assert!(same.applied.is_empty() && same.restart.is_empty());
        assert!(
            same.config == config,
            "the tokens come from the environment alone"
        );
    }
}
