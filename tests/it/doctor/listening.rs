//! The certificates of the listeners, and the files that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rushgate::admin::{self, Health, Readiness};
use rushgate::serving::{Door, Limits, Tls};

use crate::doctor::patient::Deployment;

/// 2030-06-15T00:00:00Z.
const NOW: i64 = 1_907_712_000_000;
const DAY: i64 = 24 * 3_600_000;

/// Files of a listener: an authority, certificates by it that run for the year 2030, and keys.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let params = |names: Vec<String>| {
            let mut params = CertificateParams::new(names).expect("names");
            params.not_before = date_time_ymd(2030, 1, 1);
            params.not_after = date_time_ymd(2031, 1, 1);
            params
        };
        let mut authority = params(Vec::new());
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"));
        let authority = authority.expect("an authority");
        folder.write("ca.pem", &authority.pem());
        for name in ["server", "other"] {
            let key = KeyPair::generate().expect("a key");
            let signed = params(vec!["shop.example".into(), "127.0.0.1".into()]).signed_by(&key, &authority);
            folder.write(&format!("{name}.pem"), &signed.expect("signed").pem());
            folder.write(&format!("{name}-key.pem"), &key.serialize_pem());
        }
        folder.write("text", "no PEM at all");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("written");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn deployment(&self) -> Deployment {
        let mut deployment = Deployment::anywhere("redis://127.0.0.1:1");
        deployment.clock = || NOW;
        deployment.mask(&self.0.path().display().to_string(), "FOLDER");
        deployment
    }
}

/// Without what is well about the addresses: their ports are any.
fn without_ports(told: &str) -> String {
    let lines = told.lines().filter(|line| !line.ends_with(" is free"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_certificates_of_listeners_is_told() {
    let folder = Folder::new();
    let mut text = String::new();
    let mut tried = async |what: &str, cert: &str, key: &str, clock: fn() -> i64| {
        let mut deployment = folder.deployment();
        deployment.clock = clock;
        deployment.config.gateway.tls_cert_file = Some(folder.file(cert));
        deployment.config.gateway.tls_key_file = Some(folder.file(key));
        let told = deployment.told(&["listeners"]).await;
        text += &format!("{what}\n{}\n", without_ports(&told));
    };
    tried("well", "server.pem", "server-key.pem", || NOW).await;
    tried("expires soon", "server.pem", "server-key.pem", || NOW + 190 * DAY).await;
    tried("expired", "server.pem", "server-key.pem", || NOW + 300 * DAY).await;
    tried("another key", "server.pem", "other-key.pem", || NOW).await;
    tried("no certificate", "text", "server-key.pem", || NOW).await;
    tried("no key", "server.pem", "text", || NOW).await;
    tried("no file", "none.pem", "server-key.pem", || NOW).await;
    tried("a folder", "server.pem", ".", || NOW).await;
    insta::assert_snapshot!(text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_operators_that_cannot_be_read_is_told() {
    let folder = Folder::new();
    let mut deployment = folder.deployment();
    deployment.config.admin.tls_cert_file = Some(folder.file("server.pem"));
    deployment.config.admin.tls_key_file = Some(folder.file("server-key.pem"));
    deployment.config.admin.tls_client_ca_file = Some(folder.file("text"));
    insta::assert_snapshot!(deployment.told(&["listeners"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_speaks_tls_is_known_by_its_certificate() {
    let folder = Folder::new();
    for client_ca in [None, Some(folder.file("ca.pem"))] {
        let mut deployment = folder.deployment();
        let config = &mut deployment.config;
        config.admin.tls_cert_file = Some(folder.file("server.pem"));
        config.admin.tls_key_file = Some(folder.file("server-key.pem"));
        config.admin.tls_client_ca_file = client_ca;
        let socket = admin::bind(config.admin_listen, None).expect("bound");
        config.admin_listen = socket.local_addr().expect("bound");
        let tls = Tls::load(config.admin.tls().expect("files")).expect("loaded");
        let door = Door::new(socket, Limits::for_few(4)).tls(Some(tls));
        let health = Health {
            readiness: Arc::new(Readiness::new(Vec::new())),
            registry: Arc::new(rushgate::telemetry::registry()),
            has_token: false,
        };
        let serving = tokio::spawn(async move { health.serve(door, std::future::pending()).await });
        let told = deployment.told(&["listeners"]).await;
        assert!(told.contains("by the rushgate that runs here"), "{told}");
        // Somebody else's certificate there is somebody else.
        deployment.config.admin.tls_cert_file = Some(folder.file("other.pem"));
        deployment.config.admin.tls_key_file = Some(folder.file("other-key.pem"));
        let told = deployment.told(&["listeners"]).await;
        assert!(told.contains("taken by another process"), "{told}");
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_secrets_and_certificates_are_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let mut deployment = folder.deployment();
    deployment.clock = || NOW + 190 * DAY;
    let allow = |name: &str, mode: u32| {
        let path = folder.file(name);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("allowed");
        path
    };
    folder.write("password", "s3cret\n");
    folder.write("closed", "s3cret\n");
    let at = |key: &str, path: PathBuf| (key.to_owned(), path);
    deployment.config.secret_files = vec![
        at("redis.password_file", allow("password", 0o644)),
        at("database.password_file", allow("closed", 0o600)),
    ];
    deployment.config.redis.key_file = Some(allow("server-key.pem", 0o640));
    deployment.config.redis.ca_file = Some(folder.file("ca.pem"));
    deployment.config.redis.certificate_file = Some(folder.file("server.pem"));
    let told = deployment.told(&["configuration"]).await;
    let group = group_of(&folder.file("server-key.pem"));
    insta::assert_snapshot!(told.replace(&format!("group {group} "), "group GROUP "));
}

fn group_of(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).expect("there").gid()
}
