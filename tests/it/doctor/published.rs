//! The keys of tokens: in files, and published over HTTPS by an issuer with an authority of its own.

use std::io::Write as _;
use std::path::PathBuf;

use crate::doctor::patient::{Deployment, nowhere};
use crate::fronts::issuer::{Issuer, Says, SigningKey, set};

fn deployment() -> Deployment {
    let mut deployment = Deployment::anywhere("redis://127.0.0.1:1");
    deployment.config.auth.insecure_dev_auth = false;
    deployment.config.auth.audience = Some("shop".to_owned());
    deployment
}

async fn fetched(issuer: &Issuer, change: impl Fn(&mut Deployment)) -> String {
    let mut deployment = deployment();
    let auth = &mut deployment.config.auth;
    auth.jwks_url = Some(format!("https://{}/keys", issuer.address));
    auth.jwks_ca_file = Some(issuer.ca_file());
    deployment.mask(&issuer.address.to_string(), "ISSUER");
    deployment.mask(&issuer.ca_file().display().to_string(), "CA");
    change(&mut deployment);
    deployment.told(&["tokens"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_issuer_publishes_is_told() {
    let (one, nameless) = (SigningKey::new("2026-11"), SigningKey::new(None));
    let issuer = Issuer::start(Says::Text(set(&[&one, &nameless]))).await;
    let mut text = String::new();
    let mut told = async |what: &str, issuer: &Issuer, change: &dyn Fn(&mut Deployment)| {
        text += &format!("{what}\n{}\n", fetched(issuer, change).await);
    };
    told("well", &issuer, &|_| {}).await;
    told("no authority", &issuer, &|d| {
        d.config.auth.jwks_ca_file = None;
    })
    .await;
    let stranger = Issuer::start(Says::Nothing).await;
    told("another authority", &issuer, &|d| {
        d.config.auth.jwks_ca_file = Some(stranger.ca_file());
    })
    .await;
    told("algorithms", &issuer, &|d| {
        d.config.auth.algorithms = "RS256".to_owned()
    })
    .await;
    told("plain text", &issuer, &|d| {
        d.config.auth.jwks_url = Some(format!("http://{}/keys", issuer.address));
        d.config.auth.jwks_ca_file = None;
    })
    .await;
    let plain = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = plain.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
            // Read to its end, so that what was answered is not lost with the connection.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    told("a port without TLS", &issuer, &|d| {
        d.config.auth.jwks_url = Some(format!("https://{address}/keys"));
        d.mask(&address.to_string(), "PLAIN");
    })
    .await;
    issuer.says(Says::Status(503));
    told("a status", &issuer, &|_| {}).await;
    issuer.says(Says::Elsewhere("/elsewhere".to_owned()));
    told("elsewhere", &issuer, &|_| {}).await;
    issuer.says(Says::Text("<html>".to_owned()));
    told("no set", &issuer, &|_| {}).await;
    let mut secret = one.jwk.clone();
    secret["d"] = "AAAA".into();
    issuer.says(Says::Text(
        serde_json::json!({"keys": [nameless.jwk, secret]}).to_string(),
    ));
    told("a private key", &issuer, &|_| {}).await;
    let other = Issuer::named("issuer.example", Says::Text(set(&[&one]))).await;
    told("another name", &other, &|_| {}).await;
    insta::assert_snapshot!(text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_away() {
    let address = nowhere();
    let mut deployment = deployment();
    deployment.config.auth.jwks_url = Some(format!("https://{address}/keys"));
    deployment.mask(&address.to_string(), "NOWHERE");
    insta::assert_snapshot!(deployment.told(&["tokens"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_files_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = SigningKey::new("2026-11");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("set", &set(&[&key]));
    write("public", &key.public_pem);
    write("text", "nothing of the kind");
    type Place = fn(&mut Deployment) -> &mut Option<PathBuf>;
    let set: Place = |d| &mut d.config.auth.jwks_file;
    let public: Place = |d| &mut d.config.auth.jwt_public_key_file;
    let secret: Place = |d| &mut d.config.auth.jwt_hs256_secret_file;
    let mut text = String::new();
    for (place, name) in [
        (set, "set"),
        (set, "text"),
        (set, "none"),
        (public, "public"),
        (public, "text"),
        (secret, "text"),
    ] {
        let mut deployment = deployment();
        *place(&mut deployment) = Some(folder.path().join(name));
        deployment.mask(&folder.path().display().to_string(), "FOLDER");
        text += &deployment.told(&["tokens"]).await;
    }
    let mut both = deployment();
    both.config.auth.jwks_file = Some(folder.path().join("set"));
    both.config.auth.jwks_url = Some("https://issuer.example/keys".to_owned());
    text += &both.told(&["tokens"]).await;
    text += &deployment().told(&["tokens"]).await;
    insta::assert_snapshot!(text);
}
