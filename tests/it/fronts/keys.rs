//! The keys of tokens: published over HTTPS or in files, replaced while orders flow, and kept for a while when they cannot be
//! read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use rushgate::gateway::auth::{Auth, Config};

use crate::fronts::issuer::{Issuer, Says, SigningKey, set};
use crate::fronts::stage::Running;
use crate::fronts::wire::{PATIENCE, Reply, call};

const ORDERS: &str = "/v1/campaigns/spring/orders";
/// Between two looks at something that comes by itself.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(24 * 3600);

fn published(issuer: &Issuer) -> Config {
    Config {
        jwks_url: Some(issuer.url()),
        jwks_ca_file: Some(issuer.ca_file()),
        jwks_every: NEVER,
        ..Config::default()
    }
}

fn started(config: &Config) -> Auth {
    let auth = Auth::new(config).expect("a source of keys");
    auth.start();
    auth
}

async fn place(running: &Running, token: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    call(
        running.address,
        "POST",
        ORDERS,
        &headers,
        br#"{"sku":"mug","quantity":1}"#,
    )
    .await
}

/// Orders until there is a final answer, as a buyer does who is told to come back.
async fn settled(running: &Running, token: &str) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = place(running, token).await;
        if reply.status != 503 {
            return reply;
        }
        reply.problem(503, "keys-unavailable");
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        assert!(begun.elapsed() < PATIENCE, "never another answer: {reply:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Orders until the answer is this one.
async fn answers(running: &Running, token: &str, status: u16) -> Reply {
    let begun = Instant::now();
    loop {
        let reply = place(running, token).await;
        if reply.status == status {
            return reply;
        }
        assert!(begun.elapsed() < PATIENCE, "never {status}: {reply:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Until what is asked is an error with this text.
async fn says(auth: impl Fn() -> Result<(), String>, text: &str) {
    let begun = Instant::now();
    loop {
        let said = auth();
        if said.as_ref().is_err_and(|why| why.contains(text)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "never said {text:?}: {said:?}");
        tokio::time::sleep(LOOK).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_while_orders_flow_and_none_is_refused() {
    let keys: Vec<Arc<SigningKey>> = ["a", "b", "c"].map(|id| Arc::new(SigningKey::new(id))).into();
    let issuer = Issuer::start(Says::Text(set(&[&keys[0]]))).await;
    let running = Arc::new(Running::checking(started(&published(&issuer))));
    let (signs, stop) = (
        Arc::new(std::sync::Mutex::new(keys[0].clone())),
        Arc::new(AtomicBool::new(false)),
    );
    let buyers = (0..4).map(|buyer| {
        let (running, signs, stop) = (running.clone(), signs.clone(), stop.clone());
        tokio::spawn(async move {
            let mut orders = 0;
            while !stop.load(Ordering::SeqCst) {
                let token = signs.lock().expect("no panic").token(&format!("buyer-{buyer}"));
                assert_eq!(settled(&running, &token).await.status, 202);
                orders += 1;
            }
            orders
        })
    });
    let buyers: Vec<_> = buyers.collect();
    assert_eq!(settled(&running, &keys[0].token("ada")).await.status, 202);
    for pair in keys.windows(2) {
        // The issuer publishes the new key beside the old one, and signs with it at once.
        issuer.publishes(&[&pair[0], &pair[1]]);
        *signs.lock().expect("no panic") = pair[1].clone();
        assert_eq!(settled(&running, &pair[1].token("ada")).await.status, 202);
        assert_eq!(
            settled(&running, &pair[0].token("ada")).await.status,
            202,
            "the old one goes on"
        );
    }
    let old = keys[0].token("late");
    let reply = settled(&running, &old).await;
    assert_eq!(
        reply.problem(401, "token-invalid")["detail"],
        "the token is signed with a key (kid) that its issuer does not publish"
    );
    stop.store(true, Ordering::SeqCst);
    for buyer in buyers {
        assert!(buyer.await.expect("no order was refused") > 0);
    }
}

#[tokio::test]
async fn a_key_that_is_withdrawn_takes_the_tokens_with_it() {
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let issuer = Issuer::start(Says::Text(set(&[&old]))).await;
    let running = Running::checking(started(&published(&issuer)));
    let token = old.token("ada");
    assert_eq!(settled(&running, &token).await.status, 202);
    issuer.publishes(&[&new]);
    assert_eq!(settled(&running, &new.token("bob")).await.status, 202);
    assert_eq!(
        settled(&running, &token).await.status,
        401,
        "also where it was verified before"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cannot_have_the_keys_fetched_as_they_like() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(Says::Text(set(&[&key]))).await;
    let running = Arc::new(Running::checking(started(&published(&issuer))));
    assert_eq!(settled(&running, &key.token("ada")).await.status, 202);
    let (before, begun) = (issuer.asked(), Instant::now());
    // Ids that nobody has, and signatures that nobody made.
    let strangers = (0..400).map(|_| {
        let running = running.clone();
        let token = SigningKey::new("nobody").token("eve");
        tokio::spawn(async move { place(&running, &token).await.status })
    });
    for answered in futures_util::future::join_all(strangers).await {
        assert!(matches!(answered.expect("answered"), 401 | 503));
    }
    let fetched = issuer.asked() - before;
    // One a second at the most, however many ask.
    assert!(
        fetched as u64 <= 2 + begun.elapsed().as_secs(),
        "{fetched} fetches"
    );
    assert_eq!(
        place(&running, &key.token("ada")).await.status,
        202,
        "and nobody else waits"
    );
    let forged = SigningKey::new("a").token("eve");
    let asked = issuer.asked();
    for _ in 0..20 {
        place(&running, &forged).await.problem(401, "token-invalid");
    }
    assert!(
        issuer.asked() <= asked + 1,
        "a wrong signature of a known key asks for nothing"
    );
}

/// What the issuer says, and what is said about it.
fn troubles(key: &SigningKey) -> [(Says, &'static str); 8] {
    [
        (Says::Status(500), "answered 500"),
        (Says::Status(304), "answered 304"),
        (Says::Elsewhere(set(&[key])), "redirects are not followed"),
        (Says::Text("<html></html>".into()), "no JSON"),
        (Says::Text("{\"keys\":[]}".into()), "holds no key"),
        (
            Says::Text("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}".into()),
            "shared secret",
        ),
        (
            Says::Text(format!("{}{}", set(&[key]), " ".repeat(300_000))),
            "more than 262144 bytes",
        ),
        (Says::Nothing, "no whole answer within 5 s"),
    ]
}

#[tokio::test]
async fn a_gateway_without_keys_is_not_ready_and_takes_orders_as_soon_as_it_has_some() {
    let key = SigningKey::new("a");
    let tried = troubles(&key).map(async |(wrong, why)| {
        let issuer = Issuer::start(wrong).await;
        let running = Running::checking(started(&published(&issuer)));
        let auth = running.auth();
        says(|| auth.ready(), why).await;
        let refused = place(&running, &key.token("ada")).await;
        refused.problem(503, "keys-unavailable");
        assert_eq!(issuer.elsewhere(), 0);
        issuer.publishes(&[&key]);
        answers(&running, &key.token("ada"), 202).await;
        assert_eq!((auth.ready(), auth.fresh()), (Ok(()), Ok(())), "{why}");
    });
    futures_util::future::join_all(tried).await;
}

#[tokio::test]
async fn keys_go_on_while_their_issuer_fails() {
    let key = SigningKey::new("a");
    let tried = troubles(&key)
        .into_iter()
        .filter(|(_, why)| !why.contains("304"))
        .map(async |(wrong, why)| {
            let issuer = Issuer::start(Says::Text(set(&[&key]))).await;
            let config = Config {
                jwks_every: Duration::from_millis(200),
                ..published(&issuer)
            };
            let running = Running::checking(started(&config));
            assert_eq!(settled(&running, &key.token("ada")).await.status, 202);
            issuer.says(wrong);
            let auth = running.auth();
            says(|| auth.fresh(), why).await;
            assert_eq!(auth.ready(), Ok(()), "only degraded");
            assert_eq!(place(&running, &key.token("bob")).await.status, 202, "{why}");
            let unknown = place(&running, &SigningKey::new("new").token("eve")).await;
            unknown.problem(503, "keys-unavailable");
        });
    futures_util::future::join_all(tried).await;
}

#[tokio::test]
async fn only_an_authority_that_is_named_is_believed() {
    let key = SigningKey::new("a");
    let (issuer, other) = (
        Issuer::start(Says::Text(set(&[&key]))).await,
        Issuer::start(Says::Nothing).await,
    );
    let elsewhere = Issuer::named("login.example", Says::Text(set(&[&key]))).await;
    for (config, why) in [
        (
            Config {
                jwks_ca_file: Some(other.ca_file()),
                ..published(&issuer)
            },
            "invalid peer certificate",
        ),
        (published(&elsewhere), "invalid peer certificate"),
    ] {
        let auth = started(&config);
        says(|| auth.ready(), why).await;
    }
    assert_eq!(
        (issuer.asked(), elsewhere.asked()),
        (0, 0),
        "nothing is asked of whom nobody knows"
    );
    drop(other);
    let gone = Config {
        jwks_url: Some(format!("https://{}/keys", refusing())),
        ..published(&issuer)
    };
    let auth = started(&gone);
    says(|| auth.ready(), "refused").await;
}

fn refusing() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

#[tokio::test]
async fn old_keys_are_used_for_so_long_only() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(Says::Text(set(&[&key]))).await;
    let config = Config {
        keys_keep: Duration::from_secs(1),
        ..published(&issuer)
    };
    let running = Running::checking(started(&config));
    let token = key.token("ada");
    answers(&running, &token, 202).await;
    issuer.says(Says::Status(500));
    answers(&running, &token, 503)
        .await
        .problem(503, "keys-unavailable");
    let auth = running.auth();
    says(|| auth.ready(), "longer than auth.keys_keep_ms: answered 500").await;
    let mut text = String::new();
    encode(&mut text, &running.registry).expect("text");
    assert!(
        text.contains("token_keys 0\n") && text.contains("token_keys_unread 1\n"),
        "{text}"
    );
    issuer.publishes(&[&key]);
    answers(&running, &token, 202).await;
}

#[tokio::test]
async fn an_issuer_is_asked_whether_anything_changed() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(Says::Text(set(&[&key]))).await;
    let config = Config {
        jwks_every: Duration::from_millis(100),
        ..published(&issuer)
    };
    let running = Running::checking(started(&config));
    assert_eq!(settled(&running, &key.token("ada")).await.status, 202);
    let begun = Instant::now();
    while issuer.unchanged() < 2 {
        assert!(begun.elapsed() < PATIENCE, "never asked by its tag");
        tokio::time::sleep(LOOK).await;
    }
    let auth = running.auth();
    assert_eq!((auth.ready(), auth.fresh()), (Ok(()), Ok(())));
    assert_eq!(place(&running, &key.token("bob")).await.status, 202);
}

#[tokio::test]
async fn a_configuration_that_is_read_again_keeps_the_keys() {
    let key = SigningKey::new("a");
    let issuer = Issuer::start(Says::Text(set(&[&key]))).await;
    let config = published(&issuer);
    let running = Running::checking(started(&config));
    assert_eq!(settled(&running, &key.token("ada")).await.status, 202);
    let asked = issuer.asked();
    let renewed = running.auth().renew(&config).expect("the same");
    assert_eq!(
        renewed
            .verify(&key.token("ada"))
            .expect("the keys are there")
            .user,
        "ada"
    );
    let begun = Instant::now();
    while issuer.asked() == asked {
        assert!(begun.elapsed() < PATIENCE, "never read again");
        tokio::time::sleep(LOOK).await;
    }
    // Under other rules the same token is another.
    let strict = Config {
        audience: Some("rushgate".into()),
        ..config
    };
    running.put_in_force(
        &rushgate::gateway::Config::default(),
        running.auth().renew(&strict).expect("valid"),
    );
    assert_eq!(settled(&running, &key.token("ada")).await.status, 401);
}

fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("written");
    std::fs::rename(beside, path).expect("renamed");
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_it_changes() {
    let (one, two) = (SigningKey::new("one"), SigningKey::new("two"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jwks.json");
    write(&path, &set(&[&one]));
    let config = Config {
        jwks_file: Some(path.clone()),
        ..Config::default()
    };
    let running = Running::checking(started(&config));
    let (auth, token) = (running.auth(), one.token("ada"));
    assert_eq!(place(&running, &token).await.status, 202);
    write(&path, "{\"keys\":");
    says(|| auth.fresh(), "no JSON at line 1").await;
    assert_eq!(
        place(&running, &token).await.status,
        202,
        "the last good keys go on"
    );
    std::fs::remove_file(&path).expect("removed");
    says(|| auth.fresh(), "No such file").await;
    write(&path, &set(&[&one, &two]));
    assert_eq!(settled(&running, &two.token("bob")).await.status, 202);
    assert_eq!(auth.fresh(), Ok(()));
    write(&path, &set(&[&two]));
    answers(&running, &token, 401).await;
}

#[tokio::test]
async fn a_public_key_and_a_secret_are_read_again_too() {
    let (one, two) = (SigningKey::new(None), SigningKey::new(None));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("public.pem");
    write(&path, &one.public_pem);
    let config = Config {
        jwt_public_key_file: Some(path.clone()),
        ..Config::default()
    };
    let running = Running::checking(started(&config));
    assert_eq!(place(&running, &one.token("ada")).await.status, 202);
    assert_eq!(place(&running, &two.token("ada")).await.status, 401);
    write(&path, "-----BEGIN NOTHING-----");
    let auth = running.auth();
    says(|| auth.fresh(), "no PEM public key").await;
    assert_eq!(place(&running, &one.token("bob")).await.status, 202);
    write(&path, &two.public_pem);
    answers(&running, &two.token("ada"), 202).await;
    assert_eq!(
        place(&running, &one.token("ada")).await.status,
        401,
        "also where it was verified before"
    );
}
