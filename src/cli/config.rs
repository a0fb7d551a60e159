//! `rushgate config`: what the sources of the configuration come to.

use std::io::Write;

use serde_json::json;

use super::out::quiet_pipe;
use super::settings::{Settings, variable};
use crate::config::{HIDDEN, Setting, Shown};

#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Prints every key, its value and where it was said last: built in, a line of the file, a variable or a flag. Secrets are
    /// not shown. Fails where a role would not start with it.
    Print(Print),
}

#[derive(Debug, clap::Args)]
pub struct Print {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

pub fn config(command: ConfigCommand) -> anyhow::Result<()> {
    let ConfigCommand::Print(Print { json, settings }) = command;
    let found = settings.origins(&variable)?;
    let text = match json {
        true => {
            let found: Vec<_> = found.iter().map(as_json).collect();
            let file = settings.file(&variable);
            format!(
                "{}\n",
                serde_json::to_string_pretty(&json!({"file": file, "settings": found}))?
            )
        }
        false => as_text(&found),
    };
    quiet_pipe(std::io::stdout().write_all(text.as_bytes()).map_err(Into::into))
}

fn as_json(setting: &Setting) -> serde_json::Value {
    let value = match &setting.value {
        Shown::None | Shown::Hidden => None,
        Shown::Value(value) => Some(value),
    };
    json!({
        "key": setting.key,
        "value": value,
        "hidden": setting.value == Shown::Hidden,
        "origin": setting.origin.kind(),
        "from": setting.origin.to_string(),
    })
}

/// Columns; a long value moves what is behind it.
fn as_text(settings: &[Setting]) -> String {
    const VALUE_WIDTH: usize = 32;
    let width = settings
        .iter()
        .map(|setting| setting.key.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for Setting { key, value, origin } in settings {
        let value = match value {
            Shown::None => "(none)".to_owned(),
            Shown::Hidden => HIDDEN.to_owned(),
            Shown::Value(value) => value.to_string(),
        };
        text += &format!("{key:width$}  {value:VALUE_WIDTH$}  {origin}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SettingOrigin;

    #[test]
    fn each_line_has_key_value_and_origin() {
        let setting = |key, value, origin| Setting { key, value, origin };
        let settings = [
            setting(
                "listen",
                Shown::Value("127.0.0.1:8080".into()),
                SettingOrigin::BuiltIn,
            ),
            setting(
                "redis.password",
                Shown::Hidden,
                SettingOrigin::Variable("RUSHGATE_REDIS_PASSWORD".to_owned()),
            ),
            setting("seal.keys", Shown::None, SettingOrigin::BuiltIn),
        ];
        let text = as_text(&settings);
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words,
            [
                vec!["listen", "\"127.0.0.1:8080\"", "built-in"],
                vec!["redis.password", "(hidden)", "RUSHGATE_REDIS_PASSWORD"],
                vec!["seal.keys", "(none)", "built-in"],
            ]
        );
        assert_eq!(
            as_json(&settings[1]),
            json!({
                "key": "redis.password", "value": null, "hidden": true,
                "origin": "environment", "from": "RUSHGATE_REDIS_PASSWORD",
            })
        );
    }
}
