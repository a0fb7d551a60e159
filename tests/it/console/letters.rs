//! Dead letters in the console: filtered, ticked, asked to be sent back after a trial; one is shown, repaired and given up.

use crate::console::desk::{Desk, check_plain, pair, unescaped};
use crate::stories::access::house::{House, ROOT};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_sent_back_repaired_and_given_up() {
    let house = House::open("").await;
    let a = house.settle("a").await;
    let second = house.bury("a", 7).await;
    let mut desk = Desk::at(house.gate);
    desk.log_in(ROOT).await;
    let page = desk.get("/console/letters?campaign=sale-a").await.expect(200);
    page.has(&a.letter)
        .has(&second)
        .has("2 dead")
        .has("deadlock found");
    check_plain(&page, "/console/letters");
    let mut form = page.form("/console/letters", &[("act", "replay"), ("rate", "1")]);
    form.push(pair("id", &second));
    let tried = desk.post("/console/letters", &form).await.expect(200);
    tried.has("1 letter would be sent back");
    let mut confirm = tried.form("/console/letters", &[("step", "confirm")]);
    assert!(confirm.contains(&pair("id", &second)) && confirm.contains(&pair("act", "replay")));
    let done = desk.post("/console/letters", &confirm).await.expect(200);
    done.has("1 letter is sent back by a lander").has("To be sent");
    // Without one that is ticked, all that match.
    confirm.retain(|(name, _)| name != "id");
    let done = desk.post("/console/letters", &confirm).await.expect(200);
    done.has("2 letters are sent back by a lander");
    let wrong = page.form("/console/letters", &[("act", "discard")]);
    let page = desk.post("/console/letters", &wrong).await.expect(422);
    page.has("/reason</code> is empty");

    let path = format!("/console/letters/{}", a.letter);
    let page = desk.get(&path).await.expect(200);
    page.has("kafka_dlt-original-offset").has("Take the replay back");
    check_plain(&page, &path);
    let fields = page.form(&path, &[]);
    assert!(fields.iter().any(|(name, _)| name == "reason"));
    let payload = unescaped(&page.html);
    let (_, payload) = payload.split_once("spellcheck=\"false\">").expect("a payload");
    let payload = payload.split("</textarea>").next().expect("it ends");
    let send = |act: &str, more: &[(&str, &str)]| {
        let mut form = page.form(&path, more);
        form.push(pair("act", act));
        form
    };
    let repaired = payload.replace("\"quantity\": 1", "\"quantity\": 2");
    let saved = desk.post(&path, &send("repair", &[("payload", &repaired)])).await;
    saved.expect(200).has("The payload is saved").has("2 × mug");
    let broken = desk.post(&path, &send("repair", &[("payload", "{")])).await;
    broken.expect(422).has("is no JSON");
    let gone = desk
        .post(&path, &send("discard", &[("reason", "refunded")]))
        .await;
    gone.expect(200).has("1 letter is discarded").has("given up");
    desk.get("/console/letters/rushgate.orders/0/99")
        .await
        .expect(404);
}
