//! The root token may do without the second person, and everybody hears of it; commands say what they lack.

use std::process::Command;

use serde_json::json;

use super::house::{House, ROOT};

const METRIC: &str = "rushgate_four_eyes_bypassed_total";

async fn counted(house: &House) -> String {
    let url = format!("{}/metrics", house.gateway.admin);
    let text = house.gateway.role.http.get(&url, &[]).await.expect(200);
    let text = text.text();
    let line = text.lines().find(|line| line.starts_with(METRIC));
    line.unwrap_or_default()
        .trim_start_matches(METRIC)
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_token_goes_round_it_and_everybody_hears_of_it() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    house.sale(&ada, "spring").await;
    assert_eq!(counted(&house).await, "0");
    // The beginning, a revision, times, stock, a SKU, and the switch itself.
    house
        .post(ROOT, "/campaigns/spring/resume", &json!({}))
        .await
        .expect(200);
    assert_eq!(house.order("spring", "ann").await, 202);
    let made = house.revision(&ada, "spring", 2).await;
    house.activate(ROOT, "spring", made).await.expect(200);
    house
        .patch(
            ROOT,
            "/campaigns/spring",
            &json!({"closes_at": "2028-01-01T00:00:00Z"}),
        )
        .await
        .expect(200);
    house
        .post(ROOT, "/campaigns/spring/skus/mug/stock", &json!({"add": 1}))
        .await
        .expect(200);
    house
        .post(ROOT, "/campaigns/spring/skus", &json!({"id": "cup", "stock": 1}))
        .await
        .expect(201);
    house
        .patch(ROOT, "/campaigns/spring", &json!({"four_eyes": false}))
        .await
        .expect(200);
    assert_eq!(counted(&house).await, "6");
    let lines = house.lines("campaign.bypass").await;
    let what: Vec<&str> = lines
        .iter()
        .rev()
        .filter_map(|line| line["detail"]["bypassed"].as_str())
        .collect();
    let all = [
        "campaign.resume",
        "revision.activate",
        "campaign.change",
        "stock.change",
        "sku.create",
        "campaign.change",
    ];
    assert_eq!(what, all);
    assert!(
        lines
            .iter()
            .all(|line| line["actor"] == "admin" && line["target"] == "spring"),
        "{lines:?}"
    );
    // Nothing is gone round where it is off, or where it is approved.
    let made = house.revision(&ada, "spring", 3).await;
    house.activate(ROOT, "spring", made).await.expect(200);
    house
        .patch(&ada, "/campaigns/spring", &json!({"four_eyes": true}))
        .await
        .expect(200);
    let bob = house.person("bob").await;
    let made = house.revision(&ada, "spring", 4).await;
    house.approve(&bob, "spring", made).await.expect(200);
    house.activate(ROOT, "spring", made).await.expect(200);
    assert_eq!(counted(&house).await, "6");

    // A campaign that is removed, whose line stays.
    house.sale(&ada, "autumn").await;
    house.delete(ROOT, "/campaigns/autumn").await.expect(204);
    assert_eq!(counted(&house).await, "7");
    assert_eq!(house.lines("campaign.bypass").await[0]["target"], "autumn");
    // Its approvals are gone with it.
    house.sale(&ada, "winter").await;
    let digest = house.digest("winter", 1).await;
    house.approve(&bob, "winter", 1).await.expect(200);
    house.delete(ROOT, "/campaigns/winter").await.expect(204);
    house.sale(&ada, "winter").await;
    house
        .post(&ada, "/campaigns/winter/resume", &json!({}))
        .await
        .refused(409, "approval-needed");
    house
        .approve_as(&bob, "winter", 1, &digest)
        .await
        .refused(409, "approval-stale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_asks_as_its_key_does() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.begun(&ada, &bob, "spring").await;
    let run = |token: &str, args: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_rushgate"))
            .args(args)
            .args(["--admin-url", &house.gateway.admin])
            .env("RUSHGATE_ADMIN_TOKEN", token)
            .output()
            .expect("it runs");
        let said = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let made = house.revision(&ada, "spring", 2).await.to_string();
    let (code, said) = run(&ada, &["campaign", "activate", "spring", &made]);
    assert!(
        code == Some(1) && said.contains("approval of another person"),
        "{said}"
    );
    let (code, said) = run(&ada, &["campaign", "approve", "spring", &made, "--yes"]);
    assert!(code == Some(1) && said.contains("no other person"), "{said}");
    let (code, said) = run(
        &bob,
        &["campaign", "approve", "spring", &made, "--yes", "--note", "fine"],
    );
    assert!(code == Some(0) && said.contains("is approved by bob"), "{said}");
    let (code, said) = run(&ada, &["campaign", "activate", "spring", &made]);
    assert!(code == Some(0), "{said}");
    // A file that is applied is stopped as well, and changes nothing that decides.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("spring.yaml");
    let path = file.display().to_string();
    let (code, said) = run(&ada, &["campaign", "export", "spring", "-o", &path]);
    assert!(code == Some(0), "{said}");
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(text.contains("four_eyes: true"), "{text}");
    for (from, to) in [
        ("limit: 2", "limit: 5"),
        ("stock: 100", "stock: 900"),
        ("2027-12-31", "2028-02-01"),
        ("four_eyes: true", "four_eyes: false"),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        std::fs::write(&file, text.replace(from, to)).expect("written");
        let before = house.figures("spring").await;
        let (code, said) = run(&ada, &["campaign", "apply", "-f", &path, "--yes"]);
        assert!(
            code == Some(1) && said.contains("another person"),
            "{to}: {code:?} {said}"
        );
        let after = house.figures("spring").await;
        for same in ["revision", "skus", "closes_at", "four_eyes"] {
            assert_eq!(before[same], after[same], "{to}");
        }
    }
}
