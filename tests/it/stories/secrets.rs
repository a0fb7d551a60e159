//! What is secret stays so: files of `--data`, values that were mistyped, tokens from files; and keys of tokens in a running
//! process.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::json;

use crate::stories::gate::{Gate, PATIENCE, POLL, command};

/// Everything that others may read or write, below and with the folder.
fn open_to_others(path: &Path) -> Vec<String> {
    let mode = std::fs::symlink_metadata(path)
        .expect("there")
        .permissions()
        .mode()
        & 0o777;
    let mut open = Vec::new();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            open.extend(open_to_others(&entry.expect("an entry").path()));
        }
    }
    let right = if path.is_dir() { 0o700 } else { 0o600 };
    open.extend((mode != right).then(|| format!("{} {mode:o}", path.display())));
    open
}

#[tokio::test]
async fn nobody_else_reads_what_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (fresh, there) = (folder.path().join("a/b"), folder.path().join("there"));
    std::fs::create_dir(&there).expect("made");
    std::fs::set_permissions(&there, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    for data in [&fresh, &there] {
        let mut dev = command(&["dev", "--data", data.to_str().expect("UTF-8")]);
        // Compiled modules lie there, too.
        dev.env_remove("RUSHGATE_WASM_CACHE_DIR");
        let gate = Gate::spawn(dev).await;
        let placed = gate.place("ada", json!({"sku": "mug", "quantity": 1})).await;
        placed.expect(202);
        assert!(data.join("rushgate.db").exists() && data.join("wasm").exists());
        assert_eq!(open_to_others(data), Vec::<String>::new());
        assert_eq!(gate.terminate(), Some(0));
        assert_eq!(open_to_others(data), Vec::<String>::new(), "after the end");
    }
}

#[test]
fn what_was_mistyped_is_named_and_never_shown() {
    for (args, variable, named) in [
        (
            &["dev", "--redis-url", "redis://:s3cret@r"][..],
            None,
            "rushgate dev does not use --redis-url",
        ),
        (&["serve", "--data", "s3cret"], None, "--data"),
        (
            &["land", "--redis-url", "redis://:s3cret@r"],
            None,
            "rushgate land does not use --redis-url",
        ),
        (
            &["serve", "--database-pasword=s3cret"],
            None,
            "--database-pasword",
        ),
        (&["dev", "s3cret"], None, "not shown"),
        (&["dev"], Some("RUSHGATE_REDIS_PASWORD"), "RUSHGATE_REDIS_PASWORD"),
        (&["dev"], Some("RUSHGATE_KAFKA_OPTIONS"), "RUSHGATE_KAFKA_OPTIONS"),
        (
            &["dev"],
            Some("RUSHGATE_ADMIN_TOKEN_FILE"),
            "RUSHGATE_ADMIN_TOKEN_FILE: cannot read",
        ),
        (
            &["dev"],
            Some("RUSHGATE_AUTH_JWT_HS256_SECRET_FILE"),
            "cannot read",
        ),
        (&["dev"], Some("RUSHGATE_AUTH_JWKS_URL"), "auth.jwks_url"),
        (&["dev"], Some("RUSHGATE_SEAL_KEYS"), "seal.keys"),
    ] {
        let mut rushgate = command(args);
        if let Some(variable) = variable {
            rushgate.env(variable, "s3cret");
        }
        let output = rushgate.stdin(Stdio::null()).output().expect("it runs");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!output.status.success(), "{args:?} {variable:?}: {said}");
        assert!(
            said.contains(named) && !said.contains("s3cret"),
            "{args:?} {variable:?}: {said}"
        );
    }
}

#[tokio::test]
async fn the_control_planes_token_may_stand_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "t0ken\n").expect("written");
    let mut dev = command(&["dev"]);
    dev.env("RUSHGATE_ADMIN_TOKEN_FILE", &path);
    let gate = Gate::spawn(dev).await;
    let url = format!("{}/admin/v1/campaigns", gate.admin);
    gate.http.get(&url, &[]).await.expect(401);
    gate.http
        .get(&url, &[("authorization", "Bearer t0ken")])
        .await
        .expect(200);
}

#[tokio::test]
async fn a_broken_file_of_keys_is_said_and_orders_go_on() {
    let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "a"}]}).to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let (keys, config) = (
        folder.path().join("jwks.json"),
        folder.path().join("rushgate.toml"),
    );
    std::fs::write(&keys, &set).expect("written");
    std::fs::write(
        &config,
        format!("[auth]\njwks_file = {:?}\n", keys.display().to_string()),
    )
    .expect("written");
    let gate = Gate::dev_with(&config).await;
    let place = async |user: &str| {
        let header = Header {
            kid: Some("a".into()),
            ..Header::new(Algorithm::EdDSA)
        };
        let claims = json!({"sub": user, "exp": jsonwebtoken::get_current_timestamp() + 3600});
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).expect("a key");
        let token = format!("Bearer {}", encode(&header, &claims, &key).expect("a token"));
        let url = format!("{}/v1/campaigns/demo/orders", gate.orders);
        let body = json!({"sku": "mug", "quantity": 1});
        gate.http.post(&url, &[("authorization", &token)], &body).await
    };
    place("ada").await.expect(202);
    std::fs::write(&keys, "{").expect("written");
    let begun = Instant::now();
    loop {
        let ready = gate
            .http
            .get(&format!("{}/readyz", gate.admin), &[])
            .await
            .expect(200);
        let text = String::from_utf8_lossy(&ready.body).into_owned();
        if text.contains("[~]token-keys-source degraded: auth.jwks_file: ") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "never degraded: {text}");
        tokio::time::sleep(POLL).await;
    }
    place("bob").await.expect(202);
    let metrics = gate
        .http
        .get(&format!("{}/metrics", gate.admin), &[])
        .await
        .expect(200);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        metrics.contains("rushgate_token_keys_unread 1") && metrics.contains("rushgate_token_keys 1"),
        "{metrics}"
    );
}
