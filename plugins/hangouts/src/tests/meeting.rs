//! Rooms: who may join, what links are told, and what REST shows.

use super::*;

#[tokio::test]
async fn updates_reach_followers() {
    let hub = hub();
    let room = make(&hub, 50).await;
    assert_eq!(room, 1, "numbers begin with 1");
    let (number, text) = (following(&hub, "1", json!(1)).await, following(&hub, "2", json!("1")).await);
    let outsider = link(&hub, "3").await;
    assert_eq!(join(&hub, room, "7", "John Doe").await.0, 200);
    let update: Value = number.next("ROOM_UPDATE").await;
    assert_eq!(
        update,
        json!({
            "roomId": 1, "event": "USER_JOINED", "participantName": "John Doe", "currentParticipants": 1,
            "maxParticipants": 50, "isFull": false, "availableSlots": 49, "timestamp": "2026-01-20T10:30:00.000Z",
        })
    );
    assert_eq!(text.next::<Value>("ROOM_UPDATE").await["roomId"], "1");
    assert_eq!(leave(&hub, room, "7").await.0, 200);
    let update: Value = number.next("ROOM_UPDATE").await;
    assert_eq!((&update["event"], &update["participantName"]), (&json!("USER_LEFT"), &json!("John Doe")));
    assert_eq!((&update["currentParticipants"], &update["availableSlots"]), (&json!(0), &json!(50)));
    outsider.nothing_for("ROOM_UPDATE").await;
    number.emit("LEAVE_ROOM", json!({"roomId": 1}));
    hub.settle().await;
    join(&hub, room, "7", "John Doe").await;
    number.nothing_for("ROOM_UPDATE").await;
}

#[tokio::test]
async fn polling_agrees_with_the_link() {
    let hub = hub();
    let room = make(&hub, 3).await;
    let link = following(&hub, "1", json!(room)).await;
    let steps = [
        ("a", true),
        ("b", true),
        ("c", true),
        ("d", true),
        ("a", true),
        ("b", false),
        ("b", false),
        ("d", true),
    ];
    for (user, joins) in steps {
        hub.advance(Duration::from_secs(1)).await;
        let answer = if joins { join(&hub, room, user, user).await } else { leave(&hub, room, user).await };
        let mut polled = get(&hub, &format!("/api/rooms/{room}")).await;
        if answer.2["changed"] == true {
            let update: Value = link.next("ROOM_UPDATE").await;
            assert_eq!(polled["type"], "ROOM_UPDATE");
            for (field, value) in update.as_object().unwrap() {
                assert_eq!(polled[field].take(), *value, "{field} after {user}");
            }
        }
        link.nothing_for("ROOM_UPDATE").await;
    }
}

#[tokio::test]
async fn full_room_refuses_and_says_so() {
    let hub = hub();
    let room = make(&hub, 1).await;
    let link = following(&hub, "1", json!(room)).await;
    join(&hub, room, "a", "Ann").await;
    let full: Value = link.next("ROOM_FULL").await;
    assert_eq!(
        full,
        json!({"roomId": 1, "currentParticipants": 1, "maxParticipants": 1, "isFull": true, "availableSlots": 0,
            "timestamp": "2026-01-20T10:30:00.000Z"})
    );
    let (status, _, problem) = join(&hub, room, "b", "Bob").await;
    assert_eq!((status, &problem["code"]), (409, &json!("ROOM_FULL")));
    assert_eq!(join(&hub, room, "a", "Ann").await.2["changed"], false, "who is in stays in");
    leave(&hub, room, "a").await;
    assert_eq!(link.next::<Value>("ROOM_AVAILABLE").await["availableSlots"], 1);
    assert_eq!(link.waiting("ROOM_FULL").await, 0, "said once");
    assert_eq!(hub.metric("refused_joins_total"), Some(1.0));
}

#[tokio::test]
async fn many_joins_at_once_fill_exactly() {
    let hub = hub();
    let room = make(&hub, 50).await;
    let link = following(&hub, "1", json!(room)).await;
    let users: Vec<String> = (0..200).map(|n| format!("user-{n}")).collect();
    let joins = users.iter().map(|user| join(&hub, room, user, user));
    let answers = exedra_sdk::futures::future::join_all(joins).await;
    let count = |status| answers.iter().filter(|answer| answer.0 == status).count();
    assert_eq!((count(200), count(409)), (50, 150));
    assert_eq!(get(&hub, "/api/rooms/1").await["currentParticipants"], 50);
    for n in 1..=50 {
        assert_eq!(link.next::<Value>("ROOM_UPDATE").await["currentParticipants"], n, "in order");
    }
    assert_eq!(link.waiting("ROOM_UPDATE").await, 0);
    assert_eq!(link.waiting("ROOM_FULL").await, 1);
}

#[tokio::test]
async fn bad_requests_change_nothing() {
    let hub = hub();
    let bodies = [
        json!({}),
        json!({"name": ""}),
        json!({"name": "x", "maxParticipants": 0}),
        json!({"name": "x", "maxParticipants": 1001}),
        json!({"name": "x", "roomId": "one"}),
        json!({"name": "x", "more": 1}),
    ];
    for body in bodies {
        let (status, _, problem) = post(&hub, "/api/rooms", body.clone()).await;
        assert_eq!((status, &problem["code"]), (400, &json!("INVALID_REQUEST")), "{body}");
    }
    assert_eq!(make(&hub, 2).await, 1, "no number was used up");
    for body in [json!({}), json!(null), json!({"userId": ""}), json!({"userId": "a", "userName": ""})] {
        let (status, _, problem) = post(&hub, "/api/rooms/1/join", body).await;
        assert_eq!((status, &problem["code"]), (400, &json!("INVALID_REQUEST")));
    }
    for path in ["/api/rooms/2", "/api/rooms/x", "/api/rooms/01"] {
        let (status, _, problem) = hub.http("GET", path).send().await;
        assert_eq!((status, &problem["code"]), (404, &json!("ROOM_NOT_FOUND")), "{path}");
    }
    assert_eq!(join(&hub, 9, "a", "Ann").await.0, 404);
    let (status, _, problem) = post(&hub, "/api/rooms", json!({"name": "x", "roomId": 1})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("ROOM_EXISTS")));
}

#[tokio::test]
async fn rooms_are_listed_by_page() {
    let hub = hub();
    for _ in 0..3 {
        make(&hub, 5).await;
    }
    post(&hub, "/api/rooms", json!({"name": "Own", "roomId": 4})).await;
    assert_eq!(make(&hub, 5).await, 5, "a taken number is passed over");
    let page = get(&hub, "/api/rooms?limit=2").await;
    assert_eq!((&page["rooms"][1]["roomId"], &page["next"]), (&json!(2), &json!(2)));
    let page = get(&hub, "/api/rooms?after=2").await;
    assert_eq!((page["rooms"].as_array().unwrap().len(), &page["next"]), (3, &Value::Null));
}

#[tokio::test]
async fn unwritten_joins_are_not_answered() {
    let hub = hub();
    let room = make(&hub, 5).await;
    let link = following(&hub, "1", json!(room)).await;
    hub.fail_next_kv();
    assert_eq!(join(&hub, room, "a", "Ann").await.0, 503);
    link.nothing_for("ROOM_UPDATE").await;
    assert_eq!(get(&hub, "/api/rooms/1").await["currentParticipants"], 0);
}

#[tokio::test]
async fn services_manage_rooms() {
    let hub = hub();
    let room =
        hub.rpc("create", json!({"name": "Stage", "maxParticipants": 2, "roomId": "12"})).await.unwrap();
    assert_eq!((&room["roomId"], &room["event"]), (&json!(12), &json!("ROOM_CREATED")));
    let link = following(&hub, "1", json!(12)).await;
    hub.inject("12", "join", json!({"userId": 5, "firstName": "Ann"})).await.unwrap();
    assert_eq!(link.next::<Value>("ROOM_UPDATE").await["participantName"], "Ann");
    hub.rpc("join", json!({"roomId": 12, "userId": "6"})).await.unwrap();
    assert_eq!(link.next::<Value>("ROOM_UPDATE").await["participantName"], "User", "nameless");
    let error = hub.rpc("join", json!({"roomId": 12, "userId": "7"})).await.unwrap_err();
    assert_eq!(error["code"], "ROOM_FULL");
    hub.rpc("update", json!({"roomId": 12, "maxParticipants": 3})).await.unwrap();
    let update: Value = link.next("ROOM_UPDATE").await;
    assert_eq!((&update["event"], &update["availableSlots"]), (&json!("ROOM_CHANGED"), &json!(1)));
    link.next::<Value>("ROOM_AVAILABLE").await;
    let detail = hub.rpc("get", json!({"roomId": 12})).await.unwrap();
    assert_eq!(detail["participants"][0]["userId"], "5");
    hub.inject("12", "leave", json!({"userId": "5"})).await.unwrap();
    assert_eq!(link.next::<Value>("ROOM_UPDATE").await["event"], "USER_LEFT");
    hub.rpc("leave", json!({"roomId": 12, "userId": "6"})).await.unwrap();
    assert_eq!(hub.rpc("list", Value::Null).await.unwrap()["rooms"][0]["currentParticipants"], 0);
    hub.rpc("remove", json!({"roomId": 12})).await.unwrap();
    assert_eq!(link.next::<Value>("ROOM_CLOSED").await["roomId"], 12);
    assert_eq!(hub.http("GET", "/api/rooms/12").send().await.0, 404);
    let events: Vec<_> = hub.out().await.into_iter().map(|one| one.event).collect();
    assert_eq!(events, ["created", "joined", "full", "joined", "available", "left", "left", "removed"]);
}

#[tokio::test]
async fn foreign_rooms_have_news() {
    let hub = hub();
    let link = following(&hub, "1", json!(77)).await;
    let news =
        json!({"event": "join", "userName": "John Doe", "currentParticipants": 25, "maxParticipants": 50});
    hub.inject("77", "room-update", news).await.unwrap();
    let update: Value = link.next("ROOM_UPDATE").await;
    assert_eq!(
        update,
        json!({
            "roomId": 77, "event": "USER_JOINED", "participantName": "John Doe", "currentParticipants": 25,
            "maxParticipants": 50, "isFull": false, "availableSlots": 25, "timestamp": "2026-01-20T10:30:00.000Z",
        })
    );
    for (room, body) in
        [("x", json!({})), ("77", json!({"event": "dance"})), ("77", json!({"event": "join"}))]
    {
        assert!(hub.inject(room, "room-update", body).await.is_err());
    }
    assert_eq!(hub.dead_letters().await.len(), 3);
}

#[tokio::test]
async fn absent_people_and_rooms_are_forgotten() {
    let hub = hub_with(json!({"participant_ttl": "10m", "room_ttl": "20m", "max_rooms": 2}));
    let room = make(&hub, 5).await;
    hub.rpc("create", json!({"name": "Kept"})).await.unwrap();
    let (status, _, problem) = post(&hub, "/api/rooms", json!({"name": "third"})).await;
    assert_eq!((status, &problem["code"]), (503, &json!("NO_PLACE")));
    let link = following(&hub, "1", json!(room)).await;
    join(&hub, room, "a", "Ann").await;
    link.next::<Value>("ROOM_UPDATE").await;
    hub.advance(Duration::from_secs(11 * 60)).await;
    assert_eq!(link.next::<Value>("ROOM_UPDATE").await["event"], "USER_LEFT");
    hub.advance(Duration::from_secs(21 * 60)).await;
    assert_eq!(hub.http("GET", "/api/rooms/1").send().await.0, 404);
    assert_eq!(hub.http("GET", "/api/rooms/2").send().await.0, 200);
    make(&hub, 5).await;
}

#[tokio::test]
async fn news_that_comes_again_changes_nothing() {
    let hub = hub();
    let room = make(&hub, 3).await;
    let link = following(&hub, "9", json!(room)).await;
    let (at, ann) = (room.to_string(), json!({"userId": "1", "userName": "Ann"}).to_string());
    for (number, event) in [(1, "join"), (2, "leave"), (1, "join"), (2, "leave"), (3, "join"), (2, "leave")] {
        hub.deliver(number, (&at, event), &[], ann.clone()).await.unwrap();
    }
    let events: Vec<_> = [(); 3].map(|()| link.next::<Value>("ROOM_UPDATE")).into_iter().collect();
    let mut heard = Vec::new();
    for event in events {
        heard.push(event.await["event"].clone());
    }
    assert_eq!(heard, ["USER_JOINED", "USER_LEFT", "USER_JOINED"]);
    link.nothing_for("ROOM_UPDATE").await;
    assert_eq!(get(&hub, &format!("/api/rooms/{room}")).await["currentParticipants"], 1);
}
