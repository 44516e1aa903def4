//! Projects and what their owners may read, and nobody else.

use super::*;

#[tokio::test]
async fn projects_are_made_and_changed() {
    let hub = hub();
    let (status, made) =
        as_user(&hub, "ann", "POST", "/api/projects", json!({"name": " Form ", "active": false})).await;
    assert_eq!(status, 201);
    assert_eq!(
        (&made["name"], &made["active"], &made["ownerId"]),
        (&json!("Form"), &json!(false), &json!("ann"))
    );
    assert_eq!(made["id"], made["projectId"]);
    let key = made["apiKey"].as_str().unwrap();
    let path = format!("/api/projects/{}", made["id"].as_str().unwrap());
    let (_, changed) = as_user(&hub, "ann", "PATCH", &path, json!({"name": "New", "active": true})).await;
    assert_eq!((&changed["name"], &changed["active"]), (&json!("New"), &json!(true)));
    for (path, _) in [(&*path, ()), ("/api/projects", ())] {
        let (status, body) = as_user(&hub, "ann", "GET", path, json!(null)).await;
        assert!(status == 200 && !body.to_string().contains(key) && !body.to_string().contains("apiKey"));
    }
    let stored = hub.stored(&format!("projects/{}", made["id"].as_str().unwrap())).unwrap();
    assert!(!stored.to_string().contains(key), "not even the store knows the key");
    for bad in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "x".repeat(101)}),
        json!({"name": "a", "x": 1}),
        json!([]),
    ] {
        assert_eq!(as_user(&hub, "ann", "POST", "/api/projects", bad).await.0, 400);
    }
    assert_eq!(hub.http("POST", "/api/projects").json(json!({"name": "a"})).send().await.0, 401);
}

#[tokio::test]
async fn lists_show_ones_own() {
    let hub = hub();
    for _ in 0..5 {
        project(&hub, "ann").await;
    }
    project(&hub, "anna").await;
    let (_, first) = as_user(&hub, "ann", "GET", "/api/projects?limit=3&after=", json!(null)).await;
    assert_eq!(first["projects"].as_array().unwrap().len(), 3);
    let next = format!("/api/projects?limit=3&after={}", first["next"].as_str().unwrap());
    let (_, second) = as_user(&hub, "ann", "GET", &next, json!(null)).await;
    assert_eq!((second["projects"].as_array().unwrap().len(), &second["next"]), (2, &Value::Null));
    assert_ne!(first["projects"][2]["id"], second["projects"][0]["id"]);
}

#[tokio::test]
async fn nobody_reaches_what_is_not_theirs() {
    let hub = hub();
    let people = ["ann", "bob", "eve"];
    let mut made = Vec::new();
    for owner in people {
        let project = project(&hub, owner).await;
        let session = session(&hub, &project, "u").await;
        send(&hub, &project, &session, &["keydown"]).await;
        made.push((owner, project, session));
    }
    for (owner, project, session) in &made {
        for who in people {
            let verbs = [
                ("GET", format!("/api/projects/{}", project.id), json!(null)),
                ("PATCH", format!("/api/projects/{}", project.id), json!({"name": "Mine"})),
                ("GET", format!("/api/projects/{}/viewers", project.id), json!(null)),
                ("GET", format!("/api/projects/{}/sessions", project.id), json!(null)),
                ("GET", format!("/api/sessions/{session}"), json!(null)),
                ("GET", format!("/api/sessions/{session}/events"), json!(null)),
                ("GET", format!("/api/sessions/{session}/data/x"), json!(null)),
            ];
            for (method, path, body) in verbs {
                let (status, answer) = as_user(&hub, who, method, &path, body).await;
                if who == *owner {
                    assert!(status < 300 || path.ends_with("/x"), "{who} {method} {path}: {answer}");
                } else {
                    assert_eq!(
                        (status, &answer["code"]),
                        (403, &json!("UNAUTHORIZED")),
                        "{who} {method} {path}"
                    );
                }
                assert_eq!(hub.http(method, &path).send().await.0, 401, "nobody {method} {path}");
            }
            let client = hub.connect(user(who)).await;
            let joined = client.call::<Value>("join-project", json!({"projectId": project.id})).await;
            assert_eq!(joined.is_ok(), who == *owner);
        }
        for (other, foreign, _) in &made {
            let paths = [
                (format!("/api/projects/{}/sessions", project.id), json!({"externalUserId": "u"})),
                (format!("/api/sessions/{session}/events"), json!({"events": [{"eventType": "x"}]})),
                (format!("/api/sessions/{session}/submit"), json!({})),
            ];
            for (path, body) in paths {
                let (status, answer) = post(&hub, &foreign.key, &path, body.clone()).await;
                if other == owner {
                    assert!(status < 300, "{path}: {answer}");
                } else {
                    assert_eq!((status, &answer["code"]), (401, &json!("INVALID_API_KEY")), "{path}");
                }
                let (status, _, answer) =
                    hub.http("POST", &path).as_user(user(owner)).json(body).send().await;
                assert_eq!(
                    (status, &answer["code"]),
                    (401, &json!("INVALID_API_KEY")),
                    "without a key {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn renewed_keys_void_the_old() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let path = format!("/api/projects/{}/api-key", made.id);
    assert_eq!(as_user(&hub, "eve", "POST", &path, json!(null)).await.0, 403);
    let (status, renewed) = as_user(&hub, "ann", "POST", &path, json!(null)).await;
    assert_eq!(status, 201);
    let start = format!("/api/projects/{}/sessions", made.id);
    assert_eq!(post(&hub, &made.key, &start, json!({"externalUserId": "u"})).await.0, 401);
    let key = renewed["apiKey"].as_str().unwrap();
    assert_eq!(post(&hub, key, &start, json!({"externalUserId": "u"})).await.0, 201);
}

#[tokio::test]
async fn sessions_and_events_can_be_read() {
    let hub = hub();
    let made = project(&hub, "ann").await;
    let first = session(&hub, &made, "u1").await;
    let second = session(&hub, &made, "u2").await;
    for n in 0..6 {
        send(&hub, &made, &first, &[&format!("a{n}"), &format!("b{n}")]).await;
    }
    let path = format!("/api/projects/{}/sessions", made.id);
    let (_, list) = as_user(&hub, "ann", "GET", &path, json!(null)).await;
    let ids: Vec<_> =
        list["sessions"].as_array().unwrap().iter().map(|one| one["sessionId"].clone()).collect();
    assert_eq!(ids, [json!(first), json!(second)]);
    assert_eq!((&list["sessions"][0]["events"], &list["sessions"][0]["endedAt"]), (&json!(12), &Value::Null));
    let path = format!("/api/sessions/{first}/events?limit=4");
    let (_, page) = as_user(&hub, "ann", "GET", &path, json!(null)).await;
    let kinds = |page: &Value| -> Vec<String> {
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["eventType"].as_str().unwrap().into())
            .collect()
    };
    assert_eq!(kinds(&page), ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]);
    let (_, rest) =
        as_user(&hub, "ann", "GET", &format!("{path}&after={}", page["next"].as_str().unwrap()), json!(null))
            .await;
    assert_eq!(
        (kinds(&rest), &rest["next"]),
        (vec!["a4".into(), "b4".into(), "a5".into(), "b5".into()], &Value::Null)
    );
}
