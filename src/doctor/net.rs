//! Whether an address can be reached at all, before anybody speaks a protocol there.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::leg::{Wrong, aside, wrong};

/// How long a server may take to say something in plain text.
pub(super) const GREETING_LIMIT: Duration = Duration::from_secs(2);

/// A place that was reached.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) address: SocketAddr,
    /// Whether it is this machine: nobody else hears what is said.
    pub(super) is_local: bool,
}

/// Resolves a host and connects to it. `key` is where the address stands in the configuration.
pub(super) async fn reach(host: &str, port: u16, key: &str) -> Result<Reached, Wrong> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let resolved = aside(move || (bare.as_str(), port).to_socket_addrs()).await;
    let addresses: Vec<SocketAddr> = match resolved {
        Some(Ok(addresses)) => addresses.collect(),
        Some(Err(error)) => {
            return Err(wrong(
                format!("{host} has no address: {error}"),
                format!("mend the host in {key}, or the name server (getent hosts {host})"),
            ));
        }
        None => Vec::new(),
    };
    let mut cause = "its name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_) => {
                let is_local = address.ip().is_loopback() || is_mapped_loopback(address.ip());
                return Ok(Reached { address, is_local });
            }
            Err(error) => cause = format!("{error}"),
        }
    }
    Err(wrong(
        format!("{host}:{port} takes no connection: {cause}"),
        format!("start the server or open the port for this machine, or mend {key}"),
    ))
}

fn is_mapped_loopback(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

/// What a server answers to plain text; empty where it closes the connection or says nothing.
pub(super) async fn plain_answer(address: SocketAddr, said: &[u8]) -> Vec<u8> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(said).await?;
        let mut answer = vec![0; 512];
        let read = stream.read(&mut answer).await?;
        answer.truncate(read);
        Ok::<_, std::io::Error>(answer)
    };
    let answered = tokio::time::timeout(GREETING_LIMIT, talk).await;
    answered.ok().and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_there_is_named_with_its_key() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let reached = reach("localhost", port, "redis.url").await.expect("reached");
        assert!(reached.is_local);
        drop(listener);
        let refused = reach("127.0.0.1", port, "redis.url")
            .await
            .expect_err("nobody listens");
        assert!(refused.found.contains("takes no connection"), "{refused:?}");
        assert!(refused.todo.ends_with("or mend redis.url"), "{refused:?}");
        let unknown = reach("no-such-host.invalid", 1, "redis.url")
            .await
            .expect_err("no host");
        assert!(
            unknown.found.starts_with("no-such-host.invalid has no address"),
            "{unknown:?}"
        );
    }
}
