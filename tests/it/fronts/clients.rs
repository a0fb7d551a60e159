//! The project's own clients against listeners that speak TLS: whom they believe, what they show, what they say.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use hyper::Method;
use rushgate::cli::client::Client;
use rushgate::cli::client::tls::Trust;
use rushgate::cli::load::{self, LoadConfig, LoadError, LoadReport};
use rushgate::serving::tls::Files;
use rushgate::serving::{Door, Limits, Tls};
use serde_json::Value;
use tempfile::TempDir;

use crate::fronts::control;
use crate::fronts::stage::Running;
use crate::fronts::tls::{Authority, write};

/// Files of an authority, and of certificates that it vouches for.
struct Vouched {
    authority: Authority,
    folder: TempDir,
}

impl Vouched {
    fn new() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        Self { authority, folder }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Of a server on this machine.
    fn server(&self) -> Files {
        write(self.folder.path(), &self.authority.issue("127.0.0.1"))
    }

    fn client(&self) -> (PathBuf, PathBuf) {
        let folder = self.folder.path().join("client");
        std::fs::create_dir_all(&folder).expect("a folder");
        let files = write(&folder, &self.authority.issue("operator"));
        (files.cert, files.key)
    }

    fn trust(&self, identity: Option<(PathBuf, PathBuf)>) -> Trust {
        Trust {
            ca: Some(self.ca()),
            identity,
        }
    }
}

async fn buy(target: String, ca: Option<PathBuf>) -> Result<LoadReport, LoadError> {
    let config = LoadConfig {
        targets: vec![target],
        ca,
        campaign: "spring".to_owned(),
        attempts: 20,
        users: 20,
        connections: 4,
        ..LoadConfig::default()
    };
    load::run(config).await
}

#[tokio::test]
async fn buyers_come_over_tls_and_say_whom_they_do_not_believe() {
    let known = Vouched::new();
    let running = Running::over(Some(Tls::load(known.server()).expect("loaded")));
    let url = format!("https://{}/", running.address);
    let report = buy(url.clone(), Some(known.ca())).await.expect("it runs");
    assert_eq!((report.answered(202), report.unknown), (20, 0), "{report}");

    let stranger = Vouched::new();
    let refused = buy(url, Some(stranger.ca())).await.expect_err("not believed");
    assert!(refused.to_string().contains("--ca FILE"), "{refused}");
    let plain = Running::start();
    let refused = buy(format!("https://{}", plain.address), Some(known.ca()))
        .await
        .expect_err("no TLS");
    assert!(refused.to_string().contains("speaks no TLS"), "{refused}");
    let unused = buy(plain.address.to_string(), Some(known.ca()))
        .await
        .expect_err("a file that nobody looks at");
    assert!(unused.to_string().contains("--ca"), "{unused}");
}

/// A control plane that asks for certificates of `clients`.
async fn plane(servers: &Vouched, clients: &Vouched) -> SocketAddr {
    let files = Files {
        client_ca: Some(clients.ca()),
        ..servers.server()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    let door = Door::new(listener, Limits::for_few(8)).tls(Some(Tls::load(files).expect("loaded")));
    tokio::spawn(control::plane(Some("secret")).serve(door, std::future::pending()));
    address
}

#[tokio::test]
async fn commands_reach_a_control_plane_that_asks_for_their_certificate() {
    let (servers, clients) = (Vouched::new(), Vouched::new());
    let address = plane(&servers, &clients).await;
    let url = format!("https://{address}");
    let ask = |url: String, trust: Trust| async move {
        let client = Client::new(&url, Some("secret".into()), &trust).expect("a client");
        let answer = client.send(Method::GET, "/modules", None, Bytes::new()).await;
        let read = answer.and_then(|answer| client.read::<Value>("/modules", &answer));
        read.map_err(|error| error.to_string())
    };
    let listed = ask(url.clone(), servers.trust(Some(clients.client()))).await;
    assert!(listed.is_ok(), "{listed:?}");
    let beside = format!("https://localhost:{}", address.port());
    for (url, trust, words) in [
        (url.clone(), servers.trust(None), "--client-certificate"),
        (
            url.clone(),
            servers.trust(Some(servers.client())),
            "admin.tls_client_ca_file",
        ),
        (url, clients.trust(Some(clients.client())), "--ca FILE"),
        (beside, servers.trust(Some(clients.client())), "not for the host"),
        (format!("http://{address}"), Trust::default(), "speaks TLS"),
    ] {
        let error = ask(url, trust).await.expect_err(words);
        assert!(error.contains(words), "{error}");
    }
}
