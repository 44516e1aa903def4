//! Services and operators.

use super::*;

#[tokio::test]
async fn operators_broadcast_to_a_room() {
    let hub = hub();
    let (ann, bob) = (connect(&hub, [10, 0, 0, 1]).await, connect(&hub, [10, 0, 0, 2]).await);
    let other = hub.client().namespace("/public-room/other").connect().await.unwrap();
    let update = json!({"message": "Room capacity changed"});
    hub.inject("lobby", "room-update", &update).await.unwrap();
    for client in [&ann, &bob] {
        assert_eq!(client.next::<Value>("room-update").await, update);
    }
    other.nothing_for("room-update").await;
    hub.inject("lobby", "anything", json!([1, "two"])).await.unwrap();
    assert_eq!(ann.next::<Value>("anything").await, json!([1, "two"]));
}

#[tokio::test]
async fn bad_broadcasts_say_why() {
    let hub = hub();
    let _ann = connect(&hub, HOME).await;
    assert!(hub.inject("lobby", "disconnect", json!({})).await.unwrap_err().starts_with("INVALID_REQUEST"));
    assert!(hub.inject("a b", "room-update", json!({})).await.unwrap_err().starts_with("INVALID_REQUEST"));
    assert!(hub.inject_bytes("lobby", "room-update", "not json").await.is_err());
    assert_eq!(hub.dead_letters().await.len(), 3);
}

#[tokio::test]
async fn services_hear_who_comes_and_goes() {
    let hub = hub();
    lobby(&hub).await;
    let (ann, id) = joined(&hub, HOME, "Ann").await;
    ann.lose();
    let out = hub.out().await;
    let told: Vec<_> =
        out.iter().map(|one| (one.room.as_str(), one.event.as_str(), &one.payload["userId"])).collect();
    assert_eq!(told, [("lobby", "joined", &json!(id)), ("lobby", "left", &json!(id))]);
}

#[tokio::test]
async fn connections_of_an_address_are_counted() {
    let hub = hub();
    let (_one, _two) = (connect(&hub, HOME).await, connect(&hub, HOME).await);
    let counted = hub.rpc("connections", json!({"ipAddress": "192.0.2.1"})).await.unwrap();
    assert_eq!(counted, json!({"connectionCount": 2}));
    let none = hub.rpc("connections", json!({"ipAddress": "192.0.2.9"})).await.unwrap();
    assert_eq!(none, json!({"connectionCount": 0}));
    let error = hub.rpc("connections", json!({"ipAddress": "here"})).await.unwrap_err();
    assert_eq!(error["code"], "INVALID_REQUEST");
}

#[tokio::test]
async fn stats_are_for_administrators() {
    let hub = hub();
    lobby(&hub).await;
    let _ann = joined(&hub, HOME, "Ann").await;
    let path = "/api/public/stats?ipAddress=192.0.2.1";
    assert_eq!(hub.http("GET", path).send().await.0, 401);
    assert_eq!(hub.http("GET", path).as_user("bob").send().await.0, 403);
    let (status, _, stats) = hub.http("GET", path).as_user(User::named("op").with_role("admin")).send().await;
    assert_eq!(status, 200);
    assert_eq!(
        stats,
        json!({"totalConnections": 1, "totalRooms": 1, "activeRooms": 1, "totalParticipants": 1, "connectionCount": 1})
    );
    assert_eq!(hub.rpc("stats", Value::Null).await.unwrap()["totalRooms"], 1);
}

#[tokio::test]
async fn operators_manage_rooms() {
    let hub = hub();
    let put = json!({"roomId": "hall", "name": "Hall", "maxOccupancy": 3});
    assert_eq!(hub.rpc("put-room", put).await.unwrap()["maxOccupancy"], 3);
    let put = json!({"roomId": "hall", "name": "Great Hall", "maxOccupancy": 4});
    assert_eq!(hub.rpc("put-room", put).await.unwrap()["name"], "Great Hall");
    assert_eq!(hub.rpc("list-rooms", Value::Null).await.unwrap()["rooms"][0]["roomId"], "hall");
    assert_eq!(hub.rpc("get-room", json!({"roomId": "hall"})).await.unwrap()["maxOccupancy"], 4);
    assert_eq!(hub.rpc("remove-room", json!({"roomId": "hall"})).await.unwrap(), json!({"success": true}));
    let error = hub.rpc("get-room", json!({"roomId": "hall"})).await.unwrap_err();
    assert_eq!(error["code"], "ROOM_NOT_FOUND");
}
