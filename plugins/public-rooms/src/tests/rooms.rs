//! Users and rooms over REST.

use super::*;

#[tokio::test]
async fn users_and_rooms_are_created() {
    let hub = hub();
    let (status, _, user) = post(&hub, HOME, "/api/public/users", json!({"userName": " Ann "})).await;
    assert_eq!(status, 201);
    assert_eq!(user["id"], user["userId"]);
    assert_eq!(user["userName"], "Ann");
    let (status, _, room) =
        post(&hub, HOME, "/api/public/rooms", json!({"name": "Maths", "maxOccupancy": 5})).await;
    assert_eq!(status, 201);
    assert_eq!(room["id"], room["roomId"]);
    assert_eq!((&room["maxOccupancy"], &room["currentOccupancy"]), (&json!(5), &json!(0)));
    let path = format!("/api/public/rooms/{}", room["roomId"].as_str().unwrap());
    let (status, _, found) = get(&hub, &path).await;
    assert_eq!((status, &found["name"], &found["participants"]), (200, &json!("Maths"), &json!([])));
    let stored = hub.stored(&format!("users/{}", user["userId"].as_str().unwrap())).unwrap();
    assert!(!stored.to_string().contains("192.0.2.1"), "the address itself is not stored");
}

#[tokio::test]
async fn rooms_are_listed_by_page() {
    let hub = hub();
    for id in ["a", "b", "c"] {
        let body = json!({"name": id, "roomId": id});
        assert_eq!(post(&hub, HOME, "/api/public/rooms", body).await.0, 201);
    }
    let (_, _, page) = get(&hub, "/api/public/rooms?limit=2").await;
    assert_eq!((&page["rooms"][1]["roomId"], &page["next"]), (&json!("b"), &json!("b")));
    let (_, _, page) = get(&hub, "/api/public/rooms?after=b&limit=2").await;
    assert_eq!((page["rooms"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
}

#[tokio::test]
async fn bad_bodies_are_invalid_requests() {
    let hub = hub();
    let users = [
        json!({}),
        json!({"userName": ""}),
        json!({"userName": "a\u{0}"}),
        json!({"userName": "x".repeat(65)}),
    ];
    for body in users {
        let (status, _, problem) = post(&hub, HOME, "/api/public/users", body).await;
        assert_eq!((status, &problem["code"]), (400, &json!("INVALID_REQUEST")));
    }
    let rooms = [
        json!({}),
        json!({"name": "x", "maxOccupancy": 0}),
        json!({"name": "x", "maxOccupancy": 100_000}),
        json!({"name": "x", "maxOccupancy": -1}),
        json!({"name": "x", "roomId": "a/b"}),
    ];
    for body in rooms {
        let (status, _, problem) = post(&hub, HOME, "/api/public/rooms", body).await;
        assert_eq!((status, &problem["code"]), (400, &json!("INVALID_REQUEST")));
    }
    let (status, _, problem) = get(&hub, "/api/public/rooms/nowhere").await;
    assert_eq!((status, &problem["code"]), (404, &json!("ROOM_NOT_FOUND")));
    lobby(&hub).await;
    let (status, _, problem) =
        post(&hub, HOME, "/api/public/rooms", json!({"name": "x", "roomId": "lobby"})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("ROOM_EXISTS")));
}

#[tokio::test]
async fn rest_join_holds_a_place() {
    let hub = hub_with(json!({"rest_presence": "1m"}));
    lobby(&hub).await;
    let id = user(&hub, HOME, "Ann").await;
    let (status, _, answer) = post(&hub, HOME, "/api/public/rooms/lobby/join", json!({ "userId": id })).await;
    assert_eq!((status, &answer["success"], &answer["currentOccupancy"]), (200, &json!(true), &json!(1)));
    let ann = connect(&hub, HOME).await;
    ann.emit("join-room", json!({"userId": id, "userName": "Ann"}));
    let heard: Value = ann.next("user-joined").await;
    assert_eq!(heard["currentOccupancy"], 1);
    hub.advance(Duration::from_secs(120)).await;
    assert_eq!(
        get(&hub, "/api/public/rooms/lobby").await.2["currentOccupancy"],
        1,
        "the connection holds it now"
    );
    ann.lose();
    hub.settle().await;
    assert_eq!(get(&hub, "/api/public/rooms/lobby").await.2["currentOccupancy"], 0);
}

#[tokio::test]
async fn places_of_nobody_run_out() {
    let hub = hub_with(json!({"rest_presence": "1m"}));
    lobby(&hub).await;
    let listener = connect(&hub, [10, 0, 0, 2]).await;
    let id = user(&hub, HOME, "Ann").await;
    post(&hub, HOME, "/api/public/rooms/lobby/join", json!({ "userId": id })).await;
    hub.advance(Duration::from_secs(61)).await;
    let left: Value = listener.next("user-left").await;
    assert_eq!(left, json!({"userId": id, "currentOccupancy": 0}));
}

#[tokio::test]
async fn rest_leave_tells_the_others() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, ann_id) = joined(&hub, HOME, "Ann").await;
    let (bob, _) = joined(&hub, [10, 0, 0, 2], "Bob").await;
    let body = json!({ "userId": ann_id });
    let (status, _, answer) = post(&hub, HOME, "/api/public/rooms/lobby/leave", body.clone()).await;
    assert_eq!((status, &answer["currentOccupancy"]), (200, &json!(1)));
    let left: Value = bob.next("user-left").await;
    assert_eq!(left, json!({"userId": ann_id, "currentOccupancy": 1}));
    assert_eq!(post(&hub, HOME, "/api/public/rooms/lobby/leave", body.clone()).await.0, 200, "again is fine");
    let (status, _, problem) = post(&hub, [10, 0, 0, 3], "/api/public/rooms/lobby/leave", body).await;
    assert_eq!((status, &problem["code"]), (403, &json!("INVALID_USER")));
    assert!(!ann.is_closed());
}

#[tokio::test]
async fn unwritten_users_are_not_answered() {
    let hub = hub();
    user(&hub, HOME, "first").await;
    hub.fail_next_kv();
    let (status, ..) = post(&hub, HOME, "/api/public/users", json!({"userName": "Ann"})).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn one_address_makes_so_many() {
    let hub = hub_with(json!({"users_per_ip": 2, "rooms_per_ip": 1}));
    user(&hub, HOME, "one").await;
    user(&hub, HOME, "two").await;
    let (status, _, problem) = post(&hub, HOME, "/api/public/users", json!({"userName": "three"})).await;
    assert_eq!((status, &problem["code"]), (429, &json!("RATE_LIMITED")));
    user(&hub, [10, 0, 0, 2], "elsewhere").await;
    lobby(&hub).await;
    assert_eq!(post(&hub, HOME, "/api/public/rooms", json!({"name": "second"})).await.0, 429);
}

#[tokio::test]
async fn unused_things_are_forgotten() {
    let hub = hub_with(json!({"user_ttl": "10m", "room_ttl": "10m", "max_users": 2}));
    lobby(&hub).await;
    hub.rpc("put-room", json!({"roomId": "kept", "name": "Kept"})).await.unwrap();
    let id = user(&hub, HOME, "Ann").await;
    user(&hub, HOME, "Bob").await;
    let (status, _, problem) = post(&hub, HOME, "/api/public/users", json!({"userName": "Cyd"})).await;
    assert_eq!((status, &problem["code"]), (503, &json!("NO_PLACE")));
    hub.advance(Duration::from_secs(11 * 60)).await;
    assert_eq!(hub.stored(&format!("users/{id}")), None);
    assert_eq!(get(&hub, "/api/public/rooms/lobby").await.0, 404);
    assert_eq!(get(&hub, "/api/public/rooms/kept").await.0, 200);
    user(&hub, HOME, "Cyd").await;
}
