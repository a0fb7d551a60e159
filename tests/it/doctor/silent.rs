//! Places that take connections and never say a word: every leg ends by itself.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::doctor::patient::{Deployment, SECRET};

/// Far more than all steps of a leg may take together, on a machine that has little time for it.
const END: Duration = Duration::from_secs(120);

/// Keeps every connection open, and says nothing.
fn silence() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_anything() {
    let address = silence();
    for scheme in ["redis", "rediss"] {
        let mut deployment = Deployment::anywhere(&format!("{scheme}://shop:{SECRET}@{address}"));
        deployment.limit = Duration::from_millis(400);
        deployment.config.kafka.brokers = address.to_string();
        deployment.config.database.url = format!("mysql://shop:{SECRET}@{address}/shop");
        deployment.config.auth.insecure_dev_auth = false;
        deployment.config.auth.jwks_url = Some(format!("http://{address}/keys"));
        // A rushgate that hangs has the ports.
        deployment.config.listen = address;
        deployment.config.admin_listen = address;
        let report = tokio::time::timeout(END, deployment.report())
            .await
            .expect("it ends");
        for (leg, step) in [
            ("redis", "login"),
            ("kafka", "login"),
            ("database", "login"),
            ("tokens", "keys"),
            ("listeners", "admin"),
        ] {
            let found = report.legs.iter().find(|found| found.leg == leg).expect(leg);
            let last = found.findings.last().expect("a finding");
            assert_eq!(
                (last.step, last.level),
                (step, rushgate::doctor::FindingLevel::Failed),
                "{}",
                report.text()
            );
        }
        assert!(!report.text().contains(SECRET), "{}", report.text());
    }
}

/// Whoever opens such a file waits for somebody to write into it.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_pipes() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let mut deployment = Deployment::anywhere("rediss://127.0.0.1:1");
    deployment.limit = Duration::from_secs(2);
    deployment.config.redis.ca_file = Some(pipe.clone());
    let options = &mut deployment.config.kafka.options;
    options.insert("security.protocol".into(), "ssl".into());
    options.insert("ssl.ca.location".into(), pipe.display().to_string());
    deployment.config.database.url = format!("mysql://shop@127.0.0.1:1/shop?ssl-ca={}", pipe.display());
    deployment.config.auth.insecure_dev_auth = false;
    deployment.config.auth.jwks_file = Some(pipe.clone());
    deployment.config.admin.tls_cert_file = Some(pipe.clone());
    deployment.config.admin.tls_key_file = Some(pipe);
    let report = tokio::time::timeout(END, deployment.report())
        .await
        .expect("it ends");
    for (leg, words) in [
        ("redis", "it is no file"),
        // librdkafka opens it by itself.
        ("kafka", "no answer within 2000 ms"),
        ("database", "it is no file"),
        ("tokens", "it is no file"),
        ("listeners", "it is no file"),
    ] {
        let found = report.legs.iter().find(|found| found.leg == leg).expect(leg);
        let last = found.findings.last().expect("a finding");
        let failed = last.level == rushgate::doctor::FindingLevel::Failed;
        assert!(failed && last.found.contains(words), "{}", report.text());
    }
}
