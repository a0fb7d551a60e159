//! Jobs over orders by command: which orders has to be said, more than one is asked about, and a job goes on when nobody watches it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::stories::gate::{Gate, PATIENCE, POLL, signal};
use crate::stories::merchant::rushgate;
use crate::stories::modules::tool::command;

/// A sale in which each of these has an order in the database.
async fn sold(gate: &Gate, buyers: &[&str]) {
    let rules = json!([{"module": "n-per-user", "params": {"limit": 2}}]);
    gate.create("spring", 100, rules).await;
    for buyer in buyers {
        let placed = gate
            .place_in("spring", buyer, &[], json!({"sku": "mug", "quantity": 1}))
            .await
            .expect(202);
        gate.order_in_state(buyer, placed.header("location"), "confirmed")
            .await;
    }
}

async fn get(gate: &Gate, path: &str) -> Value {
    let url = format!("{}/admin/v1/campaigns/spring{path}", gate.admin);
    gate.http.get(&url, &[]).await.expect(200).json()
}

/// How many orders are in a state.
async fn in_state(gate: &Gate, state: &str) -> usize {
    let page = get(gate, &format!("/orders?state={state}&limit=100")).await;
    page["orders"].as_array().map_or(0, Vec::len)
}

async fn jobs(gate: &Gate) -> Vec<Value> {
    let page = get(gate, "/orders/jobs").await;
    page["jobs"].as_array().expect("jobs").clone()
}

#[tokio::test]
async fn which_orders_has_to_be_said_and_more_than_one_is_asked_about() {
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let run = async |arguments: &[&str]| rushgate(&gate, folder.path(), arguments).await;
    for act in ["cancel", "refund"] {
        for more in [&[][..], &["--dry-run"], &["--yes"], &["--rate", "5"]] {
            let said = run(&[&["order", act, "spring"], more].concat()).await;
            assert_eq!(said.code, Some(2), "{said:?}");
            for word in [
                "give ORDER",
                "--state, --user, --sku, --from or --to",
                "--all",
                "Usage: rushgate order",
            ] {
                assert!(said.err.contains(word), "{word:?} is not said: {}", said.err);
            }
        }
    }
    let said = run(&["order", "cancel", "spring", "--all", "--user", "eve"]).await;
    assert_eq!(said.code, Some(2), "{said:?}");
    run(&["order", "cancel", "spring", "--all"])
        .await
        .refused(&["no campaign"]);

    sold(&gate, &["eve", "eve", "ann", "bob"]).await;
    assert_eq!(
        run(&["order", "job", "list", "spring"]).await.ok().trim(),
        "There is no job over these orders."
    );
    // Nobody is there to be asked: nothing is done, and no job begun.
    for more in [&["--all"][..], &["--user", "eve"], &["--state", "confirmed"]] {
        let refused = run(&[&["order", "cancel", "spring"], more].concat()).await;
        let refused = refused.refused(&[
            "orders would be cancelled",
            "of campaign spring? Nobody can be asked here: give --yes",
        ]);
        assert_eq!(refused.out, "");
    }
    assert_eq!(
        (in_state(&gate, "confirmed").await, jobs(&gate).await.len()),
        (4, 0)
    );
    // One order needs no word.
    let one = run(&["order", "cancel", "spring", "--user", "ann"]).await.ok();
    assert_eq!(one.trim(), "1 of 1 orders are cancelled.");
    let tried = run(&["order", "cancel", "spring", "--all", "--dry-run", "--json"])
        .await
        .ok();
    let tried: Value = serde_json::from_str(&tried).expect("JSON");
    assert_eq!((&tried["orders"], &tried["would_change"]), (&json!(3), &json!(3)));
    let all = run(&[
        "order", "cancel", "spring", "--all", "--yes", "--reason", "recalled",
    ])
    .await
    .ok();
    assert_eq!(all.trim(), "3 of 3 orders are cancelled.");
    assert_eq!(in_state(&gate, "cancelled").await, 4);

    // Both are listed, the later one first; over pages as well.
    let listed = jobs(&gate).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["filter"], json!({"state": "confirmed"}));
    assert_eq!(
        (&listed[1]["filter"], &listed[1]["matched"]),
        (&json!({"user": "ann"}), &json!(1))
    );
    let first = get(&gate, "/orders/jobs?limit=1").await;
    assert_eq!(first["jobs"], json!([listed[0]]));
    let next = first["next"].as_str().expect("more follow");
    let second = get(&gate, &format!("/orders/jobs?limit=1&before={next}")).await;
    assert_eq!((&second["jobs"], second.get("next")), (&json!([listed[1]]), None));
    let url = |path: &str| format!("{}/admin/v1/campaigns/{path}", gate.admin);
    for (path, status, reason) in [
        ("nowhere/orders/jobs", 404, "unknown"),
        ("spring/orders/jobs?before=nowhere", 404, "unknown"),
        ("spring/orders/jobs?limit=0", 400, "malformed"),
        ("spring/orders/jobs?after=1", 400, "malformed"),
    ] {
        gate.http.get(&url(path), &[]).await.refused(status, reason);
    }
    let told = run(&["order", "job", "list", "spring"]).await.ok();
    assert!(
        told.contains("3 of 3 orders are cancelled. (state confirmed)") && told.contains("(user ann)"),
        "{told}"
    );
    let json = run(&["order", "job", "list", "spring", "--json", "--limit", "1"])
        .await
        .ok();
    assert_eq!(
        serde_json::from_str::<Value>(&json).expect("JSON"),
        json!([listed[0]])
    );
    let id = listed[0]["job"].as_str().expect("an id");
    let shown = run(&["order", "job", "show", "spring", id]).await.ok();
    assert!(
        shown.contains("reason          recalled") && shown.contains("orders          state confirmed"),
        "{shown}"
    );
    let ended = run(&["order", "job", "stop", "spring", id]).await.ok();
    assert!(
        ended.starts_with("The job had ended by itself: 3 of 3"),
        "{ended}"
    );
    run(&["order", "job", "stop", "spring", "nowhere"])
        .await
        .refused(&["has no job"]);
    run(&["order", "job", "show", "spring", "nowhere"])
        .await
        .refused(&["has no job"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_on_when_nobody_watches_it_and_is_stopped_by_its_id() {
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let buyers: Vec<String> = (0..40).map(|n| format!("b{n}")).collect();
    let buyers: Vec<&str> = buyers.iter().map(String::as_str).collect();
    sold(&gate, &buyers).await;
    let mut waiting = command("rushgate", folder.path());
    waiting
        .args(["order", "cancel", "spring", "--all", "--rate", "1", "--yes"])
        .env("RUSHGATE_ADMIN_URL", &gate.admin)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut waiting = waiting.spawn().expect("it starts");
    let mut lines = BufReader::new(waiting.stderr.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    // It says how far the job is twice: what ends the wait is there by then.
    let first = lines.next().expect("a line");
    assert!(first.contains("of 40 orders are cancelled so far"), "{first}");
    lines.next().expect("a line");
    signal(&waiting, "INT");
    let said: Vec<String> = lines.filter(|line| !line.contains("so far")).collect();
    assert_eq!(waiting.wait().expect("it ends").code(), Some(130), "{said:?}");
    let job = jobs(&gate).await.remove(0);
    let id = job["job"].as_str().expect("an id");
    let expected = [
        format!("job {id} goes on without this command."),
        format!("  look at it: rushgate order job show spring {id}"),
        format!("  stop it:    rushgate order job stop spring {id}"),
    ];
    assert_eq!(said, expected);

    // It goes on: what the command said works.
    let run = async |arguments: &[&str]| rushgate(&gate, folder.path(), arguments).await;
    let begun = std::time::Instant::now();
    while in_state(&gate, "cancelled").await < 3 {
        assert!(begun.elapsed() < PATIENCE, "nobody works it off");
        tokio::time::sleep(POLL).await;
    }
    let shown = run(&["order", "job", "show", "spring", id]).await.ok();
    assert!(shown.contains("state           running"), "{shown}");
    let stopped = run(&["order", "job", "stop", "spring", id]).await.ok();
    assert!(
        stopped.contains("of 40 orders are cancelled; then it was stopped."),
        "{stopped}"
    );
    let again = run(&["order", "job", "stop", "spring", id, "--json"]).await.ok();
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(again["state"], "stopped");
    assert!(
        in_state(&gate, "confirmed").await > 0,
        "what it had not come to stays"
    );
}
