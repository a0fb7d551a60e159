//! How a connection is made: from the URL and the files of its encryption, which are read anew for each connection, so that
//! a certificate that was renewed is used without a restart. And what a failure to connect means.

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};

use super::config::{Config, Tls};
use url::{ParseError, Url};

use crate::pem;
use crate::wire::Unfit;

/// What a URL begins with.
const SCHEMES: [&str; 7] = [
    "redis",
    "rediss",
    "redis+unix",
    "valkey",
    "valkeys",
    "valkey+unix",
    "unix",
];

impl Tls {
    fn is_some(&self) -> bool {
        *self != Self::default()
    }

    fn read(&self) -> Result<TlsCertificates, String> {
        let root_cert = self.ca_file.as_deref().map(pem::authorities).transpose();
        let client_tls = match (&self.certificate_file, &self.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let (client_cert, client_key) =
                    pem::identity(certificate, key).map_err(|error| error.to_string())?;
                Some(ClientTlsConfig {
                    client_cert,
                    client_key,
                })
            }
            _ => return Err("redis.certificate_file and redis.key_file go together".to_owned()),
        };
        Ok(TlsCertificates {
            client_tls,
            root_cert: root_cert.map_err(|error| format!("redis.ca_file: {error}"))?,
        })
    }
}

impl Config {
    /// Whether the URL and the files of its encryption fit together; no file is read.
    pub fn check(&self) -> Result<(), Unfit> {
        match target(self) {
            Ok(_) => Ok(()),
            Err(why) => Err(Unfit::new("redis.url", why)),
        }
    }
}

/// Where the URL leads to, checked: what the redis crate would pass over in silence is an error here.
pub(super) fn target(config: &Config) -> Result<ConnectionInfo, String> {
    let cannot = |why: &str| format!("the URL cannot be used: {why}");
    let url = parsed(&config.url).map_err(|why| cannot(&why))?;
    let unix = url.scheme().ends_with("unix");
    let known: &[&str] = match unix {
        true => &["db", "user", "pass", "protocol"],
        false => &["protocol"],
    };
    if let Some((name, _)) = url.query_pairs().find(|(name, _)| !known.contains(&&**name)) {
        return Err(cannot(&format!(
            "it has no parameter {name:?}; rediss:// encrypts, and redis.ca_file, redis.certificate_file and \
             redis.key_file name the files"
        )));
    }
    if url.fragment().is_some() {
        return Err(cannot(
            "what follows # would switch off the check of the server's certificate, or be passed over: redis.ca_file names \
             who vouches for it",
        ));
    }
    let info = url
        .into_connection_info()
        .map_err(|error| cannot(&error.to_string()))?;
    let settings = info.redis_settings().clone();
    if settings.username().is_some() && settings.password().is_none() {
        return Err(cannot(
            "it names a user and no password: redis://user:password@host",
        ));
    }
    if settings.db() < 0 {
        return Err(cannot("its database is a number below 0"));
    }
    if let ConnectionAddr::Tcp(_, 0) | ConnectionAddr::TcpTls { port: 0, .. } = info.addr() {
        return Err(cannot("no server listens on port 0"));
    }
    let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    if config.tls().is_some() && !encrypted {
        return Err(
            "redis.ca_file, redis.certificate_file and redis.key_file are for rediss://, and the URL is not encrypted"
                .to_owned(),
        );
    }
    // Naming the library takes a right of its own, and the names of clients mean nothing here.
    Ok(info.set_redis_settings(settings.set_skip_set_lib_name()))
}

/// The URL taken apart, or what is wrong with it.
fn parsed(url: &str) -> Result<Url, String> {
    let (scheme, rest) = url.trim().split_once(':').unwrap_or_default();
    if !SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) {
        return Err("it does not begin with redis://, rediss:// (encrypted) or redis+unix://".to_owned());
    }
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    Url::parse(url).map_err(|error| match error {
        _ if host.contains(',') => "it names several servers; write one".to_owned(),
        ParseError::InvalidPort => "its port is no number from 1 to 65535".to_owned(),
        error => format!("it cannot be read: {error}"),
    })
}

/// A client that makes one connection.
pub(super) fn client(config: &Config) -> Result<Client, String> {
    let target = target(config)?;
    let made = match target.addr() {
        ConnectionAddr::TcpTls { .. } => {
            pem::install_provider();
            Client::build_with_tls(target, config.tls().read()?)
        }
        _ => Client::open(target),
    };
    made.map_err(|error| format!("the URL cannot be used: {error}"))
}

/// What failed, and what to do about it, where the words of the failure say it.
pub(super) fn explained(cause: &str, config: &Config) -> String {
    let encrypted = config.url.starts_with("rediss:") || config.url.starts_with("valkeys:");
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    let hint = if encrypted {
        if says(&["InvalidContentType", "corrupt message"]) {
            "what answers there does not speak TLS: is it the port without it, whose URL begins with redis://?"
        } else if says(&["timed out"]) {
            "a server without TLS waits in silence, too: its URL begins with redis://"
        } else if says(&["UnknownIssuer", "CaUsedAsEndEntity", "BadSignature"]) {
            "none of the authorities that are believed vouches for the server's certificate: redis.ca_file names them"
        } else if says(&["CertificateRequired", "HandshakeFailure", "alert"]) {
            "the server refuses this client's certificate, or wants one: redis.certificate_file and redis.key_file"
        } else {
            ""
        }
    } else if says(&[
        "broken pipe",
        "reset by peer",
        "end of file",
        "closed",
        "Broken pipe",
    ]) {
        "a server that expects TLS hangs up so: its URL begins with rediss://"
    } else {
        ""
    };
    let hint = match hint {
        "" if says(&[
            "WRONGPASS",
            "AuthenticationFailed",
            "Password authentication failed",
            "NOAUTH",
        ]) =>
        {
            "user or password is wrong: redis://user:password@host, with % and two digits for other characters than letters \
             and digits"
        }
        "" if says(&["NOPERM", "NoPerm"]) => "the rights that the user needs stand in docs/CONNECTIONS.md",
        hint => hint,
    };
    match hint {
        "" => cause.to_owned(),
        hint => format!("{cause}; {hint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, files: Config) -> String {
        let url = url.to_owned();
        client(&Config { url, ..files }).expect_err("refused")
    }

    #[test]
    fn what_would_not_be_encrypted_or_checked_is_refused() {
        let with_ca = || Config {
            ca_file: Some("/ca.pem".into()),
            ..Config::default()
        };
        for (url, files, words) in [
            (
                "redis://:s3cret@host?ssl=true",
                Config::default(),
                "no parameter \"ssl\"",
            ),
            (
                "rediss://:s3cret@host/?sslmode=none",
                Config::default(),
                "no parameter \"sslmode\"",
            ),
            (
                "rediss://:s3cret@host/#insecure",
                Config::default(),
                "switch off the check",
            ),
            ("redis://:s3cret@host#tls", Config::default(), "what follows #"),
            ("redis://s3cret@host", Config::default(), "a user and no password"),
            ("redis://:s3cret@host", with_ca(), "not encrypted"),
            ("redis+unix:///run/r.sock?pass=s3cret", with_ca(), "not encrypted"),
            (
                "redis+unix:///run/r.sock?pass=s3cret&tls=1",
                Config::default(),
                "no parameter \"tls\"",
            ),
            (
                "rediss://:s3cret@host",
                with_ca(),
                "redis.ca_file: cannot read /ca.pem",
            ),
            ("http://:s3cret@host", Config::default(), "does not begin with"),
        ] {
            let error = refused(url, files);
            assert!(
                error.contains(words) && !error.contains("s3cret"),
                "{url}: {error}"
            );
        }
        let half = Config {
            key_file: Some("/key.pem".into()),
            ..Config::default()
        };
        assert!(refused("rediss://host", half).contains("go together"));
    }

    #[test]
    fn what_needs_no_files_needs_none() {
        for url in [
            "redis://host",
            "redis://user:password@host:1/3?protocol=resp3",
            "rediss://host",
            "valkeys://user:pa%23ss@host:1/3",
            "redis+unix:///run/r.sock?db=1&user=u&pass=p",
        ] {
            client(&Config::new(url)).expect(url);
        }
    }
}
