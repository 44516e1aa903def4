use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

fn rules(change: impl FnOnce(&mut AuthConfig)) -> Rules {
    let mut config = AuthConfig::default();
    change(&mut config);
    Rules::new(&config)
}

fn check(rules: &Rules, claims: Value) -> Result<Identity, AuthFailure> {
    let Value::Object(claims) = claims else { panic!("an object") };
    rules.check(claims, UNIX_EPOCH + Duration::from_secs(NOW))
}

fn check_plain(claims: Value) -> Result<Identity, AuthFailure> {
    check(&rules(|_| {}), claims)
}

#[test]
fn takes_over_all_claims() {
    let identity = check_plain(json!({
        "exp": NOW + 60, "userId": "u1", "fullName": "Ada L", "email": "a@x.org", "roles": ["host", 7, ""], "org": 3,
    }))
    .unwrap();
    assert_eq!(&*identity.user_id, "u1");
    assert_eq!(identity.name.as_deref(), Some("Ada L"));
    assert_eq!(identity.email.as_deref(), Some("a@x.org"));
    assert_eq!(identity.roles, ["host"]);
    assert!(identity.claims.as_str().contains(r#""org":3"#), "{}", identity.claims.as_str());
    assert_eq!(identity.expires_at, Some(UNIX_EPOCH + Duration::from_secs(NOW + 60)));
}

#[test]
fn prefers_the_first_claim_name() {
    let id = |claims| check_plain(claims).map(|identity| identity.user_id.to_string());
    assert_eq!(id(json!({"exp": NOW + 60, "id": "c", "sub": "b", "userId": "a"})).unwrap(), "a");
    assert_eq!(id(json!({"exp": NOW + 60, "id": "c", "userId": null})).unwrap(), "c");
}

#[test]
fn numbers_become_user_ids() {
    assert_eq!(&*check_plain(json!({"exp": NOW + 60, "sub": 42})).unwrap().user_id, "42");
    assert_eq!(check_plain(json!({"exp": NOW + 60, "sub": 4.5})).unwrap_err(), AuthFailure::Claims);
}

#[test]
fn refuses_unfit_user_ids() {
    for id in [json!(null), json!(""), json!([]), json!({}), json!(true), json!("x".repeat(257))] {
        let refused = check_plain(json!({"exp": NOW + 60, "sub": id})).unwrap_err();
        assert_eq!(refused, AuthFailure::Claims, "{id}");
    }
    assert_eq!(check_plain(json!({"exp": NOW + 60})).unwrap_err(), AuthFailure::Claims);
    assert!(check_plain(json!({"exp": NOW + 60, "sub": "x".repeat(256)})).is_ok());
}

#[test]
fn refuses_dates_of_other_types() {
    let bad = [
        json!("1900000000"),
        json!(1.9e9),
        json!(1_900_000_000.5),
        json!(-1),
        json!(9_223_372_036_854_775_808_u64),
        json!(u64::MAX),
        json!(MAX_DATE + 1),
        json!([1_900_000_000]),
        json!({}),
        json!(true),
        json!(null),
    ];
    for date in bad {
        assert_eq!(
            check_plain(json!({"exp": date, "sub": "u"})).unwrap_err(),
            AuthFailure::Claims,
            "exp {date}"
        );
        let nbf = check_plain(json!({"exp": NOW + 60, "nbf": date, "sub": "u"}));
        assert_eq!(nbf.unwrap_err(), AuthFailure::Claims, "nbf {date}");
    }
    assert_eq!(check_plain(json!({"sub": "u"})).unwrap_err(), AuthFailure::Claims);
}

#[test]
fn leeway_counts_both_ways() {
    let outcome = |exp: u64, nbf: u64| check_plain(json!({"exp": exp, "nbf": nbf, "sub": "u"})).map(|_| ());
    assert_eq!(outcome(NOW - 4, 0), Ok(()));
    assert_eq!(outcome(NOW - 5, 0), Err(AuthFailure::Expired));
    assert_eq!(outcome(NOW + 60, NOW + 5), Ok(()));
    assert_eq!(outcome(NOW + 60, NOW + 6), Err(AuthFailure::NotYetValid));
}

#[test]
fn live_connections_end_at_exp() {
    let ends = |exp: u64| check_plain(json!({"exp": exp, "sub": "u"})).unwrap().expires_at;
    let at = |seconds: u64| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(ends(NOW + 60), at(NOW + 60));
    assert_eq!(ends(NOW - 2), at(NOW + 3), "shown within the leeway of 5 s");
}

#[test]
fn issuer_must_match() {
    let rules = rules(|c| c.issuer = Some("https://id".into()));
    let outcome = |iss: Value| check(&rules, json!({"exp": NOW + 60, "sub": "u", "iss": iss})).map(|_| ());
    assert_eq!(outcome(json!("https://id")), Ok(()));
    for iss in [json!("https://ID"), json!(["https://id"]), json!(null), json!(1)] {
        assert_eq!(outcome(iss), Err(AuthFailure::Claims));
    }
    assert_eq!(check(&rules, json!({"exp": NOW + 60, "sub": "u"})).map(|_| ()), Err(AuthFailure::Claims));
}

#[test]
fn audience_must_be_named() {
    let rules = rules(|c| c.audience = Some("hub".into()));
    let outcome = |aud: Value| check(&rules, json!({"exp": NOW + 60, "sub": "u", "aud": aud})).map(|_| ());
    assert_eq!(outcome(json!("hub")), Ok(()));
    assert_eq!(outcome(json!(["other", "hub"])), Ok(()));
    for aud in
        [json!("other"), json!([]), json!(["other"]), json!(["hub", 1]), json!({"hub": 1}), json!(null)]
    {
        assert_eq!(outcome(aud), Err(AuthFailure::Claims));
    }
    assert_eq!(check(&rules, json!({"exp": NOW + 60, "sub": "u"})).map(|_| ()), Err(AuthFailure::Claims));
}

#[test]
fn roles_may_be_one_string() {
    let roles =
        |value: Value| check_plain(json!({"exp": NOW + 60, "sub": "u", "roles": value})).unwrap().roles;
    assert_eq!(roles(json!("host  speaker")), ["host", "speaker"]);
    assert!(roles(json!({"host": true})).is_empty());
}

#[test]
fn unfit_texts_are_left_out() {
    let identity =
        check_plain(json!({"exp": NOW + 60, "sub": "u", "name": 5, "email": "x".repeat(1025)})).unwrap();
    assert_eq!((identity.name, identity.email), (None, None));
}
