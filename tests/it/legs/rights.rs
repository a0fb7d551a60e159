//! The rights that docs/CONNECTIONS.md lists: they are enough (the sale shows it), and one that is missing is found before
//! anything is decided.

use rushgate::engine::embedded;
use rushgate::engine::redis::{Config, Redis};

use crate::legs::redis::{Server, refused};

const DOCUMENT: &str = include_str!("../../../docs/CONNECTIONS.md");
const SCRIPT: &str = include_str!("../../../scripts/stack.sh");

fn words(text: &str) -> String {
    text.split_whitespace()
        .filter(|word| *word != "\\")
        .collect::<Vec<_>>()
        .join(" ")
}

/// What stands between these in the text, the first time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect(before);
    rest.split_once(after).expect(after).0
}

fn redis_rights() -> String {
    words(between(SCRIPT, "REDIS_RIGHTS=\"", "\""))
}

#[test]
fn the_document_has_the_rights_that_are_tried() {
    let documented = words(between(DOCUMENT, "ACL SETUSER rushgate", "\n\n"));
    assert_eq!(documented.replace(">PASSWORD", ">rushgate"), redis_rights());
    let database = between(SCRIPT, "DATABASE_RIGHTS='", "'");
    assert!(DOCUMENT.contains(&format!("GRANT {database} ON")), "{database}");
    for name in embedded::commands() {
        let right = format!("+{}", name.to_lowercase());
        assert!(redis_rights().split(' ').any(|word| word == right), "{right}");
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_found_before_a_script_is_half_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &["--port", "PORT"]);
    let plain = format!("redis://127.0.0.1:{}", server.port);
    let mut root = redis::Client::open(plain)
        .expect("a URL")
        .get_connection()
        .expect("up");
    let mut grant = |more: &str| {
        let mut set = redis::cmd("ACL");
        set.arg("SETUSER").arg("rushgate").arg("reset");
        set.arg(
            redis_rights()
                .split(' ')
                .chain(more.split(' '))
                .collect::<Vec<_>>(),
        );
        set.exec(&mut root).expect("rights");
    };
    let config = || Config::new(format!("redis://rushgate:rushgate@127.0.0.1:{}", server.port));
    for name in embedded::commands().chain(["evalsha", "script|load", "info"]) {
        grant(&format!("-{}", name.to_lowercase()));
        let error = refused(config()).await.to_lowercase();
        let said = name.to_lowercase();
        assert!(
            error.contains(&said) && error.contains("docs/connections.md"),
            "{name}: {error}"
        );
    }
    grant("resetkeys ~other:*");
    let error = refused(config()).await;
    assert!(error.contains("docs/CONNECTIONS.md"), "{error}");
    grant("+ping");
    Redis::connect(config()).await.expect("with all of them");
}
