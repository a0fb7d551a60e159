//! MariaDB that takes encrypted connections alone: what connects, what does not, and what it says.

use rushgate::store::{Config, Store};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::legs::stack::{Stack, authority};

fn url() -> String {
    Stack::shared().variable("RUSHGATE_DATABASE_URL")
}

fn plain() -> String {
    url().split('?').next().expect("a URL").to_owned()
}

async fn connect(url: String) -> Result<Store, String> {
    let config = Config::new(url, 1);
    Store::connect(&config).await.map_err(|error| error.to_string())
}

async fn refused(url: String) -> String {
    let error = connect(url.clone()).await.expect_err(&url);
    assert!(
        !error.contains(":rushgate@") && !error.contains("s3cret"),
        "{error}"
    );
    error
}

#[tokio::test]
async fn every_mode_that_encrypts_gets_in() {
    let ca = Stack::shared().file("ca.pem").display().to_string();
    for query in [
        String::new(),
        "?ssl-mode=preferred".to_owned(),
        "?ssl-mode=REQUIRED".to_owned(),
        format!("?ssl-mode=verify_ca&ssl-ca={ca}"),
        format!("?ssl-ca={ca}"),
    ] {
        let store = connect(format!("{}{query}", plain())).await.expect(&query);
        store.ping().await.expect("answers");
    }
}

#[tokio::test]
async fn whoever_lacks_something_is_told_what() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(&folder.path().join("other"), "DNS:localhost");
    let other = folder.path().join("other/ca.pem").display().to_string();
    Stack::shared().sql(
        "CREATE USER 'anyhow'@'127.0.0.1' IDENTIFIED BY 'rushgate'; GRANT SELECT ON rushgate.* TO 'anyhow'@'127.0.0.1'",
    );
    let unencrypted = plain().replace("//rushgate:", "//anyhow:");
    for (url, words) in [
        (
            format!("{}?ssl-mode=disabled", plain()),
            "REQUIRE SSL or X509, require_secure_transport",
        ),
        (
            format!("{unencrypted}?ssl-mode=disabled"),
            "REQUIRE SSL or X509, require_secure_transport",
        ),
        (
            format!("{}?ssl-ca={other}", plain()),
            "ssl-ca in the URL names one",
        ),
        (
            format!("{}?ssl-mode=verify_ca&ssl-ca={other}", plain()),
            "ssl-ca in the URL names one",
        ),
        (
            format!("{}?ssl-mode=verify_identity", plain()),
            "ssl-ca in the URL names one",
        ),
        (
            url().replace("rushgate:rushgate@", "rushgate:s3cret@"),
            "user or password is wrong",
        ),
    ] {
        let error = refused(url).await;
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// Another address of this machine that leads to the server: its certificate does not name it.
async fn elsewhere() -> String {
    let listener = TcpListener::bind("127.0.0.2:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let server = plain();
    let server = server.split(['@', '/']).nth(3).expect("host and port").to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_the_name_does_not_matter() {
    let (address, ca) = (
        elsewhere().await,
        Stack::shared().file("ca.pem").display().to_string(),
    );
    let url =
        |mode: &str| format!("mysql://rushgate:rushgate@{address}/rushgate?ssl-ca={ca}&ssl-mode={mode}");
    let error = refused(url("verify_identity")).await;
    assert!(error.contains("one that the certificate names"), "{error}");
    connect(url("verify_ca")).await.expect("the name does not matter");
}

#[tokio::test]
async fn a_socket_of_this_machine_needs_no_encryption() {
    let url = format!(
        "mysql://root@localhost/mysql?socket={}",
        Stack::shared().socket().display()
    );
    let store = connect(url.clone()).await.expect("connects");
    store.ping().await.expect("answers");
    let error = refused(format!("{url}&ssl-mode=verify_identity")).await;
    assert!(error.contains("over a socket of this machine"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_shown() {
    let stack = Stack::shared();
    stack.sql(
        "CREATE USER 'known'@'127.0.0.1' IDENTIFIED BY 'rushgate' REQUIRE X509; GRANT SELECT ON rushgate.* TO 'known'@'127.0.0.1'",
    );
    let without = url().replace("//rushgate:", "//known:");
    assert!(refused(without.clone()).await.contains("REQUIRE SSL or X509"));
    let file = |name: &str| stack.file(name).display().to_string();
    let with = format!(
        "{without}&ssl-cert={}&ssl-key={}",
        file("client.pem"),
        file("client-key.pem")
    );
    connect(with).await.expect("it is shown");
}
