//! The audit trail: written with its change or not at all, chained, and read again from end to end.

use std::sync::Arc;

use futures_util::future::join_all;
use rushgate::access::DEFAULT_MERCHANT;
use rushgate::audit::{AskedBy, AuditLine, Check, Head};
use rushgate::store::{AuditFilter, AuditPlace, CampaignEdit, NewErasure, Store, StoreError};
use serde_json::json;
use testkit::database::{Database, NOW, connect, sale};
use testkit::on_both;

on_both!(
    a_change_and_its_line_are_written_together_or_not_at_all,
    whatever_is_done_to_the_trail_is_found,
    rows_of_before_are_chained_once,
    many_at_once_keep_one_chain,
    a_buyer_can_go_from_the_trail,
    lines_are_found_by_who_what_and_when,
);

fn titled(title: &str) -> CampaignEdit {
    CampaignEdit {
        title: Some(title.to_owned()),
        ..CampaignEdit::default()
    }
}

fn line<'a>(actor: &'a str, n: i64) -> AuditLine<'a> {
    let by = AskedBy {
        address: Some("10.0.0.7"),
        ..actor.into()
    };
    AuditLine::new(
        NOW + n,
        by,
        "campaign.change",
        "spring",
        json!({"from": n, "to": n + 1}),
    )
}

async fn title(db: &Database) -> String {
    let row = db.store.campaign("spring").await.expect("read");
    row.expect("there").campaign.title
}

async fn is_whole(store: &Store) -> bool {
    let checked = store.check_audit(None).await.expect("read");
    checked.is_whole()
}

async fn a_change_and_its_line_are_written_together_or_not_at_all(db: Database) {
    sale(&db.store, 10).await;
    let before = title(&db).await;
    // No database holds this moment: the line is refused, and the change with it.
    let refused = AuditLine {
        at: i64::MAX,
        ..line("ann", 1)
    };
    let (store, new) = (&db.store, titled("New"));
    let edit = store.edit_campaign("spring", &new, &[refused]).await;
    assert!(matches!(edit, Err(StoreError::Refused(_))));
    assert_eq!(title(&db).await, before);
    assert_eq!(db.number("SELECT COUNT(*) FROM audit").await, 0);
    // A change that finds nothing to do leaves no line.
    let gone = db.store.remove_webhook("nowhere", &[line("ann", 1)]).await;
    assert_eq!(gone, Ok(false));
    assert_eq!(db.number("SELECT COUNT(*) FROM audit").await, 0);
    let edit = store.edit_campaign("spring", &new, &[line("ann", 1)]).await;
    edit.expect("changed");
    assert_eq!(title(&db).await, "New");
    let all = AuditFilter::default();
    let lines = db.store.audit_page(&all, AuditPlace::Before(i64::MAX), 9).await;
    let lines = lines.expect("read");
    assert_eq!((lines.len(), lines[0].number, lines[0].at), (1, Some(1), NOW + 1));
    assert_eq!(lines[0].by.address.as_deref(), Some("10.0.0.7"));
    assert!(is_whole(&db.store).await);
}

async fn whatever_is_done_to_the_trail_is_found(db: Database) {
    for n in 1..=6 {
        db.store.audit(&[line("ann", n)]).await.expect("written");
    }
    assert!(is_whole(&db.store).await);
    let noted = db.store.audit_heads().await.expect("read").remove(0);
    assert_eq!(noted.number, 6);
    let found = async |noted: Option<&Head>| {
        let checked = db.store.check_audit(noted).await.expect("read");
        let first = checked.findings().next().cloned();
        first.map(|finding| (finding.number, finding.what))
    };
    let named = |found: Option<(u64, String)>, number: u64, what: &str| {
        let (at, said) = found.unwrap_or_else(|| panic!("{what} is not found"));
        assert!(
            at == number && said.contains(what),
            "{at}: {said}, not {number}: {what}"
        );
    };
    // What is changed, and changed back.
    for (column, number, what) in [
        ("target", 3, "not as it was written"),
        ("actor", 1, "not as it was written"),
        ("address", 2, "not as it was written"),
        ("action", 6, "not as it was written"),
        ("detail", 4, "not as they were written"),
    ] {
        let kept = db
            .text(&format!("SELECT {column} FROM audit WHERE number = {number}"))
            .await;
        let set = async |value: &str| {
            let sql = format!("UPDATE audit SET {column} = '{value}' WHERE number = {number}");
            db.execute(&sql).await;
        };
        set("{\"other\":1}").await;
        named(found(None).await, number as u64, what);
        set(&kept).await;
        assert!(is_whole(&db.store).await, "{column}");
    }
    // Two change places.
    let swap = async || {
        for (from, to) in [(2, 99), (4, 2), (99, 4)] {
            db.execute(&format!("UPDATE audit SET number = {to} WHERE number = {from}"))
                .await;
        }
    };
    swap().await;
    named(found(None).await, 2, "not as it was written");
    swap().await;
    // One is put in: behind all others, or in no chain.
    db.execute("INSERT INTO audit (at, actor, action, target, detail, number, hash) SELECT at, actor, action, target, detail, 7, hash FROM audit WHERE number = 6")
        .await;
    named(found(None).await, 7, "behind the head");
    db.execute("DELETE FROM audit WHERE number = 7").await;
    db.execute("INSERT INTO audit (at, actor, action, target, detail) SELECT at, actor, action, target, detail FROM audit WHERE number = 6")
        .await;
    let checked = db.store.check_audit(None).await.expect("read");
    assert!(!checked.is_whole() && checked.unchained.is_some_and(|(rows, _)| rows == 1));
    db.execute("DELETE FROM audit WHERE number IS NULL").await;
    assert!(is_whole(&db.store).await);
    // The end is cut off, and the head moved back: the chain alone is whole then.
    db.execute("DELETE FROM audit WHERE number = 6").await;
    named(found(None).await, 6, "the end are missing");
    db.execute("UPDATE audit_heads SET number = 5, hash = (SELECT hash FROM audit WHERE number = 5)")
        .await;
    assert!(is_whole(&db.store).await);
    named(found(Some(&noted)).await, 6, "the end are missing");
    // One in the middle is removed.
    db.execute("DELETE FROM audit WHERE number = 3").await;
    named(found(None).await, 3, "is missing");
    db.execute("DELETE FROM audit_heads").await;
    assert!(!is_whole(&db.store).await);
}

async fn rows_of_before_are_chained_once(db: Database) {
    let insert = "INSERT INTO audit (at, actor, action, target, detail) VALUES \
                  ('2026-11-20 12:00:00.000', 'ann', 'campaign.pause', 'spring', '{\"note\":\"rain\"}')";
    for _ in 0..3 {
        db.execute(insert).await;
    }
    db.store.migrate().await.expect("migrates");
    let checked = db.store.check_audit(None).await.expect("read");
    assert!(checked.is_whole(), "{checked:?}");
    // Three rows, and one that says that they were there.
    assert_eq!(checked.chains[0].last.number, 4);
    db.store.migrate().await.expect("migrates");
    db.store.audit(&[line("ann", 1)]).await.expect("written");
    assert_eq!(db.store.audit_heads().await.expect("read")[0].number, 5);
    // An old build is running yet.
    db.execute(insert).await;
    db.store.migrate().await.expect("migrates");
    db.store.audit(&[line("ann", 2)]).await.expect("written");
    let checked = db.store.check_audit(None).await.expect("read");
    assert_eq!(checked.unchained.map(|(rows, _)| rows), Some(1));
    let sealed = db
        .store
        .seal_audit("ann".into(), Some("the old gateway"), NOW)
        .await;
    assert_eq!(sealed, Ok(1));
    assert_eq!(db.store.seal_audit("ann".into(), None, NOW).await, Ok(0));
    let checked = db.store.check_audit(None).await.expect("read");
    assert!(checked.is_whole(), "{checked:?}");
    assert_eq!(checked.chains[0].last.number, 8);
}

async fn many_at_once_keep_one_chain(db: Database) {
    sale(&db.store, 10).await;
    // Two gateways.
    let stores = Arc::new([db.store.clone(), connect(&db.url).await]);
    let tasks = (0..16).map(|task: usize| {
        let stores = stores.clone();
        tokio::spawn(async move {
            let store = &stores[task % 2];
            let actor = format!("actor {task}");
            for n in 0..8 {
                let line = [line(&actor, n)];
                let title = titled(&format!("{task} {n}"));
                // What waits too long for the others is asked for again, as whoever asked would.
                while let Err(error) = match n % 2 {
                    0 => store.edit_campaign("spring", &title, &line).await,
                    _ => store.audit(&line).await,
                } {
                    assert!(error.is_transient(), "{error}");
                }
            }
        })
    });
    for done in join_all(tasks).await {
        done.expect("no panic");
    }
    let checked = db.store.check_audit(None).await.expect("read");
    assert!(checked.is_whole(), "{checked:?}");
    assert_eq!(checked.chains[0].last.number, 16 * 8);
    let deadlocks = "SELECT COUNT(*) FROM audit WHERE action = 'campaign.change'";
    assert_eq!(db.number(deadlocks).await, 16 * 8);
    stores[1].close().await;
}

async fn a_buyer_can_go_from_the_trail(db: Database) {
    for user in ["zoe", "bob"] {
        let detail = json!({"user": user});
        let line = AuditLine::new(NOW, "ann", "order.bulk", "spring", detail);
        db.store.audit(&[line]).await.expect("written");
    }
    let new = NewErasure {
        buyer: "zoe".into(),
        key: "k",
        lists: false,
        by: "ann".into(),
        note: None,
    };
    db.store.begin_erasure(new, NOW).await.expect("asked");
    let row = db.store.erasure("zoe").await.expect("read").expect("there");
    assert_eq!(db.store.erase_traces(&row, NOW + 1).await, Ok((1, 0)));
    assert_eq!(
        db.number("SELECT COUNT(*) FROM audit WHERE INSTR(detail, 'zoe')")
            .await,
        0
    );
    let checked = db.store.check_audit(None).await.expect("read");
    assert!(checked.is_whole(), "{checked:?}");
    assert_eq!(checked.chains[0].masked, 1);
    // What was masked is not changed once more by somebody else.
    db.execute("UPDATE audit SET detail = '{\"user\":\"eve\"}' WHERE number = 1")
        .await;
    let checked = db.store.check_audit(None).await.expect("read");
    assert_eq!(checked.findings().next().map(|finding| finding.number), Some(1));
}

async fn lines_are_found_by_who_what_and_when(db: Database) {
    for n in 1..=5 {
        let actor = if n % 2 == 0 { "bob" } else { "ann" };
        db.store.audit(&[line(actor, n)]).await.expect("written");
    }
    let line = AuditLine::new(NOW + 9, "ann", "webhook.create", "w", json!({}));
    db.store
        .audit(&[line.noted(Some("for the shop"))])
        .await
        .expect("written");
    let some = |text: &str| Some(text.to_owned());
    let none = AuditFilter::default;
    let cases = [
        (none(), 6),
        (
            AuditFilter {
                actor: some("bob"),
                ..none()
            },
            2,
        ),
        (
            AuditFilter {
                action: some("campaign.change"),
                ..none()
            },
            5,
        ),
        (
            AuditFilter {
                action: some("campaign.*"),
                ..none()
            },
            5,
        ),
        (
            AuditFilter {
                action: some("webhook.*"),
                ..none()
            },
            1,
        ),
        (
            AuditFilter {
                action: some("*"),
                ..none()
            },
            6,
        ),
        (
            AuditFilter {
                target: some("w"),
                ..none()
            },
            1,
        ),
        (
            AuditFilter {
                from: Some(NOW + 2),
                to: Some(NOW + 4),
                ..none()
            },
            2,
        ),
        (
            AuditFilter {
                merchant: some("nobody"),
                ..none()
            },
            0,
        ),
    ];
    for (filter, expected) in cases {
        let (mut before, mut found) = (i64::MAX, 0);
        loop {
            let page = db.store.audit_page(&filter, AuditPlace::Before(before), 2).await;
            let page = page.expect("read");
            let Some(last) = page.last() else { break };
            before = last.seq;
            found += page.len();
        }
        assert_eq!(found, expected, "{filter:?}");
        let oldest = db
            .store
            .audit_page(&filter, AuditPlace::After(0), 9)
            .await
            .expect("read");
        assert!(oldest.is_sorted_by_key(|line| line.seq));
        assert_eq!(oldest.len(), expected);
    }
    // An export can be checked by whoever has it.
    let all = db
        .store
        .audit_chain(DEFAULT_MERCHANT, (0, 99), 99)
        .await
        .expect("read");
    let mut check = Check::of(DEFAULT_MERCHANT, None);
    assert!(all.iter().all(|line| check.take(line)));
}
