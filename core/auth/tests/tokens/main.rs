//! Tokens good and bad against every kind of key, through the public door.

#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

mod keys;

use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use exedra_auth::{AuthConfig, AuthError, MAX_TOKEN, Verifier, build, mint};
use exedra_hub::port::{AuthFailure, Authenticator};
use keys::{Files, Pair, SECRET, good_claims, now, pem};
use serde_json::{Value, json};

fn with_secret(secret: &str) -> AuthConfig {
    AuthConfig { secret: Some(secret.into()), ..AuthConfig::default() }
}

/// A verifier that knows this key alone.
fn verifier(pair: &Pair) -> Verifier {
    let files = Files::new();
    let config = match pair {
        Pair::Hs256(_) => with_secret(SECRET),
        public => {
            AuthConfig { public_key_file: Some(files.with("key.pem", public.pem())), ..AuthConfig::default() }
        }
    };
    build(&config).unwrap()
}

fn with_jwks(keys: &[Value]) -> (Files, Verifier) {
    let files = Files::new();
    let path = files.with("jwks.json", json!({"keys": keys}).to_string());
    let config = AuthConfig { jwks_file: Some(path), ..AuthConfig::default() };
    let verifier = build(&config).unwrap();
    (files, verifier)
}

fn all_pairs() -> [Pair; 4] {
    [Pair::hs256(), Pair::rs256(), Pair::es256(), Pair::eddsa()]
}

fn refused(verifier: &Verifier, token: &str) -> AuthFailure {
    match verifier.verify(token) {
        Err(failure) => failure,
        Ok(identity) => panic!("accepted as {}", identity.user_id),
    }
}

#[test]
fn every_algorithm_is_accepted() {
    for pair in all_pairs() {
        let identity = verifier(&pair).verify(&pair.good_token()).unwrap();
        assert_eq!(&*identity.user_id, "ada", "{}", pair.alg());
        assert_eq!(identity.name.as_deref(), Some("Ada L"));
        let left = identity.expires_at.unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs() - now();
        assert!((60..=65).contains(&left));
    }
}

#[test]
fn other_keys_are_refused() {
    for pair in all_pairs() {
        for other in
            [Pair::Hs256(b"another secret of thirty-two bytes".to_vec()), Pair::es256(), Pair::eddsa()]
        {
            let failure = refused(&verifier(&pair), &other.good_token());
            let expected =
                if pair.alg() == other.alg() { AuthFailure::Signature } else { AuthFailure::Algorithm };
            assert_eq!(failure, expected, "{} against {}", other.alg(), pair.alg());
        }
    }
}

#[test]
fn header_never_chooses_the_algorithm() {
    for pair in all_pairs() {
        let verifier = verifier(&pair);
        for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512", "RS384", "PS256", "ES384"]
        {
            let token = pair.token(json!({"alg": alg}), good_claims());
            assert_eq!(refused(&verifier, &token), AuthFailure::Algorithm, "{alg}");
        }
        for header in [json!({}), json!({"alg": null}), json!({"alg": 1}), json!({"alg": ["HS256"]})] {
            assert_eq!(refused(&verifier, &pair.token(header, good_claims())), AuthFailure::Algorithm);
        }
    }
}

#[test]
fn unsigned_tokens_are_refused() {
    for pair in all_pairs() {
        let verifier = verifier(&pair);
        let good = pair.good_token();
        let (message, _) = good.rsplit_once('.').unwrap();
        assert_eq!(refused(&verifier, &format!("{message}.")), AuthFailure::Signature, "empty signature");
        assert_eq!(refused(&verifier, message), AuthFailure::Malformed, "stripped signature");
        for alg in ["none", "NONE"] {
            let token = pair.token(json!({"alg": alg}), good_claims());
            let (message, _) = token.rsplit_once('.').unwrap();
            assert_eq!(refused(&verifier, &format!("{message}.")), AuthFailure::Algorithm);
        }
    }
}

#[test]
fn public_key_is_no_shared_secret() {
    for pair in [Pair::rs256(), Pair::es256(), Pair::eddsa()] {
        let verifier = verifier(&pair);
        for secret in [pair.pem().into_bytes(), pair.pem().trim_end().as_bytes().to_vec()] {
            let forged = Pair::Hs256(secret).good_token();
            assert_eq!(refused(&verifier, &forged), AuthFailure::Algorithm);
        }
        let relabelled =
            Pair::Hs256(pair.pem().into_bytes()).token(json!({"alg": pair.alg()}), good_claims());
        assert_eq!(refused(&verifier, &relabelled), AuthFailure::Signature);
    }
}

#[test]
fn swapped_families_are_refused() {
    let (rsa, ec) = (Pair::rs256(), Pair::es256());
    let ec_as_rsa = ec.token(json!({"alg": "RS256"}), good_claims());
    let rsa_as_ec = rsa.token(json!({"alg": "ES256"}), good_claims());
    assert_eq!(refused(&verifier(&rsa), &ec_as_rsa), AuthFailure::Signature);
    assert_eq!(refused(&verifier(&ec), &ec_as_rsa), AuthFailure::Algorithm);
    assert_eq!(refused(&verifier(&ec), &rsa_as_ec), AuthFailure::Signature);
    assert_eq!(refused(&verifier(&rsa), &rsa_as_ec), AuthFailure::Algorithm);
    let (_files, set) = with_jwks(&[rsa.jwk("rsa"), ec.jwk("ec")]);
    let crossed = ec.token(json!({"alg": "ES256", "kid": "rsa"}), good_claims());
    assert_eq!(refused(&set, &crossed), AuthFailure::Algorithm);
}

#[test]
fn changed_claims_are_refused() {
    for pair in all_pairs() {
        let (one, other) = (
            pair.good_token(),
            pair.token(json!({"alg": pair.alg()}), json!({"sub": "eve", "exp": now() + 60})),
        );
        let (one, other): (Vec<&str>, Vec<&str>) = (one.split('.').collect(), other.split('.').collect());
        let mixed = format!("{}.{}.{}", one[0], other[1], one[2]);
        assert_eq!(refused(&verifier(&pair), &mixed), AuthFailure::Signature);
    }
}

#[test]
fn malformed_tokens_are_refused() {
    let pair = Pair::hs256();
    let verifier = verifier(&pair);
    assert_eq!(refused(&verifier, ""), AuthFailure::Missing);
    let good = pair.good_token();
    let padded = format!("{good}=");
    let large = "x".repeat(1024 * 1024);
    let four = format!("{good}.x");
    for token in [".", "..", "...", "a.b.c", "\u{0}", " ", "caf\u{e9}.x.y", "{}.{}.{}", &four, &large] {
        assert_eq!(refused(&verifier, token), AuthFailure::Malformed, "{}", &token[..token.len().min(20)]);
    }
    assert_eq!(refused(&verifier, &padded), AuthFailure::Signature);
    assert_eq!(refused(&verifier, &format!(" {good}")), AuthFailure::Malformed);
    let twice = pair.token_of_text(r#"{"alg":"none","alg":"HS256"}"#, &good_claims().to_string());
    assert_eq!(refused(&verifier, &twice), AuthFailure::Malformed);
    let critical = pair.token(json!({"alg": "HS256", "crit": ["b64"], "b64": false}), good_claims());
    assert_eq!(refused(&verifier, &critical), AuthFailure::Malformed);
}

#[test]
fn largest_token_still_fits() {
    let pair = Pair::hs256();
    let filled = |filler: usize| {
        let claims = json!({"sub": "ada", "exp": now() + 60, "x": "x".repeat(filler)});
        pair.token(json!({"alg": "HS256"}), claims)
    };
    let fitting = filled(6000);
    assert!(fitting.len() <= MAX_TOKEN && verifier(&pair).verify(&fitting).is_ok());
    assert_eq!(refused(&verifier(&pair), &filled(6200)), AuthFailure::Malformed);
}

#[test]
fn signed_dates_are_checked() {
    let pair = Pair::es256();
    let verifier = verifier(&pair);
    let outcome = |claims: Value| verifier.verify(&pair.token(json!({"alg": "ES256"}), claims)).map(|_| ());
    assert_eq!(outcome(json!({"sub": "u", "exp": now() - 60})), Err(AuthFailure::Expired));
    assert_eq!(outcome(json!({"sub": "u", "exp": now() - 1})), Ok(()), "within the leeway");
    assert_eq!(
        outcome(json!({"sub": "u", "exp": now() + 60, "nbf": now() + 30})),
        Err(AuthFailure::NotYetValid)
    );
    let wrong = [
        json!({"sub": "u"}),
        json!({"sub": "u", "exp": (now() + 60).to_string()}),
        json!({"sub": "u", "exp": (now() + 60) as f64}),
        json!({"sub": "u", "exp": -1}),
        json!({"sub": "u", "exp": 1_u64 << 63}),
        json!({"sub": "u", "exp": [now() + 60]}),
        json!({"sub": "u", "exp": null}),
        json!({"sub": "u", "exp": now() + 60, "nbf": "0"}),
        json!({"exp": now() + 60}),
        json!({"exp": now() + 60, "sub": ""}),
    ];
    for claims in wrong {
        assert_eq!(outcome(claims.clone()), Err(AuthFailure::Claims), "{claims}");
    }
    for text in
        ["[]", "null", "{}", r#"{"sub":"a","sub":"b","exp":9999999999}"#, r#"{"sub":"a","exp":1e999}"#]
    {
        let token = pair.token_of_text(r#"{"alg":"ES256"}"#, text);
        assert_eq!(refused(&verifier, &token), AuthFailure::Claims, "{text}");
    }
}

#[test]
fn parties_are_checked() {
    let config = AuthConfig {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("hub".to_owned()),
        ..with_secret(SECRET)
    };
    let verifier = build(&config).unwrap();
    let outcome = |iss: Value, aud: Value| {
        let claims = json!({"sub": "u", "exp": now() + 60, "iss": iss, "aud": aud});
        verifier.verify(&Pair::hs256().token(json!({"alg": "HS256"}), claims)).map(|_| ())
    };
    assert_eq!(outcome(json!("https://id.example"), json!(["x", "hub"])), Ok(()));
    assert_eq!(outcome(json!("https://evil.example"), json!("hub")), Err(AuthFailure::Claims));
    assert_eq!(outcome(json!("https://id.example"), json!("other")), Err(AuthFailure::Claims));
    assert_eq!(refused(&verifier, &Pair::hs256().good_token()), AuthFailure::Claims);
}

#[test]
fn key_ids_are_only_looked_up() {
    let pair = Pair::eddsa();
    let (_files, set) = with_jwks(&[pair.jwk("current"), Pair::es256().jwk("other")]);
    let with_kid = |kid: Value| pair.token(json!({"alg": "EdDSA", "kid": kid}), good_claims());
    assert!(set.verify(&with_kid(json!("current"))).is_ok());
    let odd = ["../../dev/null", "' OR 1=1", "\u{0}", "http://127.0.0.1:9/", "Current", "current ", "", "*"];
    for kid in
        odd.into_iter().map(|kid| json!(kid)).chain([json!("a".repeat(65)), json!(1), json!(null), json!([])])
    {
        assert_eq!(refused(&set, &with_kid(kid.clone())), AuthFailure::UnknownKey, "{kid}");
    }
    assert_eq!(refused(&set, &with_kid(json!("a".repeat(1024 * 1024)))), AuthFailure::Malformed);
    assert_eq!(refused(&set, &pair.good_token()), AuthFailure::UnknownKey, "no key id, two keys");
    let one = verifier(&pair);
    assert_eq!(refused(&one, &with_kid(json!("../../dev/null"))), AuthFailure::UnknownKey);
    assert!(one.verify(&with_kid(json!("whatever"))).is_ok(), "one key needs no key id");
}

#[test]
fn keys_in_headers_are_ignored() {
    let (ours, theirs) = (Pair::eddsa(), Pair::eddsa());
    let (files, set) = with_jwks(&[ours.jwk("current")]);
    let url = format!(
        "file://{}",
        files.with("evil.json", json!({"keys": [theirs.jwk("evil")]}).to_string()).display()
    );
    let header = |kid: &str| json!({"alg": "EdDSA", "kid": kid, "jwk": theirs.jwk(kid), "jku": url, "x5u": url, "x5c": ["AAAA"]});
    assert_eq!(refused(&set, &theirs.token(header("current"), good_claims())), AuthFailure::Signature);
    assert_eq!(refused(&set, &theirs.token(header("evil"), good_claims())), AuthFailure::UnknownKey);
    assert!(set.verify(&ours.token(header("current"), good_claims())).is_ok());
}

#[test]
fn sets_hold_all_public_kinds() {
    let pairs = [Pair::rs256(), Pair::es256(), Pair::eddsa()];
    let keys: Vec<Value> =
        pairs.iter().map(|pair| pair.jwk(pair.alg())).chain([Pair::hs256().jwk("HS256")]).collect();
    let (_files, set) = with_jwks(&keys);
    for pair in pairs {
        let token = pair.token(json!({"alg": pair.alg(), "kid": pair.alg()}), good_claims());
        assert_eq!(&*set.verify(&token).unwrap().user_id, "ada");
    }
    let shared = Pair::hs256().token(json!({"alg": "HS256", "kid": "HS256"}), good_claims());
    assert_eq!(refused(&set, &shared), AuthFailure::UnknownKey, "a published secret is none");
}

#[test]
fn minted_tokens_are_accepted() {
    let Value::Object(claims) = good_claims() else { panic!("an object") };
    let token = mint(&SECRET.into(), claims.clone()).unwrap();
    let identity = verifier(&Pair::hs256()).verify(&token).unwrap();
    assert_eq!(identity.claims, (&claims).into());
    assert!(matches!(mint(&"short".into(), claims), Err(AuthError::ShortSecret(5))));
}

#[test]
fn secret_comes_from_a_file() {
    let files = Files::new();
    let config = AuthConfig {
        secret_file: Some(files.with("secret", format!("{SECRET}\n"))),
        ..AuthConfig::default()
    };
    assert!(build(&config).unwrap().verify(&Pair::hs256().good_token()).is_ok());
    assert!(config.shared_secret().unwrap().is_some());
    let short = AuthConfig { secret_file: Some(files.with("short", "x\n")), ..AuthConfig::default() };
    assert!(matches!(build(&short), Err(AuthError::ShortSecret(1))));
    let absent = AuthConfig { secret_file: Some("/no/such/file".into()), ..AuthConfig::default() };
    assert!(build(&absent).unwrap_err().to_string().contains("/no/such/file"));
}

#[test]
fn unclear_settings_are_refused() {
    let problem = |config: AuthConfig| build(&config).unwrap_err().to_string();
    assert!(problem(AuthConfig::default()).contains("no key"));
    assert!(problem(with_secret(&SECRET[1..])).contains("31 bytes"));
    let both = AuthConfig { public_key_file: Some("key.pem".into()), ..with_secret(SECRET) };
    assert!(problem(both).contains("secret and public_key_file"));
    let url = AuthConfig { jwks_url: Some("https://x".to_owned()), ..AuthConfig::default() };
    assert_eq!(problem(url), "jwks_url is not supported by this build; use jwks_file");
    let algorithms = |names: &[&str]| AuthConfig {
        algorithms: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..with_secret(SECRET)
    };
    assert!(problem(algorithms(&["HS512"])).contains("HS512"));
    assert!(problem(algorithms(&["none"])).contains("none"));
    assert!(problem(algorithms(&["RS256", "ES256"])).contains("HS256"));
    assert!(build(&algorithms(&["HS256", "RS256"])).is_ok());
    let mut config = with_secret(SECRET);
    config.claims.user_id.clear();
    assert!(problem(config).contains("user_id"));
    assert!(problem(AuthConfig { leeway: Duration::MAX, ..with_secret(SECRET) }).contains("leeway"));
}

#[test]
fn unfit_key_files_are_refused() {
    let files = Files::new();
    let problem = |content: &[u8]| {
        let path = files.with("key.pem", content);
        build(&AuthConfig { public_key_file: Some(path), ..AuthConfig::default() }).unwrap_err().to_string()
    };
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
    assert!(problem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).contains("private key"));
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let p384 = AsDer::<PublicKeyX509Der<'_>>::as_der(p384.public_key()).unwrap();
    assert!(problem(pem("PUBLIC KEY", p384.as_ref()).as_bytes()).contains("P-256"));
    assert!(problem(WEAK_RSA.as_bytes()).contains("2048"));
    for content in [
        b"".as_slice(),
        b"hello",
        b"\xff\xfe",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        problem(content);
    }
    assert!(problem(&vec![b'x'; 100_000]).contains("larger"));
}

#[test]
fn nothing_shows_the_secret() {
    let config = with_secret(SECRET);
    let verifier = build(&config).unwrap();
    let mut shown = format!("{config:?} {verifier:?}");
    let short = with_secret("hunter2");
    shown += &format!("{short:?} {} {:?}", build(&short).unwrap_err(), build(&short).unwrap_err());
    let pair = Pair::hs256();
    for token in [pair.good_token(), "hunter2.hunter2.hunter2".to_owned()] {
        if let Err(failure) = verifier.verify(&token) {
            shown += &format!("{failure} {failure:?}");
        }
    }
    assert!(!shown.contains(SECRET) && !shown.contains("hunter2"), "{shown}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])));
}

#[test]
fn settings_parse_strictly() {
    let parse = |text: &str| serde_json::from_str::<AuthConfig>(text);
    let config = parse(r#"{"secret": "s", "leeway": "30s", "claims": {"user_id": ["uid"]}}"#).unwrap();
    assert_eq!(config.leeway, Duration::from_secs(30));
    assert_eq!(config.claims.user_id, ["uid"]);
    assert_eq!(config.claims.roles, ["roles"]);
    for text in [r#"{"secrets": "s"}"#, r#"{"claims": {"user": []}}"#, r#"{"leeway": 5}"#] {
        assert!(parse(text).is_err(), "{text}");
    }
    let schema = schemars::schema_for!(AuthConfig);
    assert!(schema.to_value().to_string().contains("public_key_file"));
}

/// A 1024-bit key, made once with OpenSSL; only its public half was kept.
const WEAK_RSA: &str = "-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC5P8ScyPvZErMcJlIIuTayQ844\n\
0Z3B36qOrHv4SUBF7x3l4QoJEc1k61W80yuFOC8+y0PKY0Gfbi7n6+OlqUlTp/nH\n\
PnfzhQhaM5koGJXnkUM20SIxEvjpPXBb3suaaiZYCu9QWN1BcTWFkMk/ASSEwlHg\n\
da326faSWB0mLG5EDwIDAQAB\n\
-----END PUBLIC KEY-----\n";
