//! What a gateway is told when Redis does not answer, and when it comes back.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use rushgate::engine::redis::{Config, Redis};
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::reply::Reply;
use rushgate::lua::{Args, Script};
use testkit::server::Server;

const KEY: &str = "rg:{c.0}:state";

fn quick(url: String) -> Config {
    Config {
        response_timeout: Duration::from_millis(300),
        ..Config::new(url)
    }
}

fn count() -> Script {
    Script::new(
        "count",
        "#!lua\nreturn redis.call('HINCRBY', KEYS[1], 'n', ARGV[1])".into(),
    )
}

fn by(n: u32) -> Args {
    Args::from([n.to_string()])
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = Server::start(&[]);
    let redis = Redis::connect(Config::new(server.url()))
        .await
        .expect("Redis is up");
    let mut raw = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    for expected in 1..=3 {
        assert_eq!(redis.run(&count(), KEY, by(1)).await, Ok(Reply::Int(expected)));
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut raw).unwrap();
    }
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let mut server = Server::start(&[]);
    let redis = Redis::connect(Config::new(server.url()))
        .await
        .expect("Redis is up");
    assert_eq!(redis.run(&count(), KEY, by(1)).await, Ok(Reply::Int(1)));
    server.kill();
    let first = redis.run(&count(), KEY, by(1)).await.unwrap_err();
    assert!(
        matches!(
            first,
            EngineError::Unknown { .. } | EngineError::Unreachable { .. }
        ),
        "{first:?}"
    );
    let second = redis.run(&count(), KEY, by(1)).await.unwrap_err();
    assert!(matches!(second, EngineError::Unreachable { .. }), "{second:?}");
    assert!(
        second.is_transient() && second.to_string().contains("redis.sock"),
        "{second}"
    );
    server.restart();
    assert_eq!(redis.ping().await, Ok(()));
    assert_eq!(redis.run(&count(), KEY, by(5)).await, Ok(Reply::Int(5)));
}

#[tokio::test]
async fn what_is_asked_of_one_run_of_a_server_never_runs_on_the_next() {
    let mut server = Server::start(&[]);
    let redis = Redis::new(Config::new(server.url())).expect("a URL");
    let first = redis.incarnation().await.expect("it has a name");
    assert_eq!(
        redis.run_on(&first, &count(), KEY, by(1)).await,
        Ok(Reply::Int(1))
    );
    let changed = Err(EngineError::Changed { engine: "redis" });
    assert_eq!(redis.run_on("another", &count(), KEY, by(1)).await, changed);

    server.kill();
    assert!(redis.run_on(&first, &count(), KEY, by(1)).await.is_err());
    server.restart();
    assert_eq!(redis.run_on(&first, &count(), KEY, by(1)).await, changed);
    let second = redis.incarnation().await.expect("it has a name");
    assert_ne!(first, second);
    assert_eq!(
        redis.run_on(&second, &count(), KEY, by(1)).await,
        Ok(Reply::Int(1)),
        "nothing ran before"
    );
}

#[tokio::test]
async fn a_server_that_was_a_replica_for_a_while_is_another_one() {
    let server = Server::start(&[]);
    let redis = Redis::new(Config::new(server.url())).expect("a URL");
    let first = redis.incarnation().await.expect("it has a name");
    let mut raw = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut follow = |host: &str, port: &str| {
        redis::cmd("REPLICAOF")
            .arg(host)
            .arg(port)
            .exec(&mut raw)
            .unwrap();
    };
    follow("127.0.0.1", "1");
    let refused = redis.run_on(&first, &count(), KEY, by(1)).await;
    assert!(matches!(refused, Err(EngineError::Refused { .. })), "{refused:?}");
    follow("no", "one");
    let changed = Err(EngineError::Changed { engine: "redis" });
    assert_eq!(redis.run_on(&first, &count(), KEY, by(1)).await, changed);
    let second = redis.incarnation().await.expect("it has a name");
    assert_eq!(
        first.split('.').next(),
        second.split('.').next(),
        "the same process"
    );
    assert_eq!(
        redis.run_on(&second, &count(), KEY, by(1)).await,
        Ok(Reply::Int(1))
    );
}

#[tokio::test]
async fn a_call_in_flight_when_the_connection_breaks_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://user:s3cret@{}", listener.local_addr().unwrap());
    // Answers the handshake and the question what the user may do, then takes the call and hangs up.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        let calls = |said: &[u8]| said.windows(7).filter(|word| *word == b"EVALSHA").count();
        while calls(&heard) < 2 {
            let n = stream.read(&mut buffer).unwrap();
            assert_ne!(n, 0);
            let said = &buffer[..n];
            heard.extend_from_slice(said);
            let commands = said
                .split(|byte| *byte == b'\n')
                .filter(|line| line.starts_with(b"*"))
                .count();
            if said.windows(7).any(|word| word == b"\nINFO\r\n") {
                stream.write_all(b"$11\r\nrun_id:ab12\r\n").unwrap();
            } else if calls(&heard) == 1 && calls(said) == 1 {
                stream.write_all(b"*0\r\n").unwrap();
            } else if calls(&heard) < 2 {
                stream.write_all("+OK\r\n".repeat(commands).as_bytes()).unwrap();
            }
        }
    });
    let redis = Redis::new(Config::new(url)).expect("a URL");
    let error = redis.run(&count(), KEY, by(1)).await.unwrap_err();
    assert!(matches!(error, EngineError::Unknown { .. }), "{error:?}");
    assert!(
        error.is_transient() && !error.to_string().contains("s3cret"),
        "{error}"
    );
    server.join().unwrap();
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_unknown() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let redis = Redis::connect(quick(server.url())).await.expect("Redis is up");
    redis.run(&count(), KEY, by(1)).await.expect("loaded");
    let mut raw = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    raw.send_packed_command(&redis::cmd("DEBUG").arg("SLEEP").arg("1").get_packed_command())
        .unwrap();
    let error = redis.run(&count(), KEY, by(1)).await.unwrap_err();
    assert!(matches!(error, EngineError::Unknown { .. }), "{error:?}");
    raw.recv_response().unwrap();
    // It did run, as an unknown outcome may.
    assert_eq!(redis.run(&count(), KEY, by(1)).await, Ok(Reply::Int(3)));
}

#[tokio::test]
async fn a_server_that_cannot_take_the_call_refuses() {
    let server = Server::start(&[]);
    let redis = Redis::connect(Config::new(server.url()))
        .await
        .expect("Redis is up");
    redis.run(&count(), KEY, by(1)).await.expect("loaded");
    let mut raw = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let mut limit = |bytes: &str| {
        redis::cmd("CONFIG")
            .arg(&["SET", "maxmemory", bytes])
            .exec(&mut raw)
            .unwrap();
    };
    limit("1000");
    let error = redis.run(&count(), KEY, by(1)).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Refused { cause, .. } if cause.contains("OOM")),
        "{error:?}"
    );
    let freeing = Script::new(
        "freeing",
        "#!lua flags=allow-oom\nreturn redis.call('EXISTS', KEYS[1])".into(),
    );
    assert_eq!(redis.run(&freeing, KEY, Args::default()).await, Ok(Reply::Int(1)));
    limit("0");
    assert_eq!(
        redis.run(&count(), KEY, by(1)).await,
        Ok(Reply::Int(2)),
        "nothing was counted"
    );

    redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg("1")
        .exec(&mut raw)
        .unwrap();
    let error = redis.run(&count(), KEY, by(1)).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Refused { cause, .. } if cause.contains("read only replica")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_defect_in_a_script_is_named() {
    let server = Server::shared();
    let redis = Redis::connect(Config::new(server.url()))
        .await
        .expect("Redis is up");
    for (text, cause) in [
        ("#!lua\nreturn 1 +", "compiling"),
        ("#!lua\nreturn nothing.there", "nothing"),
        ("#!lua\nreturn redis.call('NOPE')", "Unknown"),
        ("#!lua\nreturn redis.error_reply('ERR mine')", "mine"),
    ] {
        let error = redis
            .run(&Script::new("broken", text.into()), KEY, Args::default())
            .await
            .unwrap_err();
        assert!(!error.is_transient(), "{error:?}");
        assert!(error.to_string().starts_with("script broken: "), "{error}");
        assert!(error.to_string().contains(cause), "{error}");
    }
}

#[tokio::test]
async fn many_calls_share_one_connection() {
    let server = Server::start(&[]);
    let redis = Redis::new(Config::new(server.url())).expect("a URL");
    let calls = (0..64).map(|_| redis.run(&COUNT, KEY, by(1)));
    let replies = futures_util::future::join_all(calls).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!(redis.run(&COUNT, KEY, by(0)).await, Ok(Reply::Int(64)));
    let mut raw = redis::Client::open(server.url())
        .unwrap()
        .get_connection()
        .unwrap();
    let info: String = redis::cmd("INFO").arg("clients").query(&mut raw).unwrap();
    assert!(info.contains("connected_clients:2"), "{info}");
}

static COUNT: std::sync::LazyLock<Script> = std::sync::LazyLock::new(count);
