//! Redis over TLS: what connects, what does not, and what it says.

use std::path::{Path, PathBuf};
use std::process::Child;

use rushgate::engine::redis::{Config, Redis};
use rushgate::engine::{Engine, EngineError};
use testkit::deployment::free_port;
use testkit::server::run;

use crate::legs::stack::{Stack, authority};

/// A server of a test's own; killed with the value.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Server {
    pub fn start(folder: &Path, options: &[&str]) -> Self {
        Self::start_at(free_port().expect("a free port"), folder, options)
    }

    /// `PORT` in an option is the port.
    fn start_at(port: u16, folder: &Path, options: &[&str]) -> Self {
        let number = port.to_string();
        let options: Vec<String> = options
            .iter()
            .map(|option| option.replace("PORT", &number))
            .collect();
        let own = ["--bind", "127.0.0.1"].into_iter();
        let process = run(folder, own.chain(options.iter().map(String::as_str)));
        Self { process, port }
    }

    /// With a certificate that `authority` made in `tls`, for whoever trusts it.
    fn encrypted(port: Option<u16>, folder: &Path, tls: &str) -> Self {
        let file = |name: &str| format!("{tls}/{name}");
        let files = [file("ca.pem"), file("server.pem"), file("server-key.pem")];
        let options = [
            "--port",
            "0",
            "--tls-port",
            "PORT",
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            &files[0],
            "--tls-cert-file",
            &files[1],
            "--tls-key-file",
            &files[2],
        ];
        match port {
            Some(port) => Self::start_at(port, folder, &options),
            None => Self::start(folder, &options),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The stack's, as `./x stack env` says it.
pub fn settings() -> Config {
    let stack = Stack::shared();
    let path = |name: &str| Some(PathBuf::from(stack.variable(name)));
    Config {
        ca_file: path("RUSHGATE_REDIS_CA_FILE"),
        certificate_file: path("RUSHGATE_REDIS_CERTIFICATE_FILE"),
        key_file: path("RUSHGATE_REDIS_KEY_FILE"),
        ..Config::new(stack.variable("RUSHGATE_REDIS_URL"))
    }
}

/// Why nobody gets in: never with the password.
pub async fn refused(config: Config) -> String {
    let error = Redis::connect(config).await.expect_err("refused");
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    let error = error.to_string();
    assert!(
        !error.contains(":rushgate@") && !error.contains("s3cret"),
        "{error}"
    );
    error
}

#[tokio::test]
async fn a_client_with_its_certificate_and_its_password_gets_in() {
    let redis = Redis::connect(settings()).await.expect("connects");
    redis.ping().await.expect("answers");
    redis.incarnation().await.expect("has a name");
}

#[tokio::test]
async fn whoever_lacks_something_is_told_what() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(&folder.path().join("other"), "DNS:localhost");
    let other = |name: &str| Some(folder.path().join("other").join(name));
    let url = settings().url;
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = settings();
        change(&mut config);
        config
    };
    for (config, words) in [
        (
            with(&|c| c.url = url.replace("rushgate:rushgate@", "rushgate:s3cret@")),
            "user or password is wrong",
        ),
        (
            with(&|c| c.url = url.replace("rushgate:rushgate@", "")),
            "user or password is wrong",
        ),
        (with(&|c| c.ca_file = other("ca.pem")), "redis.ca_file names them"),
        (with(&|c| c.ca_file = None), "redis.ca_file names them"),
        (
            with(&|c| {
                c.certificate_file = None;
                c.key_file = None;
            }),
            "redis.certificate_file",
        ),
        (
            with(&|c| {
                c.certificate_file = other("client.pem");
                c.key_file = other("client-key.pem");
            }),
            "redis.certificate_file",
        ),
        (
            with(&|c| c.key_file = other("client-key.pem")),
            "does not belong to the certificate",
        ),
        (
            with(&|c| {
                (c.ca_file, c.certificate_file, c.key_file) = (None, None, None);
                c.url = url.replace("rediss:", "redis:");
            }),
            "its URL begins with rediss://",
        ),
    ] {
        let error = refused(config).await;
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn a_server_without_encryption_is_told_from_one_that_is_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--port", "PORT"]);
    let config = Config {
        response_timeout: std::time::Duration::from_millis(300),
        connect_timeout: std::time::Duration::from_millis(300),
        ..Config::new(format!("rediss://127.0.0.1:{}", server.port))
    };
    let error = refused(config).await;
    assert!(error.contains("begins with redis://"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(&folder.path().join("tls"), "DNS:cache.example");
    let server = Server::encrypted(None, folder.path(), "tls");
    let config = Config {
        ca_file: Some(folder.path().join("tls/ca.pem")),
        ..Config::new(format!("rediss://127.0.0.1:{}", server.port))
    };
    let error = refused(config).await;
    assert!(
        error.contains("127.0.0.1") && error.contains("cache.example"),
        "{error}"
    );
}

#[tokio::test]
async fn files_that_were_renewed_are_used_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["old", "new"] {
        authority(&folder.path().join(name), "IP:127.0.0.1");
    }
    let ca = folder.path().join("ca.pem");
    let renew = |name: &str| {
        std::fs::copy(folder.path().join(name).join("ca.pem"), &ca).expect("copied");
    };
    renew("old");
    let server = Server::encrypted(None, folder.path(), "old");
    let port = server.port;
    let redis = Redis::connect(Config {
        ca_file: Some(ca.clone()),
        ..Config::new(format!("rediss://127.0.0.1:{port}"))
    });
    let redis = redis.await.expect("connects");
    drop(server);
    // The first finds the connection broken, where it was not noticed before.
    let _ = redis.ping().await;
    let _server = Server::encrypted(Some(port), folder.path(), "new");
    let error = redis.ping().await.expect_err("another authority").to_string();
    assert!(error.contains("redis.ca_file names them"), "{error}");
    std::fs::write(&ca, "half a fi").expect("written");
    let error = redis.ping().await.expect_err("no certificate").to_string();
    assert!(error.contains("holds no certificate"), "{error}");
    renew("new");
    redis.ping().await.expect("the file is read again");
}
